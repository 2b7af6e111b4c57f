"""The first page, with all workflows, and the page of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flowgraph.options import DEFAULT_BACKOFF, DEFAULT_RETRIES
from flowgraph.policies import Backoff
from flowgraph_compiler.cron import words
from flowgraph_compiler.machine import Machine
from flowgraph_runtime.api.workflows import input_schema
from flowgraph_runtime.dashboard.shell import missing, render
from flowgraph_runtime.dashboard.statistics import Health, OutcomeBar, counted, health, outcome_bars, rate, usual_duration
from flowgraph_runtime.limits import limit_words
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage import overview
from flowgraph_runtime.storage.keysets import Cursor
from flowgraph_runtime.storage.overview import LiveCounts
from flowgraph_runtime.storage.run_pages import RunSummary, RunsWanted, run_page

_RECENT = 10
_RESTING = ("waiting", "sleeping", "paused")
_RUNS_SHOWN = 25


@dataclass(frozen=True, slots=True)
class TriggerLine:
    """What starts a workflow: `kind` event or cron; `note` says more about it."""

    kind: str
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class WorkflowLine:
    """A workflow with how it is doing. `queued`, `running` and `resting` count live runs; `resting_as`: what most of the resting
    ones are, waiting, sleeping or paused."""

    name: str
    place: str
    fingerprint: str
    triggers: tuple[TriggerLine, ...]
    rate: str
    health: Health
    queued: int
    running: int
    resting: int
    resting_as: str
    last_started: int | None
    usual: int | None
    bars: list[OutcomeBar]
    words: str


def triggers_of(machine: Machine) -> tuple[TriggerLine, ...]:
    """Return what starts runs of the workflow."""
    lines: list[TriggerLine] = []
    for trigger in machine.triggers:
        if trigger.kind == "cron":
            lines.append(TriggerLine("cron", words(trigger.cron or "", trigger.zone or ""), ""))
        else:
            note = "if its condition holds" if trigger.where is not None else ""
            lines.extend(TriggerLine("event", name, note) for name in trigger.names)
    return tuple(lines)


def workflow_line(service: Service, name: str, runs: Sequence[RunSummary], live: LiveCounts) -> WorkflowLine:
    """Return a workflow from its newest runs, newest first, and the counts of live ones."""
    registry, now = service.registry, service.clock.now()
    machine, declared = registry.machine_of(name), registry.application.workflows[name]
    names = registry.names_of_workflow(name)
    return WorkflowLine(
        name,
        f"{machine.file}:{declared.span.line}",
        registry.current[name],
        triggers_of(machine),
        rate(runs, now),
        health(runs),
        live.of(names, "queued"),
        live.of(names, "running", "cancelling"),
        live.of(names, *_RESTING),
        max(_RESTING, key=lambda status: live.of(names, status)),
        (runs[0].started_at or runs[0].created_at) if runs else None,
        usual_duration(runs),
        outcome_bars(runs, now),
        counted(runs),
    )


async def home(request: Request, service: Service) -> Response:
    """Show the workflows and the newest runs."""
    del request
    parked = frozenset(service.registry.unsatisfied())
    live = await service.store.ask(overview.live_counts)
    names = sorted(service.registry.current)
    lines = [workflow_line(service, name, await _recent(service, name, parked), live) for name in names]
    page = await service.store.ask(lambda connection: run_page(connection, RunsWanted(parked=parked), Cursor(), _RECENT))
    return render("home.html", service, section="workflows", workflows=lines, runs=page.items, bounded=live.bounded)


async def _recent(service: Service, name: str, parked: frozenset[str]) -> list[RunSummary]:
    names = service.registry.names_of_workflow(name)
    return await service.store.ask(lambda connection: overview.recent_runs(connection, names, parked))


async def workflow(request: Request, service: Service) -> Response:
    """Show one workflow: how it is doing, its diagram, options and newest runs."""
    registry = service.registry
    name = registry.workflow_named(request.path_params["name"])
    if name is None:
        return missing(
            service, f"Workflow '{request.path_params['name']}'", "It is not among the modules that this server serves."
        )
    runs = await _recent(service, name, frozenset(registry.unsatisfied()))
    line = workflow_line(service, name, runs, await service.store.ask(overview.live_counts))
    return render(
        "workflow.html",
        service,
        section="workflows",
        workflow=line,
        runs=runs[:_RUNS_SHOWN],
        options=options_of(registry.application.workflows[name].target.options),
        limits=[limit_words(limit) for limit in registry.machine_of(name).limits],
        schedules=await service.store.schedules.of_workflow(name),
        schema=input_schema(registry, registry.machine_of(name)),
    )


def options_of(options: Any) -> list[tuple[str, str, bool]]:
    """Return the options of a workflow as (name, value, whether it is the default), retries and backoff always among them."""
    given = {name: value for name, value in options.given().items() if name not in ("on", "where", "name", "concurrency")}
    shown = {"retries": DEFAULT_RETRIES, "backoff": DEFAULT_BACKOFF, **given}
    return [(name.replace("_", " "), option_words(value), name not in given) for name, value in shown.items()]


def option_words(value: Any) -> str:
    """Return an option as people write it."""
    if isinstance(value, Backoff):
        return f"{value.kind} from {value.delay}, times {value.factor:g}, at most {value.max}, jitter {value.jitter:.0%}"
    if isinstance(value, list | tuple):
        return "; ".join(option_words(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if hasattr(value, "__dataclass_fields__"):
        parts = [(field.name, getattr(value, field.name)) for field in fields(value)]
        return ", ".join(f"{name} {_plain(part)}" for name, part in parts if part is not None)
    return _plain(value)


def _plain(value: Any) -> str:
    name = getattr(value, "event_name", None) or getattr(value, "name", None)
    if isinstance(name, str):
        return name
    return "by a function" if callable(value) else str(value)
