"""A fixed pool of coroutines that await steps: no task per step (a task costs more than the rest of a no-op step)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from flowgraph_runtime.engine.inputs import StepDone, StepFailed
from flowgraph_runtime.steps import Outcome
from flowgraph_runtime.worker.live import Attempt

BURST = 256
"""Attempts that a pool coroutine runs before it lets the rest of the loop have a turn: the database then writes the outcomes of
some while others run, and a request waits for some 3 ms of quick steps, not for thousands."""


class StepPool:
    """Runs attempts, at most `size` at once, in the order they were submitted; `begin` starts one and returns its outcome or what
    brings it; `ended` gets each outcome, at once; `emptied` hears when none is queued any more.

    A pool coroutine takes attempts until none is queued. Before it awaits one that has begun and not ended it wakes another, so
    that a step that suspends holds nobody up and steps that do not are run in one go."""

    def __init__(
        self,
        size: int,
        begin: Callable[[Attempt], Outcome | Coroutine[Any, Any, Outcome]],
        ended: Callable[[Attempt, Outcome], None],
    ) -> None:
        self.emptied: Callable[[], None] = _nobody
        self._size = size
        self._begin = begin
        self._ended = ended
        self._ready: deque[Attempt] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking = False
        self._running = 0
        self._held = False
        self._drained: asyncio.Event | None = None

    @property
    def busy(self) -> int:
        """How many attempts are queued or running."""
        return len(self._ready) + self._running

    @property
    def running(self) -> int:
        """How many attempts are running."""
        return self._running

    @property
    def has_queued(self) -> bool:
        """Whether attempts are about to begin."""
        return bool(self._ready)

    def submit(self, attempt: Attempt) -> None:
        """Queue an attempt."""
        attempt.live.attempts[attempt.command.serial] = attempt
        self._ready.append(attempt)
        if not self._waking:
            self._wake()

    def abandon(self, attempt: Attempt, *, interrupt: bool) -> None:
        """Drop the outcome; with `interrupt`, also stop the attempt at its next await (a thread goes on to its end)."""
        attempt.abandoned = attempt.abandoned or interrupt
        if interrupt and attempt.task is not None:
            attempt.task.cancel()

    def hold(self) -> None:
        """Start nothing more; what was queued is dropped."""
        self._held = True
        self._ready.clear()

    async def drain(self, grace: float) -> None:
        """Wait until nothing is running, at most `grace` seconds."""
        if not self._running:
            return
        self._drained = asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._drained.wait()

    async def close(self) -> None:
        """Interrupt what is running and end the pool."""
        self.hold()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake(self) -> None:
        if self._waking or self._held or not self._ready:
            return
        if self._idle:
            self._waking = True
            self._idle.pop().set_result(None)
        elif len(self._tasks) < self._size:
            self._waking = True
            task = asyncio.get_running_loop().create_task(self._work(), name="flowgraph step pool")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        ready, begin, forget, ended = self._ready, self._begin, self._forget, self._ended
        while not self._held:
            self._waking = False
            taken = 0
            while ready:
                attempt = ready.popleft()
                outcome = None if attempt.abandoned else begin(attempt)
                kind = type(outcome)
                if kind is StepDone or kind is StepFailed or outcome is None:
                    forget(attempt)
                    if outcome is not None:
                        ended(attempt, outcome)  # type: ignore[arg-type]
                else:
                    self._wake()
                    await self._take(attempt, outcome, task)  # type: ignore[arg-type]
                taken += 1
                if taken % BURST == 0:
                    await asyncio.sleep(0)
            if not self._held:
                self.emptied()
                await self._rest()

    async def _rest(self) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._idle.append(woken)
        await woken

    async def _take(self, attempt: Attempt, running: Coroutine[Any, Any, Outcome], task: asyncio.Task[None]) -> None:
        attempt.task = task
        self._running += 1
        try:
            outcome = await running
        except asyncio.CancelledError:
            if not attempt.abandoned:
                raise
            task.uncancel()
            return
        finally:
            attempt.task = None
            self._running -= 1
            if self._drained is not None and not self._running:
                self._drained.set()
            self._forget(attempt)
        if task.cancelling() and attempt.abandoned:  # the step swallowed its interruption
            task.uncancel()
        if not attempt.abandoned:
            self._ended(attempt, outcome)

    @staticmethod
    def _forget(attempt: Attempt) -> None:
        attempt.live.attempts.pop(attempt.command.serial, None)
        if attempt.hold is not None:
            attempt.hold.leave()


def _nobody() -> None:
    """Nobody listens."""
