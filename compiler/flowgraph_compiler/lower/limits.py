"""`concurrency=` of a workflow and of the steps that it calls, as the limits of its machine."""

from __future__ import annotations

from flowgraph.options import UNSET, WorkflowOptions
from flowgraph_compiler import graph
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.graph import WorkflowGraph
from flowgraph_compiler.machine import Limit
from flowgraph_compiler.types import items_of


def limits(workflow: WorkflowGraph, options: WorkflowOptions, app: Application) -> tuple[Limit, ...]:
    """Return the workflow's own limits in their order, then those of its steps by name."""
    policies = () if options.concurrency is UNSET else tuple(items_of(options.concurrency))
    own = [
        Limit(_pool(workflow.name, number), policy.scope, policy.limit, None, *(key or (None, None)))
        for number, (policy, key) in enumerate(zip(policies, workflow.keys, strict=True))
    ]
    called = sorted(
        {node.callee for each in workflow.functions for node in graph.walk(each.body) if isinstance(node, graph.Step)}
    )
    return (*own, *(limit for name in called for limit in _step_limits(name, app)))


def _pool(workflow: str, number: int) -> str:
    return f"workflow '{workflow}'" + (f" ({number + 1})" if number else "")


def _step_limits(name: str, app: Application) -> list[Limit]:
    given = app.steps[name].step.options.concurrency
    policies = () if given is UNSET else tuple(items_of(given))
    return [Limit(f"step '{name}'", policy.scope, policy.limit, name) for policy in policies]
