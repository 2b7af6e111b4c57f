"""A graph as the machine that it would lower to, as far as a diagram shows it: no policies, no manifest, no triggers."""

from __future__ import annotations

from flowgraph_compiler.graph import WorkflowGraph
from flowgraph_compiler.lower.actions import Actions
from flowgraph_compiler.lower.flow import Flow
from flowgraph_compiler.lower.nodes import durable_nodes, sites
from flowgraph_compiler.lower.tidy import tidy
from flowgraph_compiler.machine import Function, Machine, Manifest, Policy


def outlined(workflow: WorkflowGraph) -> Machine:
    """The machine's blocks and nodes. Raises `NotLowerable` as `lower` does."""
    identities = sites(workflow)

    actions = Actions(identities, lambda _: Policy(), lambda event: (event, (event,)), lambda _: ())
    functions = tuple(
        Function(
            each.name, each.kind, each.parameters, each.defaults, each.keyword_only, tidy(Flow(actions.of).function(each.body))
        )
        for each in workflow.functions
    )
    nodes = durable_nodes(workflow, identities)
    empty = Manifest((), (), (), ())
    return Machine(
        workflow.name,
        functions,
        workflow.on_failure,
        workflow.on_cancel,
        (),
        (),
        "parameters",
        None,
        (),
        nodes,
        empty,
        cancel_on=workflow.cancel_on,
    )
