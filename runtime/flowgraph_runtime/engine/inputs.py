"""The inputs of `decide`: what a journal is a sequence of.

Every suspension of a token gets a `serial`, counted up per run; whatever ends the suspension names it, so an input that comes
late (after a cancel, a timeout, a retry) finds nobody and is ignored. Payloads are the codec's JSON texts, exactly as stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

NOT_KEPT: Final = object()
"""Stands for a value that has to be decoded from its text."""


@dataclass(slots=True)
class Started:
    """The run begins. Not a journal row: the run's own row holds the input. `payload`: codec text of the list of arguments."""

    payload: str


@dataclass(slots=True)
class StepDone:
    """An attempt returned. `payload`: codec text of the result; `value`: what it decodes to, where that is at hand (nobody else
    holds it), or `NOT_KEPT`. Not frozen, nor is `Started`, as the others are: there is one per step, and a frozen dataclass takes
    three times as long to make."""

    serial: int
    attempt: int
    payload: str
    value: object = field(default=NOT_KEPT, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class StepFailed:
    """An attempt raised. `payload`: codec text of the exception. `retry_at`: microseconds, from `RetryAfter`, or None;
    `final`: not to be retried (`NonRetriable`, codec, argument and limit errors)."""

    serial: int
    attempt: int
    payload: str
    retry_at: int | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A sleep, a backoff or a wait's deadline is due."""

    serial: int


@dataclass(frozen=True, slots=True)
class EventOffered:
    """A stored event matches the keys of these open waits of the run, oldest registration first; the first one whose residual
    predicate holds takes it. `payload`: codec text of the event (with its meta)."""

    event_id: str
    serials: tuple[int, ...]
    payload: str


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """A child run ended. `status` is completed, failed, cancelled or crashed; `payload`: codec text of result or exception."""

    serial: int
    status: str
    payload: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Somebody asked to cancel the run; `reason` says who or what."""

    reason: str


Input: TypeAlias = Started | StepDone | StepFailed | TimerFired | EventOffered | ChildEnded | CancelAsked
