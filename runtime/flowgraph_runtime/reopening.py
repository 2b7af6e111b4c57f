"""Retries a failed run: reads its past, lets the engine say how it goes on, and commits that if nobody was faster."""

from __future__ import annotations

from flowgraph.codec import loads
from flowgraph.errors import FailureInfo
from flowgraph_runtime.engine.errors import NotReopenable
from flowgraph_runtime.engine.reopening import reopen, retry_row
from flowgraph_runtime.engine.state import snapshot
from flowgraph_runtime.errors import MissingCode
from flowgraph_runtime.inspection import program_of
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage.errors import NotFailed
from flowgraph_runtime.worker.live import LiveRun
from flowgraph_runtime.worker.writing import Writer


async def retry(row: RunRow, service: Service) -> None:
    """Let a failed run go on from its failed step, with all of that step's attempts anew; steps before it are not run again.

    Raises `NotFailed` for a run in another status, `NotReopenable` for one that its own code has failed, and `MissingCode` when
    the deployed code cannot run its machine."""
    if row.status != "failed":
        raise NotFailed(row.id, row.status)
    program, missing = await program_of(row, service)
    if missing:
        raise MissingCode(row.machine, missing)
    failure = _failure(row, service)
    state, decision = reopen(program, row, await service.store.journal(row.id), failure, service.clock.now())
    live = LiveRun(row.id, row, program, state, state.at, row.status)
    writer = Writer(service.registry, service.distribution, _snapshot_of, lambda: False)
    transition = writer.transition(live, decision, [retry_row(state, decision, failure)], [])
    if transition.snapshot is None:
        writer.save(live, transition)
    await service.store.reopen(transition)


def _snapshot_of(live: LiveRun) -> str:
    return snapshot(live.state, live.program, by_reference=True)


def _failure(row: RunRow, service: Service) -> FailureInfo:
    """Which step of the run failed it: as its error says, or what that was raised from."""
    others: list[FailureInfo] = []
    error: BaseException | None = None if row.error is None else loads(row.error, service.registry.types)
    while error is not None:
        info = getattr(error, "flowgraph", None)
        if isinstance(info, FailureInfo) and info.step is not None:
            if info.run_id == row.id:
                return info
            others.append(info)
        error = error.__cause__
    if others:
        raise NotReopenable(row.id, others[0].step, others[0].run_id)
    raise NotReopenable(row.id, None)
