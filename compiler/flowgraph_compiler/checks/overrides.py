"""FG320, FG321 of `.with_(...)` at a call of a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from flowgraph_compiler.checks.options import values
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.graph import Step, WorkflowGraph, walk
from flowgraph_compiler.rulebook import RULES


def check(graph: WorkflowGraph) -> Iterator[Diagnostic]:
    """The options given at the calls, by the same rules as those of decorators."""
    for function in graph.functions:
        for node in walk(function.body):
            if isinstance(node, Step):
                yield from _of_call(node, graph.name)


def _of_call(node: Step, workflow: str) -> Iterator[Diagnostic]:
    def report(code: str, name: str, message: str, help_: str) -> Diagnostic:
        del name
        return Diagnostic(RULES[code], node.span, f"call of step '{node.callee}': {message}", help_, (), workflow)

    for option in fields(node.overrides):
        value = getattr(node.overrides, option.name)
        if value is None:
            continue
        if option.name == "name" and not _is_name(value):
            yield report(
                "FG320", "name", f"'name={value!r}' is no name of letters, digits, '_', '-' and '.'", 'name="second_try"'
            )
        yield from values(option.name, value, report)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value.replace("-", "_").replace(".", "_").isidentifier()
