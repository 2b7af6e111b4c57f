"""FG320 in bodies: a `limit=` of `fan_out` that is written out."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import Captured, Const, Expr, Unary
from flowgraph_compiler.graph import FanOut, WorkflowGraph, walk
from flowgraph_compiler.rulebook import RULES


def check(graph: WorkflowGraph) -> Iterator[Diagnostic]:
    """Numbers and constants; what is computed is checked when it is known."""
    for function in graph.functions:
        for node in walk(function.body):
            if isinstance(node, FanOut) and node.limit is not None:
                yield from _limit(node, node.limit, graph)


def _limit(node: FanOut, limit: Expr, graph: WorkflowGraph) -> Iterator[Diagnostic]:
    value = _written(limit, graph)
    if isinstance(value, int) and value < 1:
        span = limit.span if limit.span.line else node.span
        message = f"'limit={value!r}' of '{node.kind}' is no whole number from 1 on"
        yield Diagnostic(RULES["FG320"], span, message, "limit=20", (), graph.name)


def _written(expr: Expr, graph: WorkflowGraph) -> object:
    match expr:
        case Const(value):
            return value
        case Captured(name):
            return graph.constants.get(name)
        case Unary("-", Const(int(value))):
            return -value
        case _:
            return None
