"""The part of the store that is about slots of concurrency limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from flowgraph_runtime.records import SlotRequest, WaitingSlot
from flowgraph_runtime.storage import limits
from flowgraph_runtime.storage.limits import LIMITS_LOCK, RunRequest
from flowgraph_runtime.storage.transaction import Tx

T = TypeVar("T")


class _Write(Protocol):
    def __call__(self, act: Callable[[Tx], T], /) -> Awaitable[T]: ...


class _Read(Protocol):
    def __call__(self, query: Callable[[Connection], T], /) -> Awaitable[T]: ...


class Slots:
    """`store.slots`. `write`, which takes the lock of all limits, and `read` are the store's two ways to the database."""

    def __init__(self, write: _Write, read: _Read) -> None:
        self._write = write
        self._read = read

    async def exchange(self, epoch: int, requests: Sequence[SlotRequest], returned: Collection[int]) -> None:
        """Give slots back and ask for others; who got theirs is told by `on_commit`. Raises Fenced."""
        await self._write(lambda tx: limits.exchange_slots(tx, epoch, requests, returned))

    async def admit(self, epoch: int, requests: Sequence[RunRequest]) -> dict[str, str]:
        """Ask for the slots that claimed runs need -> by id `admitted`, `queued` (given up again) or `called`; raises Fenced."""
        return await self._write(lambda tx: limits.admit_runs(tx, epoch, requests))

    async def granted(self, epoch: int) -> list[int]:
        """Tickets of this owner that have their slots, whoever freed them."""
        return await self._read(lambda connection: limits.granted(connection, epoch))

    async def waiting(self, run_id: str) -> list[WaitingSlot]:
        """The full limits that a run and its attempts wait for."""
        return await self._read(lambda connection: limits.waiting_slots(connection, run_id))


def limits_lock() -> tuple[int]:
    """The locks of a transaction that may give a slot back."""
    return (LIMITS_LOCK,)
