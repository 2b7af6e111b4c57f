"""Runs: starting, listing, looking into, cancelling, retrying."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.responses import Response

from flowgraph.durations import DurationError, parse_duration
from flowgraph_runtime import reopening
from flowgraph_runtime.api.endpoints import Call, answer
from flowgraph_runtime.api.paging import page_of, since_of
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.api.shapes import CancelIn, CancelOut, JournalPage, RunOut, RunPage, StartIn, StepsOut
from flowgraph_runtime.diagrams import live_svg
from flowgraph_runtime.endings import Ends
from flowgraph_runtime.engine.errors import NotReopenable
from flowgraph_runtime.inspection import history_of, reason_of
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.storage.errors import NotFailed
from flowgraph_runtime.storage.transitions import ENDED
from flowgraph_runtime.typed import result_json
from flowgraph_runtime.views import journal_view, run_view

MOST_WAIT = 60.0
"""Seconds that `?wait=` may ask for."""
SOON = 0.02
"""Seconds in which a short run has ended; who works on it elsewhere is not heard, so then it is looked at."""


async def start(call: Call) -> Response:
    """Start a run by hand; with `Idempotency-Key` a repetition answers the first run."""
    seconds = _wait(call.queries().get("wait"))
    body: StartIn = await call.body()
    key = call.checked_header("Idempotency-Key")
    run_id, created = await call.service.intake.start(call.path["name"], body.input, key)
    row = await (_ended_within(call, run_id, seconds, new=created) if seconds else _row(call, run_id))
    return answer(shown(call, row), 201 if created else 200, {"Location": f"/v1/runs/{run_id}"})


def _wait(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        return min(parse_duration(text).total_seconds(), MOST_WAIT)
    except DurationError as error:
        raise Problem(400, "bad query parameter", f"'wait': {error}") from None


async def _ended_within(call: Call, run_id: str, seconds: float, *, new: bool = False) -> RunRow:
    """Wait for the run's end, which its commit tells; look again now and then, because another process may work on it. `new`: its
    start was committed just now, so it need not be looked at before something is heard of it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    with call.service.endings.of(run_id) as ends:
        if new and (ended := await _next_of(ends, min(seconds, SOON))) is not None:
            return ended
        while (row := await _row(call, run_id)).status not in ENDED and (left := deadline - loop.time()) > 0:
            if (ended := await _next_of(ends, min(left, 1.0))) is not None:
                return ended
    return row


async def _next_of(ends: Ends, seconds: float) -> RunRow | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await ends.get()
    return None


async def _row(call: Call, run_id: str) -> RunRow:
    row = await call.service.store.run(run_id)
    if row is None:
        raise Problem(404, "not found", f"there is no run '{run_id}'")
    return row


async def listing(call: Call) -> Response:
    """List runs, newest first."""
    queries = call.queries()
    limit, cursor = page_of(call, queries)
    workflow = queries.get("workflow")
    rows, following = await call.service.store.runs(
        workflow=None if workflow is None else call.service.registry.names_of_workflow(workflow),
        status=queries.get("status"),
        event_id=queries.get("event_id"),
        since=since_of(queries),
        cursor=cursor,
        limit=limit,
        parked=call.service.registry.unsatisfied() if "status" in queries else (),
    )
    items = [shown(call, row) for row in rows]
    return answer(RunPage(items=items, next_cursor=None if following is None else str(following)))


async def single(call: Call) -> Response:
    """Show a run and where it is; with `wait` once it has ended."""
    seconds = _wait(call.queries().get("wait"))
    run_id = call.path["id"]
    row = await (_ended_within(call, run_id, seconds) if seconds else _row(call, run_id))
    going_on = row.status not in ENDED and not _missing(call, row)
    current = (await history_of(row, call.service)).current() if going_on else []
    view = shown(call, row, current)
    return answer(view if view.reason is not None else view.model_copy(update={"reason": await reason_of(row, call.service)}))


def shown(call: Call, row: RunRow, current: list[str] | None = None) -> RunOut:
    """Return a run as the interface shows it."""
    registry = call.service.registry
    view = run_view(row, registry.types, current, _missing(call, row), registry.machines.get(row.machine))
    declared = registry.application.workflows.get(row.workflow)
    if row.result is not None and declared is not None:
        view.result = result_json(declared.result, row.result, registry.types)
    return view


def _missing(call: Call, row: RunRow) -> list[str]:
    registry = call.service.registry
    return registry.missing(row.machine) if row.machine in registry.machines else []


async def steps(call: Call) -> Response:
    """Show every node of the run's machine, reached or not; or one of them, with a page of its visits."""
    queries = call.queries()
    limit, cursor = page_of(call, queries)
    history = await history_of(await _row(call, call.path["id"]), call.service)
    if "node" not in queries:
        return answer(StepsOut(items=history.steps()))
    one = history.step(queries["node"], cursor, limit)
    if one is None:
        raise Problem(404, "not found", f"the run's machine has no node '{queries['node']}'")
    return answer(StepsOut(items=[one]))


async def journal(call: Call) -> Response:
    """Show the inputs of a run, in order."""
    queries = call.queries()
    limit, cursor = page_of(call, queries)
    row = await _row(call, call.path["id"])
    rows = await call.service.store.journal(row.id, -1 if cursor is None else cursor, limit + 1)
    following = str(rows[limit - 1].seq) if len(rows) > limit else None
    return answer(JournalPage(items=[journal_view(entry) for entry in rows[:limit]], next_cursor=following))


async def diagram(call: Call) -> Response:
    """Draw the run's machine with the state of each node."""
    row = await _row(call, call.path["id"])
    history = await history_of(row, call.service)
    return await live_svg(call.service.registry.machines[row.machine], history.statuses())


async def retry(call: Call) -> Response:
    """Let a failed run go on from its failed step: answered when that is committed."""
    row = await _row(call, call.path["id"])
    try:
        await reopening.retry(row, call.service)
    except (NotFailed, NotReopenable) as refused:
        raise Problem(409, "cannot be retried", str(refused)) from None
    return await single(call)


async def cancel(call: Call) -> Response:
    """Ask to cancel a run: answered when the request is committed."""
    body: CancelIn = await call.body() if await call.request.body() else CancelIn()
    row = await _row(call, call.path["id"])
    return answer(CancelOut(id=row.id, status=await call.service.store.ask_cancel(row.id, body.reason)))
