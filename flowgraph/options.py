"""The options given to a decorator, told apart from the ones left out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Final, TypeVar

from flowgraph.durations import Duration
from flowgraph.events import Event
from flowgraph.policies import Backoff, Batch, Concurrency, Cron, Debounce, Idempotency, On, RateLimit, Singleton, Throttle

T = TypeVar("T")


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Stands for an option that the author left out."""

DEFAULT_RETRIES = 4
DEFAULT_BACKOFF = Backoff()


def given_or(value: T | Unset, default: T) -> T:
    """Return an option's value, or `default` when it was left out."""
    return default if value is UNSET else value


class _Given:
    """Shared by both kinds of options."""

    def given(self) -> dict[str, Any]:
        """Return the options that the author wrote, by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]  # subclasses are dataclasses
        return {name: value for name, value in values.items() if value is not UNSET}


@dataclass(frozen=True)
class StepOptions(_Given):
    """What `@step(...)` and `.with_(...)` were given; durations and numbers are unchecked."""

    name: str | Unset = UNSET
    aliases: Sequence[str] | Unset = UNSET
    retries: int | Unset = UNSET
    backoff: Backoff | Unset = UNSET
    timeout: Duration | Unset = UNSET
    schedule_to_start: Duration | Unset = UNSET
    heartbeat: Duration | Unset = UNSET
    compensate: Callable[..., Awaitable[Any]] | Unset = UNSET
    idempotent: bool | Unset = UNSET
    at_most_once: bool | Unset = UNSET
    transactional: bool | Unset = UNSET
    pure: bool | Unset = UNSET
    raises: Sequence[type[Exception]] | Unset = UNSET
    executor: str | Unset = UNSET
    concurrency: Concurrency[Any] | Unset = UNSET
    throttle: Throttle[Any] | Unset = UNSET


@dataclass(frozen=True)
class WorkflowOptions(_Given):
    """What `@workflow(...)` was given; `on` as written: a type, a `Cron` or a sequence of them."""

    on: type[Event] | Cron | Sequence[type[Event] | Cron] | Unset = UNSET
    where: Callable[[Any], bool] | Unset = UNSET
    name: str | Unset = UNSET
    aliases: Sequence[str] | Unset = UNSET
    retries: int | Unset = UNSET
    backoff: Backoff | Unset = UNSET
    timeout: Duration | Unset = UNSET
    concurrency: Concurrency[Any] | Sequence[Concurrency[Any]] | Unset = UNSET
    throttle: Throttle[Any] | Unset = UNSET
    rate_limit: RateLimit[Any] | Unset = UNSET
    debounce: Debounce[Any] | Unset = UNSET
    batch: Batch[Any] | Unset = UNSET
    priority: int | Callable[[Any], int] | Unset = UNSET
    singleton: Singleton[Any] | Unset = UNSET
    idempotency: Idempotency[Any] | Unset = UNSET
    cancel_on: Sequence[On[Any]] | Unset = UNSET
    on_failure: Callable[[Any, Exception], Awaitable[Any]] | Unset = UNSET
    on_cancel: Callable[[Any], Awaitable[Any]] | Unset = UNSET

    def triggers(self) -> tuple[type[Event] | Cron, ...]:
        """Return what starts the workflow besides a call, as a flat tuple."""
        if self.on is UNSET:
            return ()
        return tuple(self.on) if isinstance(self.on, Sequence) else (self.on,)
