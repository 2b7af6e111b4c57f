"""The inputs of `decide`: what a journal is a sequence of.

Every suspension of a token gets a `serial`, counted up per run; whatever ends the suspension names it, so an input that comes
late (after a cancel, a timeout, a retry) finds nobody and is ignored. Payloads are the codec's JSON texts, exactly as stored.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec import Struct

NOT_KEPT: Final = object()
"""Stands for a value that has to be decoded from its text."""


class Started(Struct, frozen=True):
    """The run begins. Not a journal row: the run's own row holds the input. `payload`: codec text of the list of arguments."""

    payload: str


class StepDone(Struct, frozen=True, eq=False):
    """An attempt returned. `payload`: codec text of the result; `value`: what it decodes to, where that is at hand (nobody else
    holds it), or `NOT_KEPT`, which makes no difference to what the input is."""

    serial: int
    attempt: int
    payload: str
    value: object = NOT_KEPT

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StepDone) and self._recorded() == other._recorded()

    def __hash__(self) -> int:
        return hash(self._recorded())

    def _recorded(self) -> tuple[int, int, str]:
        return self.serial, self.attempt, self.payload


class StepFailed(Struct, frozen=True):
    """An attempt raised. `payload`: codec text of the exception. `retry_at`: microseconds, from `RetryAfter`, or None;
    `final`: not to be retried (`NonRetriable`, codec, argument and limit errors)."""

    serial: int
    attempt: int
    payload: str
    retry_at: int | None = None
    final: bool = False


class TimerFired(Struct, frozen=True):
    """A sleep, a backoff or a wait's deadline is due."""

    serial: int


class EventOffered(Struct, frozen=True):
    """A stored event matches the keys of these open waits of the run, oldest registration first; the first one whose residual
    predicate holds takes it. `payload`: codec text of the event (with its meta)."""

    event_id: str
    serials: tuple[int, ...]
    payload: str


class ChildEnded(Struct, frozen=True):
    """A child run ended. `status` is completed, failed, cancelled or crashed; `payload`: codec text of result or exception."""

    serial: int
    status: str
    payload: str


class CancelAsked(Struct, frozen=True):
    """Somebody asked to cancel the run; `reason` says who or what."""

    reason: str


Input: TypeAlias = Started | StepDone | StepFailed | TimerFired | EventOffered | ChildEnded | CancelAsked
