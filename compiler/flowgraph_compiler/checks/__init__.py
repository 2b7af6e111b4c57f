"""All checks of a graph and of an application: one module a family, each a function from forms to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowgraph_compiler.checks import (
    bindings,
    calling,
    compensations,
    conditions,
    copies,
    durations,
    emptiness,
    events,
    fan_outs,
    growth,
    keys,
    limits,
    looping,
    matches,
    names,
    options,
    overrides,
    purity,
    reaching,
    schedules,
    storing,
    waiting,
)
from flowgraph_compiler.checks.liveness import Liveness
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.graph import WorkflowGraph
from flowgraph_compiler.infer.nodes import FlowTypes


def check(graph: WorkflowGraph, app: Application, flows: Mapping[str, FlowTypes]) -> Iterator[Diagnostic]:
    """The findings about one workflow, whose waits are split; `flows` has the types at each of its nodes."""
    lives = {function.name: Liveness(function) for function in graph.functions if function.kind != "pure"}
    for by_structure in (looping, durations, fan_outs, overrides):
        yield from by_structure.check(graph)
    analyses = bindings.definite(graph, flows)
    yield from bindings.check(analyses)
    yield from reaching.check(graph, analyses)
    for by_types in (conditions, emptiness, matches, purity, waiting):
        yield from by_types.check(graph, flows)
    yield from growth.check(graph, flows, lives)
    yield from storing.check(graph, app, flows, lives)
    yield from copies.check(graph, app, flows, lives)
    yield from compensations.check(graph, app)


def check_declarations(app: Application) -> Iterator[Diagnostic]:
    """The findings about names and options of what is declared: needs no graph."""
    yield from options.check(app)
    yield from compensations.check_declarations(app)
    yield from schedules.check(app)
    yield from keys.check(app)
    yield from limits.check(app)
    yield from names.check(app)


def check_together(graphs: Mapping[str, WorkflowGraph], app: Application) -> Iterator[Diagnostic]:
    """The findings about all workflows together; `graphs` may lack those that errors stopped."""
    yield from events.check(graphs, app)
    yield from calling.check(graphs, app)
