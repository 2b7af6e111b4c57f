"""All checks of a graph and of an application: one module a family, each a function from forms to findings."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph_compiler.checks import bindings, storing
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.graph import WorkflowGraph


def check(graph: WorkflowGraph, app: Application) -> Iterator[Diagnostic]:
    """The findings about one workflow, whose types are inferred."""
    yield from bindings.check(graph, app)
    yield from storing.check(graph, app)
