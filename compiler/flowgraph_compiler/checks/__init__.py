"""All checks of a graph and of an application: one module a family, each a function from forms to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowgraph_compiler.checks import (
    bindings,
    conditions,
    durations,
    events,
    keys,
    looping,
    names,
    options,
    reaching,
    storing,
    waiting,
)
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.graph import WorkflowGraph


def check(graph: WorkflowGraph, app: Application) -> Iterator[Diagnostic]:
    """The findings about one workflow, whose types are inferred and whose waits are split."""
    for family in (bindings, storing, reaching, looping, conditions, waiting, durations):
        yield from family.check(graph, app)


def check_declarations(app: Application) -> Iterator[Diagnostic]:
    """The findings about names and options of what is declared: needs no graph."""
    yield from options.check(app)
    yield from keys.check(app)
    yield from names.check(app)


def check_together(graphs: Mapping[str, WorkflowGraph], app: Application) -> Iterator[Diagnostic]:
    """The findings about all workflows together; `graphs` may lack those that errors stopped."""
    yield from events.check(graphs, app)
