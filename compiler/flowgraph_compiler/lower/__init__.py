"""The last phase: the typed step graph to the state machine.

Each function becomes basic blocks (`flow`), in which await-free stretches are native statements (`native`); blocks are then
tidied and numbered (`tidy`), and every suspension is told which variables to keep (`liveness`).
"""

from __future__ import annotations

from flowgraph import Cron
from flowgraph.codec import dumps
from flowgraph.options import UNSET, WorkflowOptions, given_or
from flowgraph_compiler.compensations import compensations_of
from flowgraph_compiler.cron import five_fields
from flowgraph_compiler.declarations import Application
from flowgraph_compiler.graph import FlowGraph, WorkflowGraph
from flowgraph_compiler.lower.actions import Actions, actions_of, wire_names
from flowgraph_compiler.lower.errors import NotLowerable
from flowgraph_compiler.lower.flow import Flow
from flowgraph_compiler.lower.limits import limits
from flowgraph_compiler.lower.liveness import with_liveness
from flowgraph_compiler.lower.manifest import key_paths, manifest
from flowgraph_compiler.lower.nodes import durable_nodes, sites
from flowgraph_compiler.lower.policies import seconds
from flowgraph_compiler.lower.tidy import tidy
from flowgraph_compiler.machine import Function, Machine, Trigger
from flowgraph_compiler.verify import verify

__all__ = ["NotLowerable", "lower"]


def lower(workflow: WorkflowGraph, app: Application) -> Machine:
    """The machine of a checked workflow. Raises `NotLowerable` for what the machine cannot express yet."""
    options = app.workflows[workflow.name].target.options
    identities = sites(workflow)
    actions = actions_of(workflow, app, identities)
    machine = Machine(
        workflow=workflow.name,
        functions=tuple(_function(each, actions) for each in workflow.functions),
        on_failure=workflow.on_failure,
        on_cancel=workflow.on_cancel,
        cancel_on=workflow.cancel_on,
        constants=tuple((name, dumps(value)) for name, value in sorted(workflow.constants.items())),
        triggers=_triggers(workflow, options, app),
        parameter_kind=_parameter_kind(options),
        timeout=seconds(given_or(options.timeout, None)),
        key_paths=key_paths(workflow, app),
        nodes=durable_nodes(workflow, identities, compensations_of(workflow, app)),
        manifest=manifest(workflow, app),
        limits=limits(workflow, options, app),
        file=workflow.main.span.file,
        span=workflow.main.span,
    )
    return verify(machine)


def _function(function: FlowGraph, actions: Actions) -> Function:
    blocks = with_liveness(tidy(Flow(actions.of).function(function.body)))
    return Function(function.name, function.kind, function.parameters, function.defaults, function.keyword_only, blocks)


def _triggers(workflow: WorkflowGraph, options: WorkflowOptions, app: Application) -> tuple[Trigger, ...]:
    if options.where is not UNSET and workflow.where is None:
        raise NotLowerable(workflow.main.span, "'where=' of the trigger has no readable lambda", "write where=lambda e: ...")
    parameter, where = workflow.where or (None, None)
    return tuple(
        _schedule(on) if isinstance(on, Cron) else Trigger("event", wire_names(on, app), parameter, where)
        for on in options.triggers()
    )


def _schedule(on: Cron) -> Trigger:
    jitter = seconds(on.jitter)
    fields = five_fields(on.expression)
    return Trigger("cron", cron=fields, zone=on.tz, catch_up=on.catch_up, overlap=on.overlap, jitter=jitter)


def _parameter_kind(options: WorkflowOptions) -> str:
    """How a run's input becomes the function's arguments."""
    if options.batch is not UNSET:
        return "batch"
    kinds = {"cron" if isinstance(on, Cron) else "event" for on in options.triggers()}
    return "event" if "event" in kinds else "cron" if kinds else "parameters"
