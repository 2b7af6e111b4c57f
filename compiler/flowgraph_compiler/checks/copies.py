"""FG232: calls get copies, so a change of an argument after the call reaches nobody but the caller.

Told where the caller does not look at the changed value again either, and where the callee goes on after the call: a run that was
started, an event that was sent, the compensation of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowgraph.options import UNSET
from flowgraph_compiler.checks.liveness import NOBODY, Liveness
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.expressions import Attribute, Const, DictOf, Expr, ListOf, Local, Method, SetOf, Subscript
from flowgraph_compiler.flow import Forward
from flowgraph_compiler.graph import (
    AnyNode,
    Branch,
    Case,
    Child,
    FlowGraph,
    For,
    Handler,
    Invocation,
    Match,
    Pure,
    Send,
    Start,
    Step,
    Subflow,
    While,
    WorkflowGraph,
    walk,
)
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.patterns import captures
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span
from flowgraph_compiler.statements import Assign, Augment, Evaluate
from flowgraph_compiler.subexpressions import inside
from flowgraph_compiler.types import class_of
from flowgraph_compiler.variables import bound_names, expressions_of, targets_of
from flowgraph_compiler.vocabulary import MUTATING_METHODS

_MUTATING = frozenset(name for names in MUTATING_METHODS.values() for name in names)
_KINDS = {Step: "step", Subflow: "subflow", Child: "workflow", Start: "workflow"}


def check(
    graph: WorkflowGraph, app: Application, flows: Mapping[str, FlowTypes], lives: Mapping[str, Liveness]
) -> Iterator[Diagnostic]:
    """All functions of a workflow."""
    for function in graph.functions:
        if any(isinstance(node, Invocation | Send) for node in walk(function.body)):
            copies = _Copies(function, app, _Types(flows[function.name], lives[function.name]), graph.name)
            copies.run(function.body, frozenset())
            yield from copies.found.values()


@dataclass(frozen=True)
class _Passed:
    """A variable whose value a call has copied; `lasting`: what still uses the copy after the call, or ""."""

    name: str
    callee: str
    lasting: str
    span: Span


_State = frozenset[_Passed]


@dataclass(frozen=True)
class _Types:
    """What is known of the variables of a function: their types, and where they live."""

    flow: FlowTypes
    liveness: Liveness


class _Copies(Forward[_State]):
    """What has been passed on some path to each place."""

    def __init__(self, function: FlowGraph, app: Application, known: _Types, workflow: str) -> None:
        super().__init__()
        self.found: dict[tuple[Span, str], Diagnostic] = {}
        self._app = app
        self._flow = known.flow
        self._workflow = workflow
        self._live = known.liveness
        self._own = _own_names(function)

    def mark(self) -> Callable[[], None]:
        """What has been told."""
        kept = dict(self.found)

        def take_back() -> None:
            self.found = kept

        return take_back

    def join(self, left: _State, right: _State) -> _State:
        """Passed on either path."""
        return left | right

    def test(self, node: Branch | While, expr: Expr, state: _State) -> tuple[_State | None, _State | None]:  # noqa: ARG002
        """A test passes nothing."""
        return state, state

    def subject(self, node: Match, state: _State) -> _State:  # noqa: ARG002
        """To match passes nothing."""
        return state

    def case(self, node: Match, case: Case, state: _State) -> tuple[_State | None, _State | None]:  # noqa: ARG002
        """New values of the names that the pattern binds have not been passed."""
        return _without(state, set(captures(case.pattern))), state

    def bind(self, node: For, state: _State) -> _State:
        """A new value of the targets has not been passed."""
        return _without(state, bound_names(node))

    def caught(self, handler: Handler, state: _State) -> _State:
        """The same for the variable of a handler."""
        return _without(state, {handler.variable or ""})

    def simple(self, node: AnyNode, state: _State) -> _State:
        """Changes are told, new values forgotten, arguments noted."""
        for name in _changed(node):
            for passed in sorted((one for one in state if one.name == name), key=lambda one: one.span):
                self._tell(node, passed)
        rebound = set[str]() if _augments(node) else bound_names(node)
        return _without(state, rebound) | frozenset(self._passed(node))

    def _tell(self, node: AnyNode, passed: _Passed) -> None:
        name = passed.name
        if passed.lasting:
            message = f"'{name}' is changed after {passed.callee} has got its copy: {passed.lasting} does not see the change"
        elif name in self._own and name not in self._live.after.get(node.id, NOBODY):
            message = f"'{name}' is changed after {passed.callee} has got its copy, and not read again: nobody sees the change"
        else:
            return
        related = (Related(passed.span, "copied here"),)
        found = Diagnostic(RULES["FG232"], node.span, message, f"change '{name}' before the call", related, self._workflow)
        self.found.setdefault((node.span, name), found)

    def _passed(self, node: AnyNode) -> Iterator[_Passed]:
        match node:
            case Step() | Subflow() | Child() | Start():
                callee = f"{_KINDS[type(node)]} '{node.callee}'"
                for expr in (*node.arguments, *(keyword.value for keyword in node.keywords)):
                    if isinstance(expr, Local) and self._mutable(node, expr):
                        yield _Passed(expr.name, callee, self._lasting(node), node.span)
            case Send(event=Local() as event) if self._mutable(node, event):
                yield _Passed(event.name, "'send'", "the event", node.span)
            case _:
                pass

    def _lasting(self, node: AnyNode) -> str:
        if isinstance(node, Start):
            return "the run"
        step = self._app.steps.get(node.callee) if isinstance(node, Step) else None
        return "its compensation" if step is not None and step.step.options.compensate is not UNSET else ""

    def _mutable(self, node: AnyNode, expr: Local) -> bool:
        env = self._flow.before.get(node.id)
        cls = None if env is None else class_of(env.types.get(expr.name))
        return cls is not None and (cls in (list, dict, set) or hasattr(cls, "model_fields"))


def _without(state: _State, names: set[str]) -> _State:
    return frozenset(one for one in state if one.name not in names)


def _augments(node: AnyNode) -> bool:
    return isinstance(node, Pure) and isinstance(node.statement, Augment)


def _changed(node: AnyNode) -> Iterator[str]:
    """The variables whose value a statement changes in place and does nothing else with."""
    match node:
        case Pure(statement=Evaluate(value=Method(value=value, name=method))) if method in _MUTATING:
            changed = [_root(value)]
        case Pure(statement=Augment(target=Local(name))):
            changed = [name]
        case _:
            changed = [_root(target.value) for target in targets_of(node) if isinstance(target, Attribute | Subscript)]
    yield from (name for name in changed if name is not None)


def _root(expr: Expr) -> str | None:
    while isinstance(expr, Attribute | Subscript):
        expr = expr.value
    return expr.name if isinstance(expr, Local) else None


def _own_names(function: FlowGraph) -> set[str]:
    """The variables whose values nothing else in the function refers to: parameters, results and displays of constants, which
    are never assigned on."""
    own, shared = set(function.names), set[str]()
    for node in walk(function.body):
        value = node.statement.value if isinstance(node, Pure) and isinstance(node.statement, Assign | Augment) else None
        if isinstance(node, Invocation) and node.result is not None:
            own.add(node.result)
        elif value is not None and _is_fresh(value):
            own |= bound_names(node)
        elif not isinstance(node, Invocation):
            shared |= bound_names(node)
        if value is not None or isinstance(node, For):
            shared |= {part.name for expr in expressions_of(node) for part in inside(expr) if isinstance(part, Local)}
    return own - shared


def _is_fresh(value: Any) -> bool:
    return isinstance(value, Const | ListOf | SetOf | DictOf) and not any(isinstance(part, Local) for part in inside(value))
