"""What a deployment means for live runs, and moving them."""

from __future__ import annotations

from starlette.responses import Response

from flowgraph_runtime import migration
from flowgraph_runtime.api.endpoints import Call, answer
from flowgraph_runtime.api.shapes import FateOut, MigrationOut, MovedOut, PlanOut
from flowgraph_runtime.deploy_plan import Fate
from flowgraph_runtime.migration import Moved

LISTED = 1_000
"""Runs that an answer lists one by one; all are counted."""


async def plan(call: Call) -> Response:
    """Say what becomes of the live runs under the deployed code."""
    return answer(PlanOut(items=[_fate(fate) for fate in await migration.fates(call.service)]))


async def apply(call: Call) -> Response:
    """Move the runs of which it is proven that they can go on with the deployed machines."""
    told: list[Moved] = []
    await migration.move_all(call.service, told.append)
    listed = [MovedOut(run=one.run_id, workflow=one.workflow, machine=one.machine, to=one.to, why=one.why) for one in told]
    moved = sum(one.why is None for one in told)
    return answer(MigrationOut(moved=moved, kept=len(told) - moved, items=listed[:LISTED]))


def _fate(fate: Fate) -> FateOut:
    return FateOut(
        workflow=fate.workflow,
        machine=fate.machine,
        to=fate.to,
        outcome=fate.outcome,  # type: ignore[arg-type]  # one of them
        runs=fate.runs,
        examples=list(fate.examples),
        at=fate.at,
        why=fate.why,
        codes=list(fate.codes),
    )
