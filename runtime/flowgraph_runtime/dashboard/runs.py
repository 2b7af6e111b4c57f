"""The list of runs, and the page of one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flowgraph_runtime.api.shapes import StepOut
from flowgraph_runtime.dashboard.filters import RUN_STATUSES, WITHIN, Form, run_form, runs_wanted
from flowgraph_runtime.dashboard.lines import StepLine, depths_of, error_line, is_over, picture_version, step_counts, step_lines
from flowgraph_runtime.dashboard.shell import BadRequest, may_operate, missing, render
from flowgraph_runtime.dashboard.sources import Place, called
from flowgraph_runtime.dashboard.timeline import timeline
from flowgraph_runtime.errors import MissingCode
from flowgraph_runtime.history import History
from flowgraph_runtime.inspection import history_of, reason_of
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage.keysets import KeyPage
from flowgraph_runtime.storage.run_pages import RunSummary, RunsWanted, run_page, run_summary
from flowgraph_runtime.views import run_view

PAGE = 50
"""Rows of a list."""


async def listing(request: Request, service: Service) -> Response:
    """Show the runs that a visitor looks for, newest first."""
    form = run_form(request.query_params)
    wanted = runs_wanted(form, service.clock.now(), frozenset(service.registry.unsatisfied()))
    if isinstance(wanted.workflow, str):
        wanted = replace(wanted, workflow=service.registry.names_of_workflow(wanted.workflow))
    page = await _page(service, form, wanted)
    return render(
        "runs.html",
        service,
        section="runs",
        form=form,
        page=page,
        runs=page.items,
        workflows=sorted(service.registry.current),
        statuses=RUN_STATUSES,
        spans=tuple(WITHIN),
    )


async def _page(service: Service, form: Form, wanted: RunsWanted) -> KeyPage[RunSummary]:
    try:
        return await service.store.ask(lambda connection: run_page(connection, wanted, form.cursor, PAGE))
    except ValueError as error:
        raise BadRequest(f"'before' and 'after': {error}") from None


async def run(request: Request, service: Service) -> Response:
    """Show one run: every step of its machine, with what has happened and what is still to come."""
    row = await service.store.run(request.path_params["id"])
    if row is None:
        return missing(service, f"Run '{request.path_params['id']}'", "It may have been removed, or the address is wrong.")
    try:
        history = await history_of(row, service)
    except MissingCode as gone:
        return missing(service, f"The code of run '{row.id}'", str(gone))
    nodes = history.steps()
    steps = _steps(service, row, history, nodes)
    facts = await run_facts(service, row, steps)
    end = row.ended_at or service.clock.now()
    return render(
        "run.html",
        service,
        section="runs",
        run=facts | {"version": f"{picture_version(nodes)}-{facts['status']}"},
        steps=steps,
        timeline=timeline(row.created_at, row.started_at, end, nodes, depths_of(nodes)),
        operator=await may_operate(request, service),
    )


def _steps(service: Service, row: RunRow, history: History, nodes: list[StepOut]) -> list[StepLine]:
    infos = service.registry.machines[row.machine].nodes
    visits = {node.id: history.shown(node.site) for node in infos}
    return step_lines(nodes, _places(service, row), visits, service.clock.now(), ended=is_over(row))


def _places(service: Service, row: RunRow) -> dict[str, Place]:
    machine = service.registry.machines[row.machine]
    return {node.id: called(service.registry, machine, node) for node in machine.nodes}


async def run_facts(service: Service, row: RunRow, steps: list[StepLine]) -> dict[str, Any]:
    """Return the head of a run's page."""
    registry = service.registry
    machine = registry.machines[row.machine]
    view = run_view(row, registry.types, [], registry.missing(row.machine), machine)
    summary = await service.store.ask(lambda connection: run_summary(connection, row.id))
    now = service.clock.now()
    return {
        "id": row.id,
        "workflow": row.workflow,
        "served": row.workflow in registry.current,
        "status": view.status,
        "event_id": row.event_id,
        "event_name": summary.event_name if summary is not None else None,
        "origin": summary.origin if summary is not None else "hand",
        "parent": row.parent_run,
        "is_child": row.parent_serial is not None,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "duration": None if row.started_at is None else (row.ended_at or now) - row.started_at,
        "queue_delay": (row.started_at or now) - row.created_at,
        "steps": step_counts(steps),
        "machine": row.machine,
        "current": registry.current.get(row.workflow) == row.machine,
        "error": error_line(view.error, row.error),
        "failed_step": view.error.step if view.error else None,
        "failed_at": next((step.place for step in steps if step.name == row.failed_step and step.status == "failed"), None),
        "reason": view.reason or await reason_of(row, service),
        "input": view.input,
        "result": view.result,
    }
