"""FG320, FG321 in bodies: durations of `sleep`, `wait_for` and `timeout` that are written out."""

from __future__ import annotations

from collections.abc import Iterator

from flowgraph.durations import parse_duration
from flowgraph_compiler.checks.options import duration_error
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.expressions import Captured, Const, Expr, Unary
from flowgraph_compiler.graph import AnyNode, Scope, Sleep, Wait, WorkflowGraph, walk
from flowgraph_compiler.rulebook import RULES


def check(graph: WorkflowGraph) -> Iterator[Diagnostic]:
    """Texts and numbers; what is computed is checked when it is known."""
    for function in graph.functions:
        for node in walk(function.body):
            expr = duration_of(node)
            wrong = None if expr is None else _wrong(expr, graph)
            if expr is not None and wrong is not None:
                span = expr.span if expr.span.line else node.span
                yield Diagnostic(RULES["FG321"], span, wrong, '"30s", "24h" or a timedelta', (), graph.name)
            elif (
                isinstance(node, Scope)
                and isinstance(expr, Const)
                and isinstance(expr.value, str)
                and not parse_duration(expr.value)
            ):
                message = f"'timeout({expr.value!r})' is over before its block begins"
                yield Diagnostic(RULES["FG320"], node.span, message, 'async with timeout("1h"):', (), graph.name)


def duration_of(node: AnyNode) -> Expr | None:
    """The duration that a node takes."""
    match node:
        case Sleep(duration=expr) | Scope(duration=expr) | Wait(timeout=expr):
            return expr
        case _:
            return None


def _wrong(expr: Expr, graph: WorkflowGraph) -> str | None:
    match expr:
        case Const(value):
            return _described(value)
        case Captured(name) if name in graph.constants:
            return _described(graph.constants[name])
        case Unary("-", Const(value)):
            return f"'-{value!r}' is no duration"
        case _:
            return None


def _described(value: object) -> str | None:
    wrong = duration_error(value)
    shown = repr(value) if isinstance(value, str) else f"'{value!r}'"
    return None if wrong is None else f"{shown} is no duration: {wrong}"
