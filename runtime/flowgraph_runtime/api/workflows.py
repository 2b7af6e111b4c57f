"""The served workflows, their machines and diagrams."""

from __future__ import annotations

import ast
import json
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from starlette.responses import Response

from flowgraph_compiler.cron import words
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.machine import Limit, Machine, Trigger
from flowgraph_compiler.safe_points import Position
from flowgraph_runtime.api.endpoints import Call, answer
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.api.shapes import (
    LimitOut,
    MachineList,
    MachineOut,
    ScheduleOut,
    SkippedOut,
    StandingOut,
    WorkflowOut,
    WorkflowPage,
)
from flowgraph_runtime.diagrams import live_svg
from flowgraph_runtime.intake import parameters_model
from flowgraph_runtime.limits import key_text, limit_words
from flowgraph_runtime.moments import rfc3339
from flowgraph_runtime.positions import Standing
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.storage.schedules import ScheduleRow
from flowgraph_runtime.views import time

DAY = 86_400_000_000


async def listing(call: Call) -> Response:
    """List the served workflows by name, with how the runs of the last day ended."""
    registry = call.service.registry
    outcomes = await call.service.store.outcomes(call.service.clock.now() - DAY)
    items = [workflow_view(registry, name, outcomes.get(name, {})) for name in sorted(registry.current)]
    return answer(WorkflowPage(items=items))


async def single(call: Call) -> Response:
    """Show one workflow."""
    name = _known(call)
    outcomes = await call.service.store.outcomes(call.service.clock.now() - DAY)
    view = workflow_view(call.service.registry, name, outcomes.get(name, {}))
    view.schedules = [_schedule(row) for row in await call.service.store.schedules.of_workflow(name)]
    return answer(view)


async def machine(call: Call) -> Response:
    """Return the workflow's machine as canonical JSON."""
    registry = call.service.registry
    return Response(registry.texts[registry.current[_known(call)]], media_type="application/json")


async def deployed(call: Call) -> Response:
    """List the machines that live runs are on, of earlier deployments too."""
    found = await call.service.store.deployed_machines()
    items = [
        MachineOut(
            workflow=one.workflow,
            fingerprint=one.fingerprint,
            runs=one.runs,
            examples=list(one.examples),
            machine=json.loads(one.text),
            standings=[_standing(each) for each in one.standings],
        )
        for one in found
    ]
    return answer(MachineList(items=items))


_POSITIONS = TypeAdapter(Position)


def _standing(standing: Standing) -> StandingOut:
    position = None if standing.position is None else _POSITIONS.dump_python(standing.position, mode="json")
    return StandingOut(position=position, runs=standing.runs, examples=list(standing.examples))


async def diagram(call: Call) -> Response:
    """Draw the workflow."""
    return await live_svg(call.service.registry.machine_of(_known(call)))


def _known(call: Call) -> str:
    """The name of the workflow that the path names, by an alias perhaps."""
    name = call.service.registry.workflow_named(call.path["name"])
    if name is None:
        served = ", ".join(sorted(call.service.registry.current)) or "none"
        raise Problem(404, "not found", f"no workflow is named '{call.path['name']}' (served: {served})")
    return name


def workflow_view(registry: Registry, name: str, runs: dict[str, int]) -> WorkflowOut:
    """Return a workflow as the interface shows it."""
    machine_ = registry.machine_of(name)
    declared = registry.application.workflows[name]
    return WorkflowOut(
        name=name,
        fingerprint=registry.current[name],
        file=machine_.file,
        line=declared.span.line,
        triggers=[_trigger(trigger) for trigger in machine_.triggers],
        schema=input_schema(registry, machine_),
        options=_options(declared),
        limits=[_limit(limit) for limit in machine_.limits],
        runs=runs,
    )


def _trigger(trigger: Trigger) -> dict[str, Any]:
    if trigger.kind == "cron":
        policies = {"catch_up": trigger.catch_up, "overlap": trigger.overlap, "jitter": trigger.jitter}
        return {"kind": "cron", "cron": trigger.cron, "zone": trigger.zone, **policies}
    return {"kind": "event", "events": list(trigger.names), "where": trigger.where is not None}


def _limit(limit: Limit) -> LimitOut:
    words = limit_words(limit)
    return LimitOut(limit=limit.limit, scope=limit.scope, step=limit.step, key=key_text(limit), pool=limit.pool, words=words)


def _schedule(row: ScheduleRow) -> ScheduleOut:
    schedule = row.schedule
    skipped = [
        SkippedOut(first=time(skip.first), last=time(skip.last), count=skip.count, reason=skip.reason) for skip in row.skipped
    ]
    return ScheduleOut(
        expression=schedule.expression,
        tz=schedule.zone,
        words=words(schedule.expression, schedule.zone),
        catch_up=schedule.catch_up,
        overlap=schedule.overlap,
        jitter=schedule.jitter / 1_000_000,
        next_at=rfc3339(row.next_at),
        due_at=rfc3339(row.due),
        last_at=rfc3339(row.last_at),
        skipped=skipped,
    )


def input_schema(registry: Registry, machine_: Machine) -> dict[str, Any]:
    """Return the JSON schema of what a run of the workflow takes: its event's data, or the parameters by name."""
    if machine_.parameter_kind == "event":
        names = dict.fromkeys(name for trigger in machine_.triggers for name in trigger.names)
        schemas = [_schema(registry.events[name]) for name in names if name in registry.events]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    if machine_.parameter_kind == "cron":
        return {"type": "object", "additionalProperties": False}
    return _schema(parameters_model(registry.application.workflows[machine_.workflow]))


def _schema(kind: Any) -> dict[str, Any]:
    try:
        return TypeAdapter(kind).json_schema()
    except PydanticInvalidForJsonSchema:
        return {}


def _options(declared: FlowDecl) -> dict[str, Any]:
    """The options that the author wrote: their values, or their source where these are no plain JSON; triggers stand apart."""
    calls = [decorator for decorator in declared.tree.decorator_list if isinstance(decorator, ast.Call)]
    written = {keyword.arg: ast.unparse(keyword.value) for call in calls for keyword in call.keywords}
    given = declared.target.options.given()
    return {name: _plain(value, written.get(name)) for name, value in given.items() if name not in ("on", "where")}


def _plain(value: Any, written: str | None) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "name", None) or written or repr(value)
