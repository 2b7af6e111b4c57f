"""The one place that reads time. Everything in the runtime is in integer microseconds since 1970-01-01 UTC."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the runtime gets the time from."""

    def now(self) -> int:
        """Microseconds since 1970-01-01 UTC; never smaller than what this clock answered to the same thread before."""
        ...


class SystemClock:
    """The computer's clock. When it is set back, `now()` stands still until it has caught up: a journal never runs backwards."""

    def __init__(self) -> None:
        self._latest = 0

    def now(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        now = time.time_ns() // 1000
        if now > self._latest:  # no lock: two threads may set it in the wrong order, off by the moment between them
            self._latest = now
            return now
        return self._latest


class ManualClock:
    """A clock that only moves when it is told to: a sleep of 30 days is a test of a millisecond."""

    def __init__(self, start: int = 1_700_000_000_000_000) -> None:
        self._now = start

    def now(self) -> int:
        """The time it was last set to, in microseconds."""
        return self._now

    def advance(self, microseconds: int) -> int:
        """Move on by that much and answer the new time. Raises ValueError when told to go back."""
        if microseconds < 0:
            raise ValueError(f"a clock cannot go back ({microseconds} microseconds); make a new ManualClock instead")
        self._now += microseconds
        return self._now

    def set(self, now: int) -> int:
        """Move on to that time, which is not before the present one (ValueError)."""
        return self.advance(now - self._now)
