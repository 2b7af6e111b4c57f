"""What each node of the graph does to the environment, as a forward analysis."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from flowgraph import Err, Ok
from flowgraph_compiler.assignability import assignable
from flowgraph_compiler.declarations import FlowDecl, StepDecl
from flowgraph_compiler.expressions import Call as CallExpr
from flowgraph_compiler.expressions import Compare, Const, Expr, Local, Logical, Unary
from flowgraph_compiler.graph import (
    AnyNode,
    Branch,
    Child,
    FanOut,
    For,
    Handler,
    Invocation,
    Parallel,
    Pure,
    Raise,
    Return,
    Scope,
    Send,
    Sleep,
    SleepUntil,
    Start,
    Step,
    Subflow,
    Wait,
    While,
    walk,
)
from flowgraph_compiler.infer.arguments import Called
from flowgraph_compiler.infer.cases import MatchTypes
from flowgraph_compiler.infer.containers import bind_clauses, leave_clauses
from flowgraph_compiler.infer.environment import Env, Outcomes, joined, path_of
from flowgraph_compiler.infer.expressions import Evaluator
from flowgraph_compiler.infer.findings import Findings
from flowgraph_compiler.infer.narrowing import narrow
from flowgraph_compiler.infer.world import World, declaration, exceptions_named, result_of
from flowgraph_compiler.results import binary
from flowgraph_compiler.statements import Assign, Augment, Delete, Evaluate
from flowgraph_compiler.types import NONE, UNKNOWN, generic, show, union


class FlowTypes(MatchTypes):
    """The inference of one function; `before` has the environment at each node, `within` that of a fan-out's branch, `seen`
    every type that a variable ever had."""

    def __init__(self, world: World, findings: Findings) -> None:
        super().__init__()
        self.world = world
        self.findings = findings
        self.before: dict[str, Env] = {}
        self.within: dict[str, Env] = {}
        self.seen: dict[str, Any] = {}
        self._last: Env | None = None

    def evaluator(self, env: Env) -> Evaluator:
        """An evaluator at this place."""
        return Evaluator(self.world, env, self.findings)

    def mark(self) -> Callable[[], None]:
        """The findings and all that is noted at places."""
        kept = (dict(self.before), dict(self.within), dict(self.seen), self._last, dict(self.findings.found))
        inner = super().mark()

        def take_back() -> None:
            inner()
            self.before, self.within, self.seen, self._last, self.findings.found = kept

        return take_back

    def finish(self, end: Env | None) -> None:
        """Record the end of the body, and report one that lacks its `return`."""
        self.see(end)
        wanted = result_of(declaration(self.world))
        if end is not None and not assignable(NONE, wanted):
            function = self.world.function
            message = f"{function.kind} '{function.name}' can end without returning '{show(wanted)}'"
            self.findings.add("FG173", function.span, message, f"return a '{show(wanted)}' on every path")

    def see(self, env: Env | None) -> None:
        """Note the types that variables have at a place."""
        if env is None or env is self._last:
            return
        self._last = env
        for path, tp in env.types.items():
            known = self.seen.get(path)
            if known != tp:
                self.seen[path] = tp if known is None else union([known, tp])

    # --- the analysis

    def join(self, left: Env, right: Env) -> Env:
        """Unions, variable by variable."""
        return joined(left, right) or left

    def widen(self, before: Env, after: Env) -> Env:
        """A type that grows with each round of a loop (`x = [x]`) is unknown."""
        changed = {path: UNKNOWN for path, tp in after.types.items() if before.types.get(path, tp) != tp}
        return Env({**after.types, **changed}, after.facts, after.timeouts)

    def visit(self, node: AnyNode, state: Env) -> Env | None:
        """Keeps what held before the node."""
        self.before[node.id] = joined(self.before.get(node.id), state) or state
        self.see(state)
        return super().visit(node, state)

    def test(self, node: Branch | While, expr: Expr, state: Env) -> tuple[Env | None, Env | None]:  # noqa: ARG002
        """Narrowed on both sides."""
        return self.evaluator(state).split(expr)

    def after_branch(self, node: Branch, then: Env | None, orelse: Env | None) -> Env | None:
        """Temporaries that a short circuit computed remember what they say about the variables."""
        end = self.either(then, orelse)
        if end is None:
            return None
        for name in sorted(temporaries(node)):
            true = joined(self._if(then, name, True), self._if(orelse, name, True))
            false = joined(self._if(then, name, False), self._if(orelse, name, False))
            end = end.with_fact(name, Outcomes(true, false))
        return end

    def _if(self, env: Env | None, name: str, truth: bool) -> Env | None:
        if env is None:
            return None
        evaluator = self.evaluator(env).quiet(env)
        return narrow(evaluator, Local(name), env.types.get(name, UNKNOWN), truth)

    def iterable(self, node: For, state: Env) -> Env:
        """Evaluated once: the type of the items is kept under the node's id for `bind`."""
        evaluator = self.evaluator(state)
        item = evaluator.iterated(node.iterable)
        return evaluator.env.narrowed(_items(node), item)

    def bind(self, node: For, state: Env) -> Env:
        """The targets get an item."""
        evaluator = self.evaluator(state)
        evaluator.bind(node.target, state.types.get(_items(node), UNKNOWN))
        self.see(evaluator.env)
        return evaluator.env

    def caught(self, handler: Handler, state: Env) -> Env:
        """The variable of the handler is one of its exceptions."""
        if handler.variable is None:
            return state
        return state.assigned(handler.variable, exceptions_named(self.world, handler.names))

    # --- nodes

    def simple(self, node: AnyNode, state: Env) -> Env | None:
        """The place after a node."""
        evaluator = self.evaluator(state)
        match node:
            case Pure():
                self._statement(evaluator, node)
            case Return():
                self._return(evaluator, node)
            case Raise(exception=exception, cause=cause):
                evaluator.many(expr for expr in (exception, cause) if expr is not None)
            case Scope(duration=duration) if duration is not None:
                evaluator.of(duration)
            case _:
                self._suspension(evaluator, node)
        self.see(evaluator.env)
        return evaluator.env

    def _statement(self, evaluator: Evaluator, node: Pure) -> None:
        match node.statement:
            case Assign(targets, value):
                self._assign(evaluator, targets, value)
            case Augment(target, op, value):
                left = evaluator.of(target)
                evaluator.bind(target, binary(op, left, evaluator.of(value)))
            case Evaluate(value):
                evaluator.of(value)
            case Delete(name):
                evaluator.env = evaluator.env.without(name)
            case _:
                pass

    def _assign(self, evaluator: Evaluator, targets: tuple[Any, ...], value: Expr) -> None:
        tp, timeout = evaluator.of(value), evaluator.timeout_of(value)
        for target in targets:
            evaluator.bind(target, tp, timeout)
            if isinstance(target, Local) and target.name.startswith("$") and is_condition(value):
                evaluator.env = evaluator.env.with_fact(target.name, value)

    def _return(self, evaluator: Evaluator, node: Return) -> None:
        given = NONE if node.value is None else evaluator.of(node.value)
        wanted = result_of(declaration(self.world))
        if not assignable(given, wanted):
            function = self.world.function
            message = f"{function.kind} '{function.name}' returns '{show(wanted)}', got '{show(given)}'"
            span = node.span if node.value is None else node.value.span
            evaluator.findings.add("FG173", span if span.line else node.span, message, f"return a '{show(wanted)}'")

    def _suspension(self, evaluator: Evaluator, node: AnyNode) -> None:
        self.evaluate(evaluator, node)
        result = getattr(node, "result", None)
        if result is None:
            return
        timeout = node.span if isinstance(node, Wait) and node.timeout is not None else None
        evaluator.bind(Local(result), self.result_type(node), timeout)

    def evaluate(self, evaluator: Evaluator, node: AnyNode) -> None:
        """The operands of a suspension, in order."""
        match node:
            case Invocation():
                evaluator.arguments(self._called(node), node.arguments, node.keywords)
            case Sleep(duration=expr):
                self._moment(evaluator, node, expr, "sleep", str | timedelta)
            case SleepUntil(when=expr):
                self._moment(evaluator, node, expr, "sleep_until", datetime)
            case Send(event=expr):
                evaluator.of(expr)
            case Wait():
                self._wait(evaluator, node)
            case Parallel():
                for branch in node.branches:
                    self.evaluate(evaluator, branch)
            case FanOut():
                self._fan_out(evaluator, node)
            case _:
                pass

    def _moment(self, evaluator: Evaluator, node: AnyNode, expr: Expr, callee: str, wanted: Any) -> None:
        """How long or until when; a duration that is written out is left to FG321."""
        given, sleeps = evaluator.of(expr), callee == "sleep"
        if not assignable(given, wanted) and not (sleeps and isinstance(expr, Const)):
            message = f"'{callee}' takes '{show(wanted)}', got '{show(given)}'"
            help_ = 'sleep("90m")' if sleeps else "datetime(..., tzinfo=UTC)"
            evaluator.findings.add("FG170", expr.span if expr.span.line else node.span, message, help_)

    def _fan_out(self, evaluator: Evaluator, node: FanOut) -> None:
        limit = None if node.limit is None else evaluator.of(node.limit)
        if node.limit is not None and not assignable(limit, int | None):
            span = node.limit.span if node.limit.span.line else node.span
            evaluator.findings.add("FG170", span, f"'limit' of '{node.kind}' takes 'int | None', got '{show(limit)}'", "limit=20")
        outer = evaluator.env
        bind_clauses(evaluator, node.clauses)
        self.within[node.branch.id] = joined(self.within.get(node.branch.id), evaluator.env) or evaluator.env
        self.evaluate(evaluator, node.branch)
        leave_clauses(evaluator, outer)

    def _wait(self, evaluator: Evaluator, node: Wait) -> None:
        evaluator.many(expr for _, expr in node.keys)
        if node.timeout is not None:
            evaluator.of(node.timeout)
        if node.residual is not None:
            inner = evaluator.env.narrowed(f"^{node.parameter}", self._event(node))
            Evaluator(self.world, inner, evaluator.findings).of(node.residual)

    def _called(self, node: Invocation) -> Called | None:
        decl = self._declared(node)
        if decl is None:
            return None
        kind = "step" if isinstance(decl, StepDecl) else decl.kind
        return Called(f"{kind} '{node.callee}'", node.span, decl.parameters)

    def _declared(self, node: Invocation) -> StepDecl | FlowDecl | None:
        match node:
            case Step():
                return self.world.app.steps.get(node.callee)
            case Subflow():
                return self.world.app.subflows.get(node.callee)
            case Child() | Start():
                return self.world.app.workflows.get(node.callee)
            case _:
                return None

    def _event(self, node: Wait) -> Any:
        return self.world.app.events.get(node.event) or UNKNOWN

    def result_type(self, node: AnyNode) -> Any:
        """The type of what an await gives."""
        match node:
            case Start():
                return str
            case Invocation():
                return result_of(self._declared(node))
            case Sleep() | SleepUntil() | Send():
                return NONE
            case Wait():
                return union([self._event(node), *([NONE] if node.timeout is not None else [])])
            case Parallel(kind="parallel"):
                return generic(tuple, *(self.result_type(branch) for branch in node.branches))
            case Parallel(kind="race"):
                return union(self.result_type(branch) for branch in node.branches)
            case Parallel():
                return generic(tuple, *(self._settled(branch) for branch in node.branches))
            case FanOut(kind="fan_out"):
                return generic(list, self.result_type(node.branch))
            case FanOut():
                return generic(list, self._settled(node.branch))
            case _:
                return UNKNOWN

    def _settled(self, branch: AnyNode) -> Any:
        """The type of what `settle` gives for a branch."""
        return union([generic(Ok, self.result_type(branch)), Err])


def is_condition(expr: Expr) -> bool:
    """Whether a temporary's truth says something about other variables."""
    return isinstance(expr, Compare | Logical | Unary | CallExpr) or path_of(expr) is not None


def temporaries(node: Branch) -> set[str]:
    """The temporaries that are assigned inside an `if`."""
    found: set[str] = set()
    for inner in walk((*node.then, *node.orelse)):
        result = getattr(inner, "result", None)
        targets = inner.statement.targets if isinstance(inner, Pure) and isinstance(inner.statement, Assign) else ()
        found |= {target.name for target in targets if isinstance(target, Local)} | ({result} if result else set())
    return {name for name in found if name.startswith("$")}


def _items(node: For) -> str:
    return f"^{node.id}"
