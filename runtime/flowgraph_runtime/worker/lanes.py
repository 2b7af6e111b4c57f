"""A pool of attempts for each place where steps run: those that wait for a process hold up none that need none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from flowgraph_runtime.executors.assignments import StepExecutor
from flowgraph_runtime.steps import Outcome
from flowgraph_runtime.worker.live import Attempt
from flowgraph_runtime.worker.pool import StepPool

Begin = Callable[[Attempt], Outcome | Coroutine[Any, Any, Outcome]]
Ended = Callable[[Attempt, Outcome], None]


def pool_of(size: int, elsewhere: Mapping[str, StepExecutor], begin: Begin, ended: Ended) -> StepPool | Lanes:
    """Return the plain pool where every step runs in this process, which costs nothing more."""
    return Lanes(size, elsewhere, begin, ended) if elsewhere else StepPool(size, begin, ended)


class Lanes:
    """What `StepPool` is, with a pool of its own for each executor, of as many attempts as that runs at once."""

    def __init__(self, size: int, elsewhere: Mapping[str, StepExecutor], begin: Begin, ended: Ended) -> None:
        self._here = StepPool(size, begin, ended)
        pools = {executor: StepPool(executor.slots, begin, ended) for executor in set(elsewhere.values())}
        self._elsewhere = {step: pools[executor] for step, executor in elsewhere.items()}
        self._pools = [self._here, *pools.values()]

    @property
    def busy(self) -> int:
        """How many attempts are queued or running."""
        return sum(pool.busy for pool in self._pools)

    @property
    def running(self) -> int:
        """How many attempts are running."""
        return sum(pool.running for pool in self._pools)

    @property
    def emptied(self) -> Callable[[], None]:
        """Hears when no attempt is about to begin in this process any more."""
        return self._here.emptied

    @emptied.setter
    def emptied(self, hears: Callable[[], None]) -> None:
        self._here.emptied = hears

    @property
    def has_queued(self) -> bool:
        """Whether attempts are about to begin in this process."""
        return self._here.has_queued

    def submit(self, attempt: Attempt) -> None:
        """Queue an attempt where its step runs."""
        self._elsewhere.get(attempt.command.step, self._here).submit(attempt)

    def abandon(self, attempt: Attempt, *, interrupt: bool) -> None:
        """Drop the outcome; with `interrupt`, also stop the attempt."""
        self._here.abandon(attempt, interrupt=interrupt)

    def hold(self) -> None:
        """Start nothing more; what was queued is dropped."""
        for pool in self._pools:
            pool.hold()

    async def drain(self, grace: float) -> None:
        """Wait until nothing is running, at most `grace` seconds."""
        await asyncio.gather(*(pool.drain(grace) for pool in self._pools))

    async def close(self) -> None:
        """Interrupt what is running and end the pools."""
        await asyncio.gather(*(pool.close() for pool in self._pools))
