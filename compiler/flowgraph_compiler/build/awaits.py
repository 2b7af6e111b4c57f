"""`await`: each one is a node of its own; its result is a variable."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from functools import partial

from flowgraph import Event
from flowgraph_compiler.build import callees
from flowgraph_compiler.build.calls import Calls
from flowgraph_compiler.build.children import left_out, started
from flowgraph_compiler.build.overrides import overrides
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.expressions import Bound, Const, Expr, Keyword, Local
from flowgraph_compiler.graph import AnyNode, CallOverrides, Child, Parallel, Send, Sleep, SleepUntil, Start, Step, Subflow, Wait
from flowgraph_compiler.places import Located
from flowgraph_compiler.spans import Span
from flowgraph_compiler.vocabulary import MUTATING_METHODS

_NO_ARGUMENTS = "takes no such argument"
_CHANGING = frozenset[str]().union(*MUTATING_METHODS.values())


class Awaits(Calls):
    """Calls that suspend."""

    def visit_Await(self, node: ast.Await) -> Expr:  # noqa: N802
        """`await f(x)` inside an expression."""
        result = Local(self.temporary(), self.span(node))
        self.awaited(node, result.name)
        return result

    def visit_NamedExpr(self, node: ast.NamedExpr) -> Expr:  # noqa: N802
        """`name := value`; the result of an await goes straight into the name."""
        if not isinstance(node.value, ast.Await):
            return super().visit_NamedExpr(node)
        self.awaited(node.value, node.target.id)
        return Local(node.target.id, self.span(node.target))

    def into(self, result: Local, node: ast.expr) -> None:
        """Evaluate an expression into a temporary; the result of an await goes straight there."""
        if isinstance(node, ast.Await):
            self.awaited(node, result.name)
        else:
            super().into(result, node)

    def awaited(self, node: ast.Await, result: str | None) -> None:
        """Emit the suspension of an `await`, whose result goes into a variable (None: dropped)."""
        value = node.value
        if not isinstance(value, ast.Call):
            text = ast.unparse(value)
            self.consume(value)
            self.report("FG110", node, f"'{text}' is awaited; only a call written out can be", "await the call where it is made")
            return
        suspension = self.suspension(value, result, ())
        if suspension is not None:
            self.emit(suspension)

    def suspension(self, node: ast.Call, result: str | None, later: Sequence[ast.expr]) -> AnyNode | None:
        """The node of a call that suspends; its arguments are evaluated now. `later` are calls of the same group."""
        match callees.callee(self, node.func):
            case callees.Durable(kind="step" | "subflow") as durable:
                return self._call(node, durable, result, later)
            case callees.Durable(decl=FlowDecl(kind="workflow") as called):
                return Child(*self._run(node, called.name, called, node.args, result, later))
            case callees.Primitive(name=name) if name in callees.AWAITED:
                return self._primitive(node, name, result, later)
            case other:
                self._not_awaitable(node, other)
        return None

    def _not_awaitable(self, node: ast.Call, callee: callees.Callee) -> None:
        text = ast.unparse(node.func)
        match callee:
            case callees.Refused(code=code, message=message, help=help_):
                self.report(code, node, message, help_)
            case (
                callees.Durable(kind="pure")
                | callees.Primitive()
                | callees.Function()
                | callees.Class()
                | callees.ClassMethod()
                | callees.Typing()
            ):
                self.report(
                    "FG110",
                    node,
                    f"'{text}(...)' is awaited, but its result is a plain value",
                    f"drop the 'await': {ast.unparse(node)}",
                )
            case callees.Durable() | callees.Misdeclared():
                self._refused_call(node, callee)
            case _:
                self.report(
                    "FG110",
                    node,
                    f"'{text}(...)' is awaited and is no step, subflow or primitive",
                    "put it into a '@step' and await that",
                )

    # --- steps and subflows

    def _call(self, node: ast.Call, durable: callees.Durable, result: str | None, later: Sequence[ast.expr]) -> AnyNode:
        decl, name = durable.decl, durable.decl.name
        self._refuse_stars(node, f"{durable.kind} '{name}'")
        arguments, keywords = self._group_arguments(node, node.args, later)
        node_id = self.node_id(name)
        if isinstance(decl, FlowDecl):
            self.session.called.setdefault(name, decl)
            return Subflow(node_id, self.span(node), name, arguments, keywords, result)
        options = CallOverrides() if durable.options is None else overrides(self, durable.options)
        return Step(node_id, self.span(node), name, arguments, keywords, result, options)

    def _refuse_stars(self, node: ast.Call, title: str) -> None:
        starred = [argument for argument in node.args if isinstance(argument, ast.Starred)]
        stars: list[Located] = [*starred, *(keyword for keyword in node.keywords if keyword.arg is None)]
        for star in stars:
            self.report("FG115", star, f"{title} is called with '{ast.unparse(star)}'", "write the arguments out")  # type: ignore[arg-type]  # both kinds are nodes

    def _group_arguments(
        self, node: ast.Call, given: Sequence[ast.expr], later: Sequence[ast.expr]
    ) -> tuple[tuple[Expr, ...], tuple[Keyword, ...]]:
        every = [*given, *(keyword.value for keyword in node.keywords)]
        values = self.operands(every, later=later)
        if later:
            values = [self.keep(value, [*every[index + 1 :], *later]) for index, value in enumerate(values)]
        named = values[len(given) :]
        keywords = tuple(
            Keyword(keyword.arg, value, self.span(keyword)) for keyword, value in zip(node.keywords, named, strict=True)
        )
        return tuple(values[: len(given)]), keywords

    # --- other workflows

    def _run(
        self, node: ast.Call, label: str, decl: FlowDecl, given: Sequence[ast.expr], result: str | None, later: Sequence[ast.expr]
    ) -> tuple[str, Span, str, tuple[Expr, ...], tuple[Keyword, ...], str | None, tuple[Keyword, ...]]:
        """What makes a `Child` or a `Start`."""
        self._refuse_stars(node, f"workflow '{decl.name}'")
        arguments, keywords = self._group_arguments(node, given, later)
        defaults = left_out(self, decl, len(arguments), keywords)
        return self.node_id(label), self.span(node), decl.name, arguments, keywords, result, defaults

    def _start(self, node: ast.Call, result: str | None, later: Sequence[ast.expr]) -> AnyNode | None:
        decl = started(self, node)
        return None if decl is None else Start(*self._run(node, f"start.{decl.name}", decl, node.args[1:], result, later))

    # --- primitives

    def _primitive(self, node: ast.Call, name: str, result: str | None, later: Sequence[ast.expr]) -> AnyNode | None:
        if name in callees.SCOPES:
            self.refuse(node, f"'await {name}(...)'", f"async with {name}(...):")
            return None
        makers: dict[str, Callable[[ast.Call, str | None, Sequence[ast.expr]], AnyNode | None]] = {
            "parallel": partial(self._group, "parallel"),
            "settle": partial(self._group, "settle"),
            "race": partial(self._group, "race"),
            "start": self._start,
            "sleep": self._sleep,
            "sleep_until": self._sleep_until,
            "send": self._send,
            "wait_for": self._wait_for,
        }
        return makers[name](node, result, later)

    def _lone_argument(self, node: ast.Call, name: str, later: Sequence[ast.expr]) -> Expr:
        if len(node.args) != 1 or node.keywords or isinstance(node.args[0], ast.Starred):
            code = "FG171" if not node.args and not node.keywords else "FG172"
            self.report(code, node, f"'{name}' takes one positional argument", f"await {name}(...)")
            return Const(None, self.span(node))
        (value,) = self.operands(node.args, later=later)
        return self.keep(value, list(later))

    def _sleep(self, node: ast.Call, result: str | None, later: Sequence[ast.expr]) -> AnyNode:
        duration = self._lone_argument(node, "sleep", later)
        return Sleep(self.node_id("sleep"), self.span(node), duration, result)

    def _sleep_until(self, node: ast.Call, result: str | None, later: Sequence[ast.expr]) -> AnyNode:
        when = self._lone_argument(node, "sleep_until", later)
        return SleepUntil(self.node_id("sleep_until"), self.span(node), when, result)

    def _send(self, node: ast.Call, result: str | None, later: Sequence[ast.expr]) -> AnyNode:
        event = self._lone_argument(node, "send", later)
        made = callees.callee(self, node.args[0].func) if node.args and isinstance(node.args[0], ast.Call) else None
        label = f"send.{made.cls.__name__}" if isinstance(made, callees.Class) else "send"
        return Send(self.node_id(label), self.span(node), event, result)

    # --- groups

    def _group(self, kind: str, node: ast.Call, result: str | None, later: Sequence[ast.expr]) -> Parallel:
        name = self.node_id(kind)
        if not node.args:
            self.report("FG171", node, f"'{kind}' has no branches", f"{kind}(a(x), b(y))")
        for keyword in node.keywords:
            self.report("FG172", keyword, f"'{kind}' takes no argument '{keyword.arg}'", f"{kind}(a(), b())")
        branches: list[AnyNode] = []
        for index, branch in enumerate(node.args):
            if index:
                self._refuse_change(branch, kind)
            made = self._branch_of(branch, kind, [*node.args[index + 1 :], *later, node])
            if made is not None:
                branches.append(made)
        return Parallel(name, self.span(node), kind, tuple(branches), result)

    def _refuse_change(self, branch: ast.expr, group: str) -> None:
        """Python copies the arguments of a branch before it evaluates those of the next one; the machine copies them together."""
        for call in ast.walk(branch):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _CHANGING:
                self.report(
                    "FG100",
                    call,
                    f"'{ast.unparse(call)}' changes a value in '{group}' after an earlier branch may have taken it",
                    f"change it in a statement before '{group}(...)'",
                )

    def _branch_of(self, node: ast.expr, group: str, later: Sequence[ast.expr]) -> AnyNode | None:
        match node:
            case ast.Call():
                return self.suspension(node, None, later)
            case ast.Await(value=value):
                message = f"a branch of '{group}' is awaited: it would run before the others"
                self.report("FG110", node, message, ast.unparse(value))
            case ast.Starred():
                self.report("FG115", node, f"'{group}' is called with '{ast.unparse(node)}'", "write the branches out")
            case _:
                text = ast.unparse(node)
                self.consume(node)
                message = f"'{text}' as a branch of '{group}' is not in the language"
                self.report("FG100", node, message, f"write the call out: {group}(a(x), b(y))")
        return None

    # --- wait_for

    def _wait_for(self, node: ast.Call, result: str | None, later: Sequence[ast.expr]) -> AnyNode | None:
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        event = self._event(node)
        for name in given.keys() - {"where", "timeout", "since"}:
            self.report(
                "FG172",
                node,
                f"'wait_for' takes no argument '{name}'",
                'await wait_for(Event, where=lambda e: ..., timeout="1h")',
            )
        if "timeout" not in given:
            self.report("FG171", node, "'wait_for' has no 'timeout='", "timeout=\"24h\", or 'timeout=None' to wait for ever")
        timeout = self._timeout(given.get("timeout"), later)
        parameter, residual = self.predicate(given["where"]) if "where" in given else ("event", None)
        since = self._since(given.get("since"))
        name = self.node_id(f"wait_for.{event}")
        return Wait(name, self.span(node), event, parameter, (), residual, timeout, since, result)

    def _event(self, node: ast.Call) -> str:
        found = callees.static(self, node.args[0]) if len(node.args) == 1 else None
        if found is None or not (isinstance(found.value, type) and issubclass(found.value, Event)):
            self.report("FG170", node, "'wait_for' takes one event class by its name", 'await wait_for(SomeEvent, timeout="24h")')
            return "?"
        return found.value.__name__

    def _timeout(self, node: ast.expr | None, later: Sequence[ast.expr]) -> Expr | None:
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return None
        (value,) = self.operands([node], later=later)
        return self.keep(value, list(later))

    def _since(self, node: ast.expr | None) -> str:
        match node:
            case None:
                return "start"
            case ast.Constant(value="start" | "now" as since):
                return since
            case _:
                self.report("FG170", node, '\'since=\' is "start" or "now", written out', 'since="now"')
                return "start"

    def predicate(self, node: ast.expr, known: dict[str, Expr] | None = None) -> tuple[str, Expr | None]:
        """A `where=` lambda: its last parameter, the event, and its body. `known`: what the parameters before it stand for."""
        known = known or {}
        count = len(known) + 1
        if not isinstance(node, ast.Lambda) or len(node.args.args) != count or len(ast.unparse(node.args).split(",")) != count:
            example = "started, event: event.id == started.id" if known else "e: e.id == order.id"
            self.refuse(node, f"'where={ast.unparse(node)}'", f"write a lambda of the event: where=lambda {example}")
            return "event", None
        parameter = node.args.args[-1].arg
        for inner in ast.walk(node.body):
            if isinstance(inner, ast.NamedExpr):
                self.refuse(inner, "':=' in 'where='", "assign before the wait")
            elif isinstance(inner, ast.Call) and isinstance(callees.callee(self, inner.func), callees.Primitive):
                self.refuse(inner, f"'{ast.unparse(inner)}' in 'where='", "call it before the wait and use the variable")
        with self.scope({**known, parameter: Bound(parameter, self.span(node.args.args[-1]))}):
            return parameter, self.translate(node.body)
