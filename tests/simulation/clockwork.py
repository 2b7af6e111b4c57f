"""Time in a simulation: the engine's clock and alarm on the loop's virtual time, and a store whose calls take some of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from flowgraph.virtual import VirtualLoop
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.errors import SimulatedCrash


class LoopClock:
    """The loop's virtual time as the engine's clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._start = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> int:
        return round(
            ((self._start - datetime(1970, 1, 1, tzinfo=UTC)) + timedelta(seconds=self._loop.time())).total_seconds() * 1e6
        )


class LoopAlarm:
    """Rings by the loop's own timers."""

    def __init__(self, clock: LoopClock, interval: float = 300.0) -> None:
        self._clock = clock
        self._interval = interval
        self._armed: asyncio.TimerHandle | None = None
        self._rung: set[asyncio.Task[None]] = set()
        self._net: asyncio.Task[None] | None = None
        self._ring: Callable[[], Awaitable[None]] | None = None

    def start(self, ring: Callable[[], Awaitable[None]]) -> None:
        self._ring = ring
        self._net = asyncio.ensure_future(self._again())

    async def _again(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._once()

    async def _once(self) -> None:
        assert self._ring is not None
        with suppress(SimulatedCrash):  # the whole process is about to be dropped
            await self._ring()

    def set(self, due: int) -> None:
        if self._armed is not None:
            self._armed.cancel()
        self._armed = asyncio.get_running_loop().call_later(max(0.0, (due - self._clock.now()) / 1e6), self._now)

    def _now(self) -> None:
        task = asyncio.ensure_future(self._once())
        self._rung.add(task)
        task.add_done_callback(self._rung.discard)

    def stop(self) -> None:
        for waiting in (self._net, self._armed):
            if waiting is not None:
                waiting.cancel()


class SlowStore:
    """The store with a delay before and after each call, drawn from the seed, so that calls overtake each other."""

    def __init__(self, store: Store, random_: random.Random) -> None:
        self._store = store
        self._random = random_

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name in ("schedules", "slots"):
            return SlowStore(method, self._random)
        if not asyncio.iscoroutinefunction(method) and name != "start_run":  # which is awaited, but no coroutine
            return method

        async def delayed(*args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(self._random.random() * 0.01)
            result = await method(*args, **kwargs)
            await asyncio.sleep(self._random.random() * 0.01)
            return result

        return delayed
