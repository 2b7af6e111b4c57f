"""The time of a test: it stands still until somebody moves it, and then every timer on the way fires at its own moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from flowgraph_runtime.clock import ManualClock
from flowgraph_runtime.service import Service

_PAUSE = 0.0005
"""Real seconds between two looks whether the engine has come to rest: it works in threads, too."""


class StillRunning(AssertionError):
    """The engine does not come to rest, because a step does not return: real time, unlike virtual time, is limited."""


class HandAlarm:
    """An alarm without a bell: remembers when the next timer or schedule is due, and rings when the test says so."""

    def __init__(self) -> None:
        self.due: int | None = None
        self._ring: Callable[[], Awaitable[None]] | None = None

    def start(self, ring: Callable[[], Awaitable[None]]) -> None:
        """Remember whom to ring."""
        self._ring = ring

    def set(self, due: int) -> None:
        """Remember what comes next."""
        self.due = due

    def stop(self) -> None:
        """Ring no more."""
        self._ring = None

    async def ring(self) -> None:
        """Fire what is due by the clock, and learn what comes next."""
        self.due = None
        if self._ring is not None:
            await self._ring()


class Time:
    """Moves the clock of a service. `patience`: real seconds that the engine may take to come to rest."""

    def __init__(self, service: Service, clock: ManualClock, alarm: HandAlarm, patience: float) -> None:
        self._service = service
        self._clock = clock
        self._alarm = alarm
        self._patience = patience

    async def rest(self) -> None:
        """Wait until only a later time or an event can bring work. Raises `StillRunning`, and what ended the worker."""
        try:
            async with asyncio.timeout(self._patience):
                await self._pause()
                while (due := self._alarm.due) is not None and due <= self._clock.now():  # such as a sleep of no time
                    await self._alarm.ring()
                    await self._pause()
        except TimeoutError:
            raise StillRunning(self._busy()) from None

    async def _pause(self) -> None:
        while not self._resting():  # noqa: ASYNC110  (it works in threads, and tells nobody)
            await asyncio.sleep(_PAUSE)

    def _resting(self) -> bool:
        if self._service.failure is not None:
            raise self._service.failure
        return self._service.worker is not None and self._service.worker.idle

    def _busy(self) -> str:
        owned = self._service.worker.owned.values() if self._service.worker is not None else ()
        attempts = [attempt for live in owned for attempt in live.attempts.values()]
        steps = ", ".join(f"'{each.command.step}' (attempt {each.command.attempt} in {each.live.id})" for each in attempts)
        return f"after {self._patience:g} s the engine still works on {steps or 'no step'}; fake the step, or raise patience="

    async def pass_until(self, until: int) -> None:
        """Let the time be `until` (microseconds), with everything that is due on the way in its order."""
        await self.rest()
        await self._alarm.ring()
        while (due := self._alarm.due) is not None and due <= until:
            await self._reach(due)
        await self._reach(until)

    async def skip(self) -> bool:
        """Go to the next timer of a run, or to a schedule before it; False when no run waits for the time."""
        await self.rest()
        await self._alarm.ring()
        if await self._service.store.next_timer() is None or self._alarm.due is None:
            return False
        await self._reach(self._alarm.due)
        return True

    async def _reach(self, moment: int) -> None:
        self._clock.set(max(moment, self._clock.now()))
        await self._alarm.ring()
        await self.rest()
