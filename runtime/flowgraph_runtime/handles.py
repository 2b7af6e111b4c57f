"""Handles of runs: what a typed client gives for a started run, and how it ended as a typed result or error."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from time import monotonic
from typing import Generic, Protocol, TypeVar

from flowgraph import Duration, Workflow
from flowgraph.durations import format_duration, parse_duration
from flowgraph_runtime.api.shapes import CancelOut, RunOut
from flowgraph_runtime.errors import RunCancelled, RunFailed
from flowgraph_runtime.typed import result_of

R = TypeVar("R")
ENDED = ("completed", "failed", "cancelled", "crashed")
LONGEST_WAIT = 30.0
"""Seconds that one question is held open: proxies close what is quiet for longer."""


class Asking(Protocol):
    """What a handle needs of a client."""

    longest_wait: float

    def run(self, run_id: str, *, wait: str | None = None) -> RunOut:
        """Return a run, with `wait` once it has ended or the time is over."""
        ...

    def cancel(self, run_id: str, reason: str | None = None) -> CancelOut:
        """Ask to cancel a run."""
        ...


class AsyncAsking(Protocol):
    """The same of an asynchronous client."""

    longest_wait: float

    async def run(self, run_id: str, *, wait: str | None = None) -> RunOut:
        """Return a run, with `wait` once it has ended or the time is over."""
        ...

    async def cancel(self, run_id: str, reason: str | None = None) -> CancelOut:
        """Ask to cancel a run."""
        ...


class RunHandle(Generic[R]):
    """A run of a workflow that returns `R`. It is good for as long as the server keeps the run, over restarts of either."""

    def __init__(self, client: Asking, id: str, workflow: Workflow[..., R]) -> None:
        self.id = id
        self._client, self._workflow = client, workflow

    def __repr__(self) -> str:
        return f"<handle of {self.id}>"

    def result(self, timeout: Duration | None = None) -> R:
        """Wait for the end and return the result. Raises `RunFailed`, `RunCancelled`, built-in TimeoutError after `timeout` (a
        duration such as "30s"; None: never), `pydantic.ValidationError` for a result of another type than declared here, and what
        the client raises. A wait that has failed may be repeated."""
        waits = _waits(timeout, self._client.longest_wait)
        run = self._client.run(self.id, wait=next(waits))
        while run.status not in ENDED:
            wait = next(waits, None)
            if wait is None:
                raise _too_slow(run, timeout)
            run = self._client.run(self.id, wait=wait)
        return outcome(run, self._workflow)

    def run(self) -> RunOut:
        """Return the run as it is."""
        return self._client.run(self.id)

    def status(self) -> str:
        """Return the run's status."""
        return self.run().status

    def cancel(self, reason: str | None = None) -> CancelOut:
        """Ask the run to end."""
        return self._client.cancel(self.id, reason)


class AsyncRunHandle(Generic[R]):
    """The same for asyncio."""

    def __init__(self, client: AsyncAsking, id: str, workflow: Workflow[..., R]) -> None:
        self.id = id
        self._client, self._workflow = client, workflow

    def __repr__(self) -> str:
        return f"<handle of {self.id}>"

    async def result(self, timeout: Duration | None = None) -> R:  # noqa: ASYNC109  (the server waits, not this loop)
        """Wait for the end and return the result; see `RunHandle.result`."""
        waits = _waits(timeout, self._client.longest_wait)
        run = await self._client.run(self.id, wait=next(waits))
        while run.status not in ENDED:
            wait = next(waits, None)
            if wait is None:
                raise _too_slow(run, timeout)
            run = await self._client.run(self.id, wait=wait)
        return outcome(run, self._workflow)

    async def run(self) -> RunOut:
        """Return the run as it is."""
        return await self._client.run(self.id)

    async def status(self) -> str:
        """Return the run's status."""
        return (await self.run()).status

    async def cancel(self, reason: str | None = None) -> CancelOut:
        """Ask the run to end."""
        return await self._client.cancel(self.id, reason)


def outcome(run: RunOut, workflow: Workflow[..., R]) -> R:
    """Return the result of a run that has ended, in the type that the workflow declares. Raises `RunFailed`, `RunCancelled`."""
    if run.status == "completed":
        result: R = result_of(workflow, run.result)
        return result
    if run.status == "cancelled":
        raise RunCancelled(run.id, run.reason)
    error = run.error
    if error is None:
        raise RunFailed(run.id, "Exception", run.reason or run.status)
    raise RunFailed(run.id, error.type, error.message, error.step, error.attempt)


def _waits(timeout: Duration | None, longest: float) -> Iterator[str]:
    """Yield how long to wait in each of the questions that make up the whole time, at least one."""
    left = total = math.inf if timeout is None else parse_duration(timeout).total_seconds()
    begun = monotonic()
    while True:
        yield f"{round(min(max(left, 0), longest) * 1000)}ms"
        left = total - (monotonic() - begun)
        if left <= 0:
            return


def _too_slow(run: RunOut, timeout: Duration | None) -> TimeoutError:
    shown = format_duration(timeout) if isinstance(timeout, timedelta) else timeout
    return TimeoutError(f"run {run.id} of '{run.workflow}' has not ended after {shown}: it is {run.status}")
