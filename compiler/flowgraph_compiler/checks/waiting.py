"""FG151, FG220, FG223, FG224: waits, predicates of triggers, and the moments that are slept until."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from flowgraph_compiler.assignability import assignable
from flowgraph_compiler.diagnostics import Diagnostic, Level
from flowgraph_compiler.expressions import Attribute, Bound, Compare, Const, Expr, Keyword, Local, Method, New
from flowgraph_compiler.graph import AnyNode, Body, FlowGraph, Parallel, Scope, SleepUntil, Wait, WorkflowGraph, walk
from flowgraph_compiler.infer.environment import Env
from flowgraph_compiler.infer.expressions import Evaluator
from flowgraph_compiler.infer.findings import Findings, meant
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.infer.world import parameters
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.split import conjuncts
from flowgraph_compiler.statements import Assign
from flowgraph_compiler.subexpressions import inside
from flowgraph_compiler.types import NONE, class_of, fields, members, show
from flowgraph_compiler.variables import targets_of

_COMPARED = (str, int, float, bytes, UUID, Enum, date, type(None))


def check(graph: WorkflowGraph, flows: Mapping[str, FlowTypes]) -> Iterator[Diagnostic]:
    """All waits and sleeps of a workflow."""
    for function in graph.functions:
        flow = flows[function.name]
        for node in walk(function.body):
            env = flow.before.get(node.id, flow.within.get(node.id))
            for waiting in () if env is None else (node, *_branches(node)):
                yield from _node(waiting, function, flow, env or Env())
    if graph.where is not None:
        yield from _trigger(*graph.where, flows[graph.main.name])


def _branches(node: AnyNode) -> Iterator[AnyNode]:
    """The branches of a group, which are reached with it."""
    for branch in node.branches if isinstance(node, Parallel) else ():
        yield from (branch, *_branches(branch))


def _node(node: AnyNode, function: FlowGraph, flow: FlowTypes, env: Env) -> Iterator[Diagnostic]:
    workflow = flow.world.graph.name
    if isinstance(node, Wait):
        yield from _wait(node, flow, env, workflow)
    elif isinstance(node, SleepUntil) and is_naive(node.when, function):
        message = "'sleep_until' takes an aware datetime, and this one has no zone"
        yield Diagnostic(RULES["FG151"], node.span, message, "datetime(..., tzinfo=UTC)", (), workflow)


def _in_timeouts(body: Body) -> set[str]:
    """The ids of the nodes inside `async with timeout(...)`."""
    scopes = (node for node in walk(body) if isinstance(node, Scope) and node.kind == "timeout")
    return {inner.id for scope in scopes for inner in walk(scope.body)}


def _wait(node: Wait, flow: FlowTypes, env: Env, workflow: str) -> Iterator[Diagnostic]:
    is_limited = node.id in _in_timeouts(flow.world.function.body) or flow.world.function.name in flow.world.graph.cancel_on
    if node.timeout is None and not is_limited:
        message = f"this run waits for '{node.event}' without a limit"
        yield Diagnostic(RULES["FG220"], node.span, message, 'timeout="30d"', (), workflow)
    if node.since == "now":
        message = f"a '{node.event}' that comes before this wait is registered is missed"
        yield Diagnostic(RULES["FG224"], node.span, message, "leave out 'since=\"now\"'", (), workflow)
    event = flow.world.app.events.get(node.event)
    if node.residual is None or event is None:
        return
    wrong = list(_wrong(node.residual, node.parameter, event, flow, env))
    if flow.world.function.name in flow.world.graph.cancel_on:
        wrong += [found for name, tp in parameters(flow.world).items() for found in _of_trigger(node.residual, name, tp, flow)]
    yield from wrong
    if not wrong and not node.keys:
        message = f"'where' has no equality between a field of '{node.event}' and a value of the run: every event is looked at"
        help_ = f"where=lambda {node.parameter}: {node.parameter}.some_id == some_id and ..."
        yield Diagnostic(RULES["FG223"], _place(node.residual, node), message, help_, (), workflow, Level.NOTE)


def _trigger(parameter: str, where: Expr, flow: FlowTypes) -> Iterator[Diagnostic]:
    """FG223: a `where=` of the workflow that is never true of any of its events."""
    triggers = flow.world.app.workflows[flow.world.graph.name].target.options.triggers()
    events = [trigger for trigger in triggers if isinstance(trigger, type)]
    wrong = [list(_wrong(where, parameter, event, flow, Env())) for event in events]
    if all(wrong):
        yield from (found for of_event in wrong for found in of_event)


def _wrong(expr: Expr, parameter: str, event: Any, flow: FlowTypes, env: Env) -> Iterator[Diagnostic]:
    workflow = flow.world.graph.name
    evaluator = Evaluator(flow.world, env.narrowed(f"^{parameter}", event), Findings(workflow))
    yield from unknown_fields(expr, Bound(parameter), event, flow)
    yield from _never(expr, evaluator, workflow)


def _of_trigger(expr: Expr, name: str, tp: Any, flow: FlowTypes) -> Iterator[Diagnostic]:
    """Unknown fields of what started the run: nothing would ever cancel it, silently."""
    if isinstance(tp, type):
        yield from unknown_fields(expr, Local(name), tp, flow)


def _place(expr: Expr, node: Wait) -> Any:
    return expr.span if expr.span.line else node.span


def unknown_fields(expr: Expr, receiver: Expr, event: Any, flow: FlowTypes) -> Iterator[Diagnostic]:
    """FG223: fields of the receiver that its event does not have, nor any event below it."""
    kinds = [event, *(cls for cls in flow.world.app.events.values() if issubclass(cls, event))]
    known = list(dict.fromkeys(name for cls in kinds for name in fields(cls) or {}))
    for part in inside(expr):
        name = part.name if isinstance(part, Attribute) and part.value == receiver else None
        if name is not None and name not in known and not any(hasattr(cls, name) for cls in kinds):
            message = f"event '{event.__name__}' has no field '{name}'"
            yield Diagnostic(RULES["FG223"], part.span, message, meant(name, known), (), flow.world.graph.name)


def _never(residual: Expr, evaluator: Evaluator, workflow: str) -> Iterator[Diagnostic]:
    """FG223: equalities of types that have no value in common."""
    for conjunct in conjuncts(residual):
        match conjunct:
            case Compare(left, ("==",), (right,)):
                one, other = evaluator.of(left), evaluator.of(right)
                if not _overlap(one, other):
                    message = f"this is never true: no '{show(one)}' is equal to a '{show(other)}'"
                    yield Diagnostic(RULES["FG223"], conjunct.span, message, "compare values of one type", (), workflow)
            case _:
                pass


def _overlap(left: Any, right: Any) -> bool:
    return any(_meet(one, other) for one in members(left) for other in members(right))


def _meet(left: Any, right: Any) -> bool:
    """Whether a value of each may be equal; True where a class may define its own equality."""
    classes = [class_of(left), class_of(right)]
    if any(cls is None or not issubclass(cls, _COMPARED) for cls in classes):
        return True
    if {left, right} & {NONE}:
        return left is right
    return assignable(left, right) or assignable(right, left)


# --- FG151


def is_naive(expr: Expr, function: FlowGraph) -> bool:
    """Whether an expression is certainly a datetime without a zone."""
    match expr:
        case New("datetime", arguments, keywords):
            return len(arguments) < 8 and all(keyword.name not in ("tzinfo", None) for keyword in keywords)
        case Method(_, "replace", (), keywords):
            return any(_removes_zone(keyword) for keyword in keywords)
        case Method(_, "fromisoformat", (Const(str() as text),), ()):
            return _is_naive_text(text)
        case Local(name):
            values = list(assigned_values(function, name))
            return bool(values) and all(
                value is not None and not isinstance(value, Local) and is_naive(value, function) for value in values
            )
        case _:
            return False


def _removes_zone(keyword: Keyword) -> bool:
    return keyword.name == "tzinfo" and keyword.value == Const(None)


def _is_naive_text(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is None
    except ValueError:
        return False


def assigned_values(function: FlowGraph, name: str) -> Iterator[Expr | None]:
    """The expressions that a variable is assigned; None for an assignment of another kind."""
    if name in function.names:
        yield None
    for node in walk(function.body):
        for target in targets_of(node):
            if any(part == Local(name) for part in inside(target)):
                statement = getattr(node, "statement", None)
                yield statement.value if isinstance(statement, Assign) and target == Local(name) else None
