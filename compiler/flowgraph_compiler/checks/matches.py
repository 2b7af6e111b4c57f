"""FG212, FG201: values that no case of a `match` takes, and cases that no value gets to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.graph import Match, WorkflowGraph, walk
from flowgraph_compiler.infer.nodes import FlowTypes
from flowgraph_compiler.notation import pattern_text
from flowgraph_compiler.patterns import is_irrefutable
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.types import show

_MOST = 6
"""How many of the missing values are named."""


def check(graph: WorkflowGraph, flows: Mapping[str, FlowTypes]) -> Iterator[Diagnostic]:
    """By the type of the subject at each `match` that is reached."""
    for function in graph.functions:
        flow = flows[function.name]
        for node in walk(function.body):
            if isinstance(node, Match) and node.id in flow.before:
                yield from _missing(node, flow, graph.name)
                yield from _never_taken(node, flow, graph.name)


def _missing(node: Match, flow: FlowTypes, workflow: str) -> Iterator[Diagnostic]:
    missing = flow.missing(node, flow.before[node.id])
    if missing:
        named = ", ".join(missing[:_MOST]) + (f" and {len(missing) - _MOST} more" if len(missing) > _MOST else "")
        span = node.subject.span if node.subject.span.line else node.span
        message = f"this 'match' does not take every '{show(flow.subject_type(node))}', missing: {named}"
        yield Diagnostic(RULES["FG212"], span, message, f"case {missing[0]}: ..., or 'case _:' for the rest", (), workflow)


def _never_taken(node: Match, flow: FlowTypes, workflow: str) -> Iterator[Diagnostic]:
    """`case _:` for safety is no mistake."""
    for number, case in enumerate(node.cases):
        if (node.id, number) not in flow.taken and not is_irrefutable(case.pattern):
            message = f"no value of '{show(flow.subject_type(node))}' gets to 'case {pattern_text(case.pattern)}'"
            yield Diagnostic(RULES["FG201"], case.span, message, "remove it", (), workflow)
