"""Takes runs that nobody owns: as soon as one is announced, and by polling for those that nobody announced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from flowgraph_runtime.records import RunRow


class Claimer:
    """Claims in batches until none is left, then rests until woken or for `interval` seconds. `stopped`: nothing more is claimed.

    `room` says how many more runs the worker can hold in memory; `look` is called once in `interval`, for what others did;
    `pause` says for how many seconds to let other workers go first, 0 if there are none."""

    def __init__(
        self,
        claim: Callable[[int], Awaitable[list[RunRow]]],
        adopt: Callable[[list[RunRow]], Awaitable[None]],
        room: Callable[[], int],
        look: Callable[[], Awaitable[None]],
        batch: int,
        interval: float,
        pause: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._claim = claim
        self._adopt = adopt
        self._room = room
        self._look = look
        self._batch = batch
        self._interval = interval
        self._pause = pause
        self._wanted = asyncio.Event()
        self._wanted.set()
        self.stopped = False
        self._claiming = False
        self._has_all = False
        self._next_look = 0.0

    @property
    def idle(self) -> bool:
        """Whether no claim is under way or asked for."""
        return not self._claiming and not self._wanted.is_set()

    @property
    def has_all(self) -> bool:
        """Whether the last claim left nothing that could be claimed, so that a new run is the next one's turn."""
        return self._has_all and not self.stopped

    def wake(self) -> None:
        """Some run may have become claimable."""
        self._wanted.set()

    def look_soon(self) -> None:
        """Look at once for what nobody announced."""
        self._next_look = 0.0
        self.wake()

    def stop(self) -> None:
        """Claim nothing more."""
        self.stopped = True
        self._wanted.set()

    async def run(self) -> None:
        """Claim until stopped."""
        try:
            while not self.stopped:
                await self._again()
        finally:
            self.stopped = True

    async def _again(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._interval):
                await self._wanted.wait()
        self._claiming = True
        self._wanted.clear()
        try:
            await self._look_around()
            await self._claim_all()
        finally:
            self._claiming = False

    async def _look_around(self) -> None:
        """A busy process is woken all the time, and must not forget what others do meanwhile."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_look:
            self._next_look = now + self._interval
            await self._look()

    async def _claim_all(self) -> None:
        while not self.stopped:
            limit = min(self._batch, self._room())
            if limit <= 0:
                self._has_all = False
                return
            pause = self._pause()
            if pause:
                await asyncio.sleep(pause)
            rows = await self._claim(limit)
            if rows:
                await self._adopt(rows)
            self._has_all = not rows or (len(rows) < limit and not pause)
            if self._has_all:
                return
