"""What undoes the steps of a workflow with a saga: `@step(compensate=...)`."""

from __future__ import annotations

from flowgraph.options import UNSET
from flowgraph_compiler import graph
from flowgraph_compiler.declarations import Application, StepDecl
from flowgraph_compiler.graph import WorkflowGraph


def compensation_site(site: str) -> str:
    """The site of the compensation of a call: a place of its own in the run."""
    return f"{site}/$undo"


def compensations_of(workflow: WorkflowGraph, app: Application) -> dict[str, StepDecl]:
    """The compensations by the names of the steps that they undo; none where no saga would call them."""
    nodes = [node for function in workflow.functions for node in graph.walk(function.body)]
    if not any(isinstance(node, graph.Scope) and node.kind == "saga" for node in nodes):
        return {}
    called = {node.callee for node in nodes if isinstance(node, graph.Step)}
    found = {name: compensation_of(app.steps[name], app) for name in sorted(called)}
    return {name: step for name, step in found.items() if step is not None}


def compensation_of(step: StepDecl, app: Application) -> StepDecl | None:
    """The declaration of a step's compensation; None where it has none, or has something else for one."""
    undo = step.step.options.compensate
    if undo is UNSET:
        return None
    return next((other for other in app.steps.values() if other.step is undo), None)
