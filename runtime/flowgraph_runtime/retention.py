"""Keeps a database from growing for ever: what is older than the settings say is deleted, a little at a time, by one process."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from flowgraph_runtime.clock import Clock
from flowgraph_runtime.meter import Meter
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage.retention import EVENTS_AT_ONCE, Expiry

_LOG = logging.getLogger("flowgraph")
EVERY = 600.0
"""Seconds between two sweeps, over all processes on the database."""
FIRST = 60.0
"""Seconds after which a process looks for the first time, so that one that never lives for long deletes too."""
_SHARE = 9  # the writer is left alone nine times as long as a batch took
_SHORTEST = 0.02


@dataclass
class _Swept:
    runs: int = 0
    events: int = 0


class Retention:
    """Deletes what the settings do not keep. `pause`: seconds of the shortest rest between two batches."""

    def __init__(self, expiry: Expiry, clock: Clock, settings: Settings, meter: Meter, pause: float = _SHORTEST) -> None:
        self._expiry = expiry
        self._clock = clock
        self._keep_runs, self._keep_events = settings.kept
        self._meter = meter
        self._pause = pause
        self._swept_to = 0

    async def run(self) -> None:
        """Sweep for ever; a database that cannot be reached is tried again at the next time."""
        pause = FIRST
        while True:
            await asyncio.sleep(pause)
            pause = EVERY
            try:
                if await self._expiry.claim(round(EVERY * 900_000)):
                    await self.sweep()
            except Exception as error:
                _LOG.warning("cannot delete what is older than it is kept; trying again: %s", error)

    async def sweep(self) -> None:
        """Delete all that is old now, batch by batch."""
        swept = _Swept()
        now = self._clock.now()
        started = await self._runs(now - self._keep_runs, swept) if self._keep_runs is not None else []
        if self._keep_events is not None:
            await self._events(now - self._keep_events, started, swept)
        oldest = max(self._keep_runs or 0, self._keep_events or 0)
        if oldest:
            await self._expiry.rest(now - oldest)
        if swept.runs or swept.events:
            _LOG.info("deleted %d runs and %d events that are older than they are kept", swept.runs, swept.events)

    async def _runs(self, before: int, swept: _Swept) -> list[int]:
        events: list[int] = []
        place: tuple[int, int] | None = (0, 0)
        while place is not None:
            begun = time.monotonic()
            deleted = await self._expiry.runs(before, place)
            swept.runs += deleted.runs
            self._meter.deleted["run"] += deleted.runs
            events += deleted.events
            place = deleted.place
            await self._rest(begun)
        return events

    async def _events(self, before: int, started: list[int], swept: _Swept) -> None:
        """The keys first: they are found by name and value only. Events behind the place of the last sweep are kept because of a
        run, and go when it has gone: `started` are those."""
        last = await self._expiry.last_old_event(before)
        place: tuple[str, str, str, int] | None = ("", "", "", 0)
        while place is not None:
            begun = time.monotonic()
            place = await self._expiry.keys(last, place)
            await self._rest(begun)
        for first in range(0, len(started), EVENTS_AT_ONCE):
            await self._delete(started[first : first + EVENTS_AT_ONCE], before, swept)
        while numbers := await self._expiry.next_events(last, self._swept_to):
            await self._delete(numbers, before, swept)
            self._swept_to = numbers[-1]

    async def _delete(self, numbers: list[int], before: int, swept: _Swept) -> None:
        begun = time.monotonic()
        deleted = await self._expiry.events(numbers, before)
        swept.events += deleted
        self._meter.deleted["event"] += deleted
        await self._rest(begun)

    async def _rest(self, begun: float) -> None:
        await asyncio.sleep(max(self._pause, _SHARE * (time.monotonic() - begun)))
