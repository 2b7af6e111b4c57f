"""Wakes due timers. The database is the truth; the scheduler only says when to look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import Any, Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]

from flowgraph_runtime.clock import Clock
from flowgraph_runtime.moments import moment

_LOG = logging.getLogger("flowgraph.timers")
FIRE_BATCH = 1000


class Alarm(Protocol):
    """Calls `ring` at a moment and every now and then; it need not be exact, and ringing too often does no harm."""

    def start(self, ring: Callable[[], Awaitable[None]]) -> None:
        """Begin to ring."""

    def set(self, due: int) -> None:
        """Ring at `due` (microseconds since 1970); replaces what was set before."""

    def stop(self) -> None:
        """Ring no more."""


class SchedulerAlarm:
    """APScheduler: one `date` job, armed again and again, and an interval job as safety net. Never a job per timer: 10,000 due
    jobs stop the loop for half a second."""

    def __init__(self, interval: float = 1.0) -> None:
        self._interval = interval
        self._scheduler: Any = AsyncIOScheduler(timezone=UTC)
        self._ring: Callable[[], Awaitable[None]] | None = None

    def start(self, ring: Callable[[], Awaitable[None]]) -> None:
        """Begin to ring, at the latest every `interval` seconds."""
        self._ring = ring
        options: dict[str, Any] = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler.add_job(ring, "interval", seconds=self._interval, id="safety net", **options)
        # It reports its wake-ups, each one that comes too soon, and with a traceback the one that a stop cuts off; what goes
        # wrong in `ring` is reported there.
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._scheduler.start()

    def set(self, due: int) -> None:
        """Ring at `due`; a moment in the past rings at once."""
        when = max(moment(due), datetime.now(UTC))
        self._scheduler.add_job(
            self._ring, "date", run_date=when, id="due", replace_existing=True, misfire_grace_time=None, max_instances=3
        )

    def stop(self) -> None:
        """Ring no more."""
        self._scheduler.shutdown(wait=False)


class ScheduleStore(Protocol):
    """The two calls of the store that schedules need."""

    async def fire(self, numbers: Collection[int]) -> int:
        """Handle those of these schedules that are due; return how many were."""
        ...

    async def next_due(self, numbers: Collection[int]) -> int | None:
        """Return when the next of these schedules is due."""
        ...


class TimerStore(Protocol):
    """The two calls of the store that timers need, and its schedules for those who have some."""

    @property
    def schedules(self) -> ScheduleStore:
        """What schedules need."""
        ...

    async def fire_timers(self, limit: int) -> list[str]:
        """Turn due timers into inbox rows; return the ids of their runs."""
        ...

    async def next_timer(self) -> int | None:
        """Return when the next timer is due."""
        ...


class Timers:
    """Fires what is due and arms the alarm for what comes next. `schedules`: the numbers of those that this process serves."""

    def __init__(self, store: TimerStore, alarm: Alarm, schedules: Collection[int] = ()) -> None:
        self._store = store
        self._alarm = alarm
        self._schedules = schedules
        self._armed: int | None = None
        self._firing = asyncio.Lock()

    async def start(self) -> None:
        """Begin: fires what became due while nobody ran."""
        self._alarm.start(self.fire)
        await self.fire()

    def stop(self) -> None:
        """Fire nothing more."""
        self._alarm.stop()

    def heard(self, due: int) -> None:
        """A timer for this moment was committed."""
        if self._armed is None or due < self._armed:
            self._armed = due
            self._alarm.set(due)

    async def fire(self) -> None:
        """Fire everything that is due, then arm the alarm. Errors are logged: the safety net tries again."""
        async with self._firing:
            try:
                while len(await self._store.fire_timers(FIRE_BATCH)) >= FIRE_BATCH:
                    pass
                await fire_schedules(self._store, self._schedules)
                self._armed = None
                due = earliest(await self._store.next_timer(), await next_schedule(self._store, self._schedules))
            except Exception:
                _LOG.exception("cannot fire timers; trying again")
                return
            if due is not None:
                self.heard(due)


async def fire_schedules(store: TimerStore, numbers: Collection[int]) -> None:
    """Fire those of these schedules that are due, until none is."""
    while numbers and await store.schedules.fire(numbers):
        pass


async def next_schedule(store: TimerStore, numbers: Collection[int]) -> int | None:
    """Return when the next of these schedules is due."""
    return await store.schedules.next_due(numbers) if numbers else None


def earliest(*moments: int | None) -> int | None:
    """Return the first of the moments that are known."""
    return min((moment for moment in moments if moment is not None), default=None)


class SkippingClock:
    """A clock that runs on but can be moved forward: what a sleep is skipped with, while steps still take the time they take."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._ahead = 0

    def now(self) -> int:
        """Microseconds since 1970-01-01 UTC, plus all that was skipped."""
        return self._base.now() + self._ahead

    def skip_to(self, at: int) -> None:
        """Let it be `at`, unless it is later already."""
        self._ahead += max(0, at - self.now())


class Skipper:
    """Instead of an alarm: when nothing but time can bring work, moves the clock to the next timer (`run --skip-time`, tests).

    The `schedules` on the way are fired in their turn. They alone do not move the clock, or it would never stand still: to see
    one fire, let the time come by `SkippingClock.skip_to`."""

    def __init__(
        self,
        store: TimerStore,
        clock: SkippingClock,
        idle: Callable[[], bool],
        rest: float = 0.001,
        schedules: Collection[int] = (),
    ) -> None:
        self._store = store
        self._clock = clock
        self._idle = idle
        self._rest = rest
        self._schedules = schedules

    async def run(self) -> None:
        """Skip for ever."""
        while True:
            await asyncio.sleep(self._rest)
            try:
                await self._skip()
            except Exception as error:
                _LOG.warning("cannot skip to the next timer; trying again: %s", error)

    async def _skip(self) -> None:
        await self._fire_schedules()
        due = await self._store.next_timer() if self._idle() else None
        tick = await next_schedule(self._store, self._schedules)
        if due is not None and self._idle():
            self._clock.skip_to(due if tick is None else min(due, tick))
            await self._store.fire_timers(FIRE_BATCH)
            await self._fire_schedules()

    async def _fire_schedules(self) -> None:
        due = await next_schedule(self._store, self._schedules)
        if due is not None and due <= self._clock.now():
            await fire_schedules(self._store, self._schedules)
