"""Short ways from a text to its forms, for tests."""

from __future__ import annotations

from flowgraph_compiler.build import build
from flowgraph_compiler.graph import WorkflowGraph
from flowgraph_compiler.lower import lower
from flowgraph_compiler.machine import Machine
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.reader import read
from flowgraph_compiler.source import from_text

PRELUDE = """\
from flowgraph import parallel, sleep, step, subflow, wait_for, workflow

@step
async def f(n: int) -> int: ...

"""


def unchecked(text: str, name: str = "module_under_test") -> tuple[WorkflowGraph, Machine]:
    """Graph and machine of the one workflow in a text, without inference and checks."""
    app, found = read([from_text(text, name)])
    assert not found, found
    graph, found = build(app, next(iter(app.workflows)))
    assert graph is not None, found
    return graph, lower(graph, app)


def checked(text: str, name: str = "module_under_test") -> tuple[WorkflowGraph, Machine]:
    """Graph and machine of the one workflow in a text, by the whole pipeline."""
    compilation = compile_application([from_text(text, name)])
    assert compilation.ok, compilation.diagnostics
    (graph,), (machine,) = compilation.graphs.values(), compilation.machines.values()
    return graph, machine
