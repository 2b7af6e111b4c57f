"""FG150, FG152, FG162, FG163: what lives across an await must have a type that is known and can be stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowgraph_compiler.checks.liveness import Liveness
from flowgraph_compiler.declarations import Application, FlowDecl
from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.graph import AnyNode, FlowGraph, For, Handler, Step, Try, Wait, WorkflowGraph, suspends, walk
from flowgraph_compiler.infer.environment import Env
from flowgraph_compiler.infer.expressions import Evaluator
from flowgraph_compiler.infer.findings import Findings
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span
from flowgraph_compiler.storability import obstacle, private_attributes, width
from flowgraph_compiler.types import UNKNOWN, partial, show
from flowgraph_compiler.variables import bound_names

_STORING = ("FG150", "FG152")


def check(
    graph: WorkflowGraph, app: Application, flows: Mapping[str, FlowTypes], lives: Mapping[str, Liveness]
) -> Iterator[Diagnostic]:
    """Report each variable once, at its assignment, with the await that it lives across."""
    results = [found for decl in declarations(graph, app) for found in _result(decl, graph)]
    yield from results
    for function in graph.functions:
        if function.kind != "pure":
            found = list(_function(function, flows[function.name], lives[function.name], graph.name))
            yield from found
            told = [each.message for each in (*results, *found) if each.rule.code in _STORING]
            yield from _boundaries(function, app, graph.name, told)


def _boundaries(function: FlowGraph, app: Application, workflow: str, told: list[str]) -> Iterator[Diagnostic]:
    """Arguments, results and events are stored whatever lives across an await: the types of what a function calls and gets.

    A part that a message of `told` names already is not repeated."""
    for title, span, tp in _received(function, app):
        for code, part, message, help_ in _unstorable(title, tp):
            if not any(part in text for text in told):
                told.append(message)
                yield Diagnostic(RULES[code], span, message, help_, (), workflow)


def _unstorable(title: str, tp: Any) -> Iterator[tuple[str, str, str, str]]:
    blocked, private = obstacle(tp), private_attributes(tp)
    if blocked is not None:
        yield "FG150", blocked, f"{title} cannot be stored: {blocked}", "keep it inside a step, or pass what is needed of it"
    if private is not None:
        yield "FG152", private, f"{title} has the private attribute {private}, which is not stored", "make it a field"


def _received(function: FlowGraph, app: Application) -> Iterator[tuple[str, Span, Any]]:
    """What crosses the edge of a function: a title, the place and the declared type."""
    decl = {"workflow": app.workflows, "subflow": app.subflows}.get(function.kind, {}).get(function.name)
    for parameter in decl.parameters if decl is not None else ():
        yield f"parameter '{parameter.name}' of {function.kind} '{function.name}'", parameter.span, parameter.type
    for node in walk(function.body):
        called = app.steps.get(node.callee) if isinstance(node, Step) else None
        if called is not None:
            yield f"the result of step '{called.name}'", node.span, called.result
            for parameter in called.parameters:
                yield f"argument '{parameter.name}' of step '{called.name}'", node.span, parameter.type
        if isinstance(node, Wait) and node.event in app.events:
            yield f"event '{node.event}'", node.span, app.events[node.event]


def declarations(graph: WorkflowGraph, app: Application) -> list[FlowDecl]:
    """The declarations of a workflow and of the subflows in its machine."""
    names = [function.name for function in graph.functions]
    found = [app.workflows.get(graph.name), *(app.subflows.get(name) for name in names)]
    return [decl for decl in found if decl is not None]


def _result(decl: FlowDecl, graph: WorkflowGraph) -> Iterator[Diagnostic]:
    """Results are stored and sent to callers."""
    title = f"the result of {decl.kind} '{decl.name}'"
    if decl.result is None:
        return
    wide = width(decl.result)
    if wide is not None:
        yield Diagnostic(RULES["FG163"], decl.span, f"{title} is '{wide}', which is too wide", "-> SomeModel", (), graph.name)
    for code, _, message, help_ in _unstorable(title, decl.result):
        yield Diagnostic(RULES[code], decl.span, message, "-> SomeModel" if code == "FG150" else help_, (), graph.name)


def _function(function: FlowGraph, flow: FlowTypes, liveness: Liveness, workflow: str) -> Iterator[Diagnostic]:
    told: set[str] = set()
    fine: dict[str, list[Any]] = {}
    for node in walk(function.body):
        if node.id in liveness.across and node.id in flow.before:
            for name in sorted(liveness.across[node.id] - told):
                living = _Living(function, flow, node, name)
                if any(known is living.type for known in fine.setdefault(name, [])):
                    continue
                found = _variable(living, workflow)
                if found is None:
                    fine[name].append(living.type)
                else:
                    told.add(name)
                    yield found
    yield from _iterables(function, flow, workflow)


@dataclass(frozen=True)
class _Living:
    """A variable that lives across an await."""

    function: FlowGraph
    flow: FlowTypes
    node: AnyNode
    name: str

    @property
    def type(self) -> Any:
        """Its type at the await; unknown for what is bound on no path to it."""
        return self.flow.before[self.node.id].types.get(self.name)

    def span(self) -> Span:
        """Its first assignment, the `def` line for a parameter."""
        return assignment(self.function, self.name)


def _variable(living: _Living, workflow: str) -> Diagnostic | None:
    tp, name = living.type, living.name
    if tp is None:
        return None
    related = (Related(living.node.span, f"'{name}' lives across this await"),)
    blocked = obstacle(tp)
    if blocked is not None:
        shown = "this value" if name.startswith("$") else f"'{name}'"
        message = f"{shown} of type '{show(tp)}' lives across an await and cannot be stored: {blocked}"
        return Diagnostic(
            RULES["FG150"], living.span(), message, "keep it inside a step, or keep what is needed of it", related, workflow
        )
    if name.startswith("$") or (name in living.function.names and tp is UNKNOWN):
        return None
    return _type_of(living, tp, related, workflow)


def _type_of(living: _Living, tp: Any, related: tuple[Related, ...], workflow: str) -> Diagnostic | None:
    name, private = living.name, private_attributes(tp)
    if private is not None:
        message = f"'{name}' lives across an await and would lose the private attribute {private}"
        return Diagnostic(RULES["FG152"], living.span(), message, "make it a field", related, workflow)
    wide = width(tp)
    if wide is not None:
        message = f"'{name}' of type '{show(tp)}' lives across an await, but '{wide}' is too wide for a stored value"
        return Diagnostic(RULES["FG163"], living.span(), message, f"{name}: SomeModel = ...", related, workflow)
    if partial(tp):
        message = f"the type of '{name}', which lives across an await, cannot be inferred"
        return Diagnostic(RULES["FG162"], living.span(), message, _annotation(name, tp), related, workflow)
    return None


def _annotation(name: str, tp: Any) -> str:
    shown = show(tp).replace("unknown", "...")
    return f"{name}: {shown} = ..." if tp is not UNKNOWN else f"{name}: SomeType = ..."


def _iterables(function: FlowGraph, flow: FlowTypes, workflow: str) -> Iterator[Diagnostic]:
    """A `for` with an await inside keeps what it iterates over."""
    for node in walk(function.body):
        env = flow.before.get(node.id)
        if isinstance(node, For) and env is not None and any(suspends(inner) for inner in node.body):
            found = _iterable(node, env, flow)
            if found is not None:
                message = f"this 'for' has an await inside, and what it iterates over cannot be stored: {found}"
                yield Diagnostic(RULES["FG150"], node.span, message, "iterate over a list", (), workflow)


def _iterable(node: For, env: Env, flow: FlowTypes) -> str | None:
    evaluator = Evaluator(flow.world, env, Findings(""))
    return obstacle(evaluator.iterated(node.iterable))


def assignment(function: FlowGraph, name: str) -> Span:
    """Where a variable is first assigned; the `def` line for a parameter."""
    for node in walk(function.body):
        if name in bound_names(node):
            return node.span
        if isinstance(node, Try) and any(_names(handler, name) for handler in node.handlers):
            return next(handler.span for handler in node.handlers if _names(handler, name))
    return function.span


def _names(handler: Handler, name: str) -> bool:
    return handler.variable == name
