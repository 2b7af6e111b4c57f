"""Policies: frozen data that the compiler checks and the runtime carries out.

Constructors never raise, bad values are diagnostics.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from flowgraph.durations import Duration, parse_duration
from flowgraph.events import Event

K = TypeVar("K")
E = TypeVar("E", bound=Event)

Key = str | int | Enum | UUID | tuple[str | int | Enum | UUID, ...]


@dataclass(frozen=True)
class Backoff:
    """Delays between attempts, at most `max`: before retry k `delay * factor**(k-1)`, `delay * k` or `delay`, by `kind`."""

    delay: Duration = "1s"
    _: KW_ONLY
    factor: float = 2
    max: Duration = "1h"
    kind: Literal["exponential", "linear", "fixed"] = "exponential"
    jitter: float = 0.1

    def delay_before(self, retry: int, chance: float = 0.5) -> timedelta:
        """Return the delay before retry number `retry` (from 1); `chance` in [0, 1) spreads it by +- `jitter` of itself."""
        base, most = parse_duration(self.delay).total_seconds(), parse_duration(self.max).total_seconds()
        seconds = min(_grown(base, self.kind, self.factor, retry), most)
        return timedelta(seconds=min(seconds * (1 + self.jitter * (2 * chance - 1)), most))


def _grown(base: float, kind: str, factor: float, retry: int) -> float:
    if kind == "fixed":
        return base
    if kind == "linear":
        return base * retry
    try:
        return base * factor ** (retry - 1)
    except OverflowError:
        return float("inf")


@dataclass(frozen=True)
class Concurrency(Generic[K]):
    """At most `limit` executing steps (`scope="step"`) or live runs (`scope="run"`) per key."""

    limit: int
    _: KW_ONLY
    key: Callable[[K], Key] | None = None
    scope: Literal["step", "run"] = "step"


@dataclass(frozen=True)
class Throttle(Generic[K]):
    """At most `limit` starts per period and key, `burst` more at once; what is over is delayed."""

    limit: int
    per: Duration
    _: KW_ONLY
    key: Callable[[K], Key] | None = None
    burst: int = 0


@dataclass(frozen=True)
class RateLimit(Generic[K]):
    """At most `limit` starts per period and key; what is over is dropped and recorded."""

    limit: int
    per: Duration
    _: KW_ONLY
    key: Callable[[K], Key] | None = None


@dataclass(frozen=True)
class Debounce(Generic[K]):
    """Start once no event has come for `period`, with the last one; after `max` at the latest."""

    period: Duration
    _: KW_ONLY
    key: Callable[[K], Key] | None = None
    max: Duration | None = None


@dataclass(frozen=True)
class Batch(Generic[K]):
    """Start with a list of events: `size` of them, or what has come `timeout` after the first."""

    size: int
    timeout: Duration
    _: KW_ONLY
    key: Callable[[K], Key] | None = None


@dataclass(frozen=True)
class Singleton(Generic[K]):
    """One live run per key; `on_conflict` says what becomes of a second."""

    _: KW_ONLY
    key: Callable[[K], Key] | None = None
    on_conflict: Literal["skip", "cancel_old", "queue"] = "skip"


@dataclass(frozen=True)
class Idempotency(Generic[K]):
    """One run per key within `period`."""

    _: KW_ONLY
    key: Callable[[K], Key]
    period: Duration = "24h"


@dataclass(frozen=True)
class Cron:
    """A schedule: five fields or an alias such as `@daily`, in the IANA zone `tz`.

    `catch_up`: which ticks start a run although nobody could fire them within a minute; "all" are 100 at most. `overlap`: whether
    a tick starts a run while an earlier one of the schedule is not over, is skipped, or cancels the earlier run. `jitter`: each
    tick's run starts later by up to so much, by its own share.
    """

    expression: str
    _: KW_ONLY
    tz: str = "UTC"
    catch_up: Literal["skip", "latest", "all"] = "latest"
    overlap: Literal["allow", "skip", "cancel_old"] = "allow"
    jitter: Duration | None = None


@dataclass(frozen=True)
class On(Generic[K]):
    """An event that cancels runs; `where(started, event)` relates it to the event that started the run."""

    event: type[Event]
    where: Callable[[Any, Any], bool]


def on(event: type[E], *, where: Callable[[Any, E], bool]) -> On[Any]:
    """Say which event cancels a run, for `cancel_on=`."""
    return On(event, where)
