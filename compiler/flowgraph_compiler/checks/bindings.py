"""FG210: a variable that is read where some path has not bound it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import Assigned, Const, Expr, Local, Logical, Unary
from flowgraph_compiler.flow import Forward
from flowgraph_compiler.graph import AnyNode, Branch, Case, FlowGraph, For, Handler, Match, Pure, While, WorkflowGraph
from flowgraph_compiler.infer.nodes import FlowTypes, temporaries
from flowgraph_compiler.patterns import captures, is_irrefutable
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.statements import Delete
from flowgraph_compiler.subexpressions import bound_by, read_by_target, reads, walruses
from flowgraph_compiler.variables import bound_names, deleted_name, expressions_of, read_by

Names = frozenset[str]
Ends: TypeAlias = "tuple[Bound | None, Bound | None]"


@dataclass(frozen=True)
class Bound:
    """The variables that are bound on every path to here; `when` says more, once a temporary's truth is known."""

    names: Names
    when: Mapping[str, Ends] = field(default_factory=dict[str, "Ends"], compare=False)

    def plus(self, names: set[str] | Names) -> Bound:
        """After assignments."""
        return Bound(self.names | names, {temp: ends for temp, ends in self.when.items() if temp not in names})

    def minus(self, name: str) -> Bound:
        """After a `del`."""
        return Bound(self.names - {name})

    def knowing(self, temporary: str, true: Bound | None, false: Bound | None) -> Bound:
        """With what follows from the truth of a temporary."""
        return Bound(self.names, {**self.when, temporary: (true, false)})


@dataclass(frozen=True)
class _Effect:
    """What a node reads before it binds anything, what it binds for certain, and the variable that it deletes."""

    reads: tuple[Local, ...]
    bound: Names
    deleted: str | None = None


def check(analyses: Iterable[Definite]) -> Iterator[Diagnostic]:
    """Report each variable once, at the first place that may read it unbound."""
    for analysis in analyses:
        yield from analysis.findings()


def definite(graph: WorkflowGraph, flows: Mapping[str, FlowTypes]) -> list[Definite]:
    """The finished analyses of all functions."""
    return [Definite(graph.name, function, flows[function.name].closed) for function in graph.functions]


class Definite(Forward[Bound]):
    """Definite assignment, analysed. `closed`: the ids of the `match`es whose cases take every value, by its type. `end` is None
    when no path comes to the end of the body."""

    def __init__(self, workflow: str, function: FlowGraph, closed: Collection[str] = ()) -> None:
        super().__init__()
        self.closed = closed
        self.workflow = workflow
        self.function = function
        self.unbound: dict[str, tuple[Local, AnyNode]] = {}
        self._effects: dict[int, _Effect] = {}
        self.end = self.run(function.body, Bound(frozenset(function.names)))

    def findings(self) -> Iterator[Diagnostic]:
        """FG210 for each variable that may be read unbound."""
        for name, (local, node) in self.unbound.items():
            span = local.span if local.span.line else node.span
            help_ = f"assign '{name}' on every path before this line"
            yield Diagnostic(RULES["FG210"], span, f"'{name}' may be unbound here", help_, (), self.workflow)

    def mark(self) -> Callable[[], None]:
        """What may be unbound."""
        kept = dict(self.unbound)

        def take_back() -> None:
            self.unbound = kept

        return take_back

    def join(self, left: Bound, right: Bound) -> Bound:
        """Bound on both paths."""
        return Bound(left.names & right.names)

    def caught(self, handler: Handler, state: Bound) -> Bound:
        """The handler's variable is bound."""
        return state if handler.variable is None else state.plus({handler.variable})

    def bind(self, node: For, state: Bound) -> Bound:
        """Targets of a loop."""
        for local in read_by_target(node.target):
            self._read(local, node, state)
        return state.plus({local.name for local in bound_by(node.target)})

    def subject(self, node: Match, state: Bound) -> Bound:
        """Read once."""
        return self._evaluated(node.subject, node, state)

    def case(self, node: Match, case: Case, state: Bound) -> tuple[Bound | None, Bound | None]:
        """A pattern binds all its names or none; a guard that fails leaves them bound."""
        for local in reads(case.pattern):
            self._read(local, node, state)
        failed = None if is_irrefutable(case.pattern) else state
        matched = state.plus(set(captures(case.pattern)))
        if case.guard is None:
            return matched, failed
        holds, fails = self.test(node, case.guard, matched)
        return holds, self.either(failed, fails)

    def exhausted(self, node: Match, state: Bound | None) -> Bound | None:
        """Unreachable where the cases take every value of the subject's type."""
        return None if node.id in self.closed else state

    def iterable(self, node: For, state: Bound) -> Bound:
        """Read once."""
        return self._evaluated(node.iterable, node, state)

    def simple(self, node: AnyNode, state: Bound) -> Bound | None:
        """Reads first, then what is bound."""
        effect = self._effect(node)
        for local in effect.reads:
            self._read(local, node, state)
        return state.plus(effect.bound) if effect.deleted is None else state.minus(effect.deleted)

    def _effect(self, node: AnyNode) -> _Effect:
        """Worked out once: loops and `finally` bodies are passed several times."""
        known = self._effects.get(id(node))
        if known is None:
            known = self._effects[id(node)] = _effect_of(node)
        return known

    def _read(self, local: Local, node: AnyNode, state: Bound) -> None:
        if local.name not in state.names and not local.name.startswith("$"):
            self.unbound.setdefault(local.name, (local, node))

    def _evaluated(self, expr: Any, node: AnyNode, state: Bound) -> Bound:
        inside = set(walruses(expr))
        for local in reads(expr):
            if local.name not in inside:
                self._read(local, node, state)
        return state.plus(set(walruses(expr, certain=True)))

    # --- conditions

    def test(self, node: Branch | While | Match, expr: Expr, state: Bound) -> tuple[Bound | None, Bound | None]:
        """A walrus behind `and` is bound where the whole holds."""
        match expr:
            case Const(value):
                return (state, None) if value else (None, state)
            case Unary("not", operand):
                holds, fails = self.test(node, operand, state)
                return fails, holds
            case Local(name) if name in state.when:
                return state.when[name]
            case Local(name) if name.startswith("$"):
                return state.knowing(name, state, None), state.knowing(name, None, state)
            case Assigned(name, value):
                holds, fails = self.test(node, value, state)
                return self._named(name, holds, True), self._named(name, fails, False)
            case Logical():
                return self._logical(node, expr, state)
            case _:
                after = self._evaluated(expr, node, state)
                return after, after

    def _named(self, name: str, state: Bound | None, truth: bool) -> Bound | None:
        if state is None:
            return None
        after = state.plus({name})
        return after.knowing(name, after if truth else None, None if truth else after) if name.startswith("$") else after

    def _logical(self, node: Branch | While | Match, expr: Logical, state: Bound) -> tuple[Bound | None, Bound | None]:
        going: Bound | None = state
        ended: Bound | None = None
        for operand in expr.operands:
            if going is None:
                break
            holds, fails = self.test(node, operand, going)
            going, stopped = (holds, fails) if expr.op == "and" else (fails, holds)
            ended = self.either(ended, stopped)
        return (going, ended) if expr.op == "and" else (ended, going)

    def after_branch(self, node: Branch, then: Bound | None, orelse: Bound | None) -> Bound | None:
        """Temporaries of a short circuit remember both outcomes."""
        end = self.either(then, orelse)
        if end is None:
            return None
        for name in sorted(temporaries(node)):
            true = self.either(_if(then, name, 0), _if(orelse, name, 0))
            false = self.either(_if(then, name, 1), _if(orelse, name, 1))
            end = end.knowing(name, true, false)
        return end


def _if(state: Bound | None, name: str, way: int) -> Bound | None:
    if state is None or name not in state.when:
        return state
    return state.when[name][way]


def _effect_of(node: AnyNode) -> _Effect:
    deleted = deleted_name(node)
    if deleted is not None:
        missing_ok = isinstance(node, Pure) and isinstance(node.statement, Delete) and node.statement.missing_ok
        return _Effect(() if missing_ok else (Local(deleted),), frozenset(), deleted)
    exprs = list(expressions_of(node))
    walrus = {name for expr in exprs for name in walruses(expr)}
    certain = {name for expr in exprs for name in walruses(expr, certain=True)} if walrus else walrus
    return _Effect(tuple(local for local in read_by(node) if local.name not in walrus), frozenset(certain | bound_names(node)))
