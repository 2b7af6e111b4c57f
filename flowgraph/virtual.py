"""An event loop whose clock jumps to the next timer as soon as nothing else can happen: a sleep of 30 days takes a
millisecond.
"""

from __future__ import annotations

import asyncio
import selectors
from asyncio import Future
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for real only while a thread or a socket could still report something."""

    owner: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.owner.awaits_outside(len(self.get_map())):
            events = super().select(timeout)
        elif timeout is None:
            raise RuntimeError("nothing can happen any more: a wait without a timeout, or an awaited future that nobody resolves")
        else:
            events = super().select(0)
        if not events and timeout is not None:
            self.owner.jump(timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own, which starts at `start` (now, when left out; aware)."""

    def __init__(self, start: datetime | None = None) -> None:
        self._virtual = 0.0
        self._outside = 0
        self._start = start or datetime.now(UTC)
        selector = _JumpingSelector()
        selector.owner = self
        super().__init__(selector)
        self._clock_resolution = 1e-6  # the default is below the spacing of floats after some months, timers would never be due

    def time(self) -> float:
        """Return the loop's own time in seconds, from 0."""
        return self._virtual

    def now(self) -> datetime:
        """Return the loop's time as a moment."""
        return self._start + timedelta(seconds=self._virtual)

    def jump(self, seconds: float) -> None:
        """Move the clock on."""
        self._virtual += seconds

    def awaits_outside(self, watched: int) -> bool:
        """Say whether a thread works for this loop or it watches more than its own wake-up pipe."""
        return self._outside > 0 or watched > 1

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Future[Any]:  # type: ignore[override]  # less precise
        """Run `func` in a thread; the clock does not jump meanwhile."""
        self._outside += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._reported)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Join the threads, which report from outside too."""
        self._outside += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._outside -= 1

    def _reported(self, _: Future[Any]) -> None:
        self._outside -= 1


def run_virtual(main: Coroutine[Any, Any, T], *, start: datetime | None = None) -> T:
    """Run `main` to its end on a `VirtualLoop` and return its result."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start)) as runner:
        return runner.run(main)
