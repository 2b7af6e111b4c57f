"""The durable nodes of a machine in source order: the rows of a run page, and the sites that identify step calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowgraph_compiler import graph
from flowgraph_compiler.compensations import compensation_site
from flowgraph_compiler.declarations import StepDecl
from flowgraph_compiler.expressions import Const, New
from flowgraph_compiler.graph import AnyNode, Body, FlowGraph, WorkflowGraph
from flowgraph_compiler.machine import BEGIN, NodeInfo
from flowgraph_compiler.notation import expression

_NONE: Mapping[str, StepDecl] = {}

_KINDS: dict[type, str] = {
    graph.Step: "step",
    graph.Subflow: "subflow",
    graph.Child: "child",
    graph.Start: "start",
    graph.Sleep: "sleep",
    graph.SleepUntil: "sleep",
    graph.Wait: "wait",
    graph.Send: "send",
}


def sites(workflow: WorkflowGraph) -> dict[str, str]:
    """Node id -> site. `.with_(name=...)` puts its name in the place of the step's; a second one gets an ordinal."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for function in workflow.functions:
        for node in graph.walk(function.body):
            if isinstance(node, (*graph.SUSPENSIONS, graph.Scope)):
                found[node.id] = _free(_site(node, function), taken)
                taken.add(found[node.id])
    return found


def _site(node: AnyNode, function: FlowGraph) -> str:
    if isinstance(node, graph.Step) and node.overrides.name is not None:
        return f"{function.name}/{node.overrides.name}"
    return node.id


def _free(site: str, taken: set[str]) -> str:
    ordinals = (site if n == 1 else f"{site}#{n}" for n in range(1, len(taken) + 2))
    return next(free for free in ordinals if free not in taken)


def durable_nodes(
    workflow: WorkflowGraph, sites: dict[str, str], compensations: Mapping[str, StepDecl] = _NONE
) -> tuple[NodeInfo, ...]:
    """One row per durable node: the workflow's own, then those of subflows and handlers; a step's compensation below it."""
    rows = (row for function in workflow.functions for row in _rows(function.body, None, function.name, sites))
    steps = {
        node.id: node.callee
        for function in workflow.functions
        for node in graph.walk(function.body)
        if isinstance(node, graph.Step) and node.callee in compensations
    }
    return tuple(each for row in rows for each in (row, *_undoing(row, steps, compensations)))


def _undoing(row: NodeInfo, steps: Mapping[str, str], compensations: Mapping[str, StepDecl]) -> Iterator[NodeInfo]:
    if row.id in steps:
        site, name = compensation_site(row.site), compensations[steps[row.id]].name
        yield NodeInfo(compensation_site(row.id), site, name, "compensation", row.line, row.id, row.function)


def _rows(body: Body, parent: str | None, function: str, sites: dict[str, str]) -> Iterator[NodeInfo]:
    for node in body:
        inside = parent
        if isinstance(node, graph.SUSPENSIONS) and not node.id.endswith(BEGIN):
            yield NodeInfo(node.id, sites[node.id], label(node), _kind(node), node.span.line, parent, function)
            inside = node.id if isinstance(node, graph.Parallel | graph.FanOut) else parent
        for inner in graph.bodies(node):
            yield from _rows(inner, inside, function, sites)


def _kind(node: AnyNode) -> str:
    return node.kind if isinstance(node, graph.Parallel | graph.FanOut) else _KINDS[type(node)]


def label(node: AnyNode) -> str:
    """What a person calls the node: a step's or event's name, how long a sleep is."""
    match node:
        case graph.Step(callee=callee, overrides=overrides):
            return overrides.name or callee
        case graph.Subflow(callee=callee) | graph.Child(callee=callee) | graph.Start(callee=callee):
            return callee
        case graph.Sleep(duration=duration):
            return f"sleep {str(duration.value) if isinstance(duration, Const) else expression(duration)}"
        case graph.SleepUntil(when=when):
            return f"sleep until {expression(when)}"
        case graph.Wait(event=event):
            return event
        case graph.Send(event=event):
            return event.cls if isinstance(event, New) else expression(event)
        case graph.Parallel(kind=kind) | graph.FanOut(kind=kind):
            return kind
        case _:
            return type(node).__name__.lower()
