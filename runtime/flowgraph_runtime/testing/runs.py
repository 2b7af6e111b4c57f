"""One run, as a test sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from flowgraph.codec import TypeRegistry, loads
from flowgraph.durations import format_duration
from flowgraph_runtime.api.shapes import StepOut
from flowgraph_runtime.errors import RunCancelled
from flowgraph_runtime.history import History
from flowgraph_runtime.inspection import history_of
from flowgraph_runtime.moments import moment
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage import ENDED
from flowgraph_runtime.testing.time import Time
from flowgraph_runtime.views import run_status

R = TypeVar("R")
MOST_SKIPS = 10_000
"""Timers that a result is waited for: a workflow that sleeps for ever has no result."""


class NotEnded(AssertionError):
    """The run has not ended and nothing brings it on; says where it is."""


class RunCrashed(AssertionError):
    """The engine has given the run up: a fault of the engine or of the test's set-up, never of the workflow."""


@dataclass(frozen=True)
class Surroundings:
    """What all runs of one engine share."""

    service: Service
    time: Time
    skip_time: bool
    types: Callable[[], TypeRegistry]


class Run(Generic[R]):
    """A run of a workflow that returns `R`; `id` as everywhere."""

    def __init__(self, id: str, around: Surroundings) -> None:
        self.id = id
        self._around = around

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    async def result(self) -> R:
        """Return the result. Raises the exception that the run failed with, `RunCancelled`, or `NotEnded` for a run that waits:
        with `skip_time` the time passes until it has ended or only an event could bring it on."""
        row = await self._ended()
        if row.status == "completed":
            value: R = loads(row.result or "null", self._around.service.registry.types)
            return value
        raise self._failure(row)

    async def status(self) -> str:
        """Return the status: running, sleeping, waiting, completed, failed, ..."""
        return run_status(await self._row())

    async def error(self) -> BaseException | None:
        """Return what `result()` raises of a run that has ended without one, None for any other."""
        row = await self._row()
        return self._failure(row) if row.status in ("failed", "cancelled", "crashed") else None

    async def steps(self) -> list[StepOut]:
        """Return every node of the machine in source order, as `GET /v1/runs/{id}/steps` does: status, visits, attempts."""
        return (await self._history()).steps()

    async def cancel(self, reason: str = "by the test") -> None:
        """Ask the run to end, and let it."""
        await self._around.service.store.ask_cancel(self.id, reason)
        await self._around.time.rest()

    async def _row(self) -> RunRow:
        row = await self._around.service.store.run(self.id)
        assert row is not None
        return row

    async def _history(self) -> History:
        return await history_of(await self._row(), self._around.service)

    async def _ended(self) -> RunRow:
        time = self._around.time
        await time.rest()
        row = await self._row()
        for _ in range(MOST_SKIPS):
            if row.status in ENDED:
                return row
            if not self._around.skip_time or not await time.skip():
                raise NotEnded(await self._where(row))
            row = await self._row()
        raise NotEnded(f"{await self._where(row)}\nand {MOST_SKIPS:,} timers have fired: does this workflow ever end?")

    async def _where(self, row: RunRow) -> str:
        service = self._around.service
        history = await self._history()
        current = set(history.current())
        nodes = [node for node in history.steps() if node.id in current]
        lines = [f"run {self.id} of '{row.workflow}' has not ended, it is {run_status(row)}:"]
        lines += [f"  line {node.line}: {_at(node)}" for node in nodes]
        return "\n".join([*lines, _hint(await service.store.next_timer(), service.clock.now(), self._around.skip_time)])

    def _failure(self, row: RunRow) -> BaseException:
        if row.status == "cancelled" or row.error is None:
            return RunCancelled(self.id, row.reason)
        error: BaseException = loads(row.error, self._around.types())
        return RunCrashed(row.reason or str(error)) if row.status == "crashed" else error


def _at(node: StepOut) -> str:
    attempts: Sequence[Any] = node.instances[-1].attempts if node.instances else ()
    last = attempts[-1].error if attempts else None
    return f"{node.kind} {node.name} ({node.status}{f', last error: {last.type}: {last.message}' if last else ''})"


def _hint(due: int | None, now: int, skip_time: bool) -> str:
    if due is None:
        return "no timer is set: only an event can bring it on"
    left = format_duration(timedelta(microseconds=max(0, due - now)))
    skipped = "" if skip_time else f': `await app.advance("{left}")` lets it pass'
    return f"the next timer is due in {left}, at {moment(due):%Y-%m-%d %H:%M:%S} UTC{skipped}"
