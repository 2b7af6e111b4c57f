"""The part of the store that is about workers: their lives, and what they hear of each other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable
from contextlib import aclosing
from functools import partial
from typing import Protocol, TypeVar

from flowgraph_runtime.clock import Clock
from flowgraph_runtime.storage import ownership
from flowgraph_runtime.storage.announcing import Notice, read
from flowgraph_runtime.storage.database import Database
from flowgraph_runtime.storage.errors import DatabaseUnavailable
from flowgraph_runtime.storage.ownership import TakeOver
from flowgraph_runtime.storage.slots import limits_lock
from flowgraph_runtime.storage.transaction import Tx
from flowgraph_runtime.storage.writer import Action, Transactor

T = TypeVar("T")
LEASE = 15_000_000
"""Microseconds without a heartbeat after which a worker on PostgreSQL is taken for dead."""


class _Write(Protocol):
    def __call__(
        self, act: Callable[[Tx], T], *, buckets: Callable[[], Iterable[int]] | None = None, alone: bool = False
    ) -> Awaitable[T]: ...


class Fleet:
    """`write` is the store's way to the database, `stuck` says for how many seconds its writer has been at the same batch. On
    PostgreSQL signs of life have a connection of their own: commits may have to wait for the locks of a process that was
    stopped, and who waits must not be taken for dead with it."""

    def __init__(self, database: Database, clock: Clock, write: _Write, stuck: Callable[[], float], lease: float) -> None:
        self._database = database
        self._write = write
        self._stuck = stuck
        self._lease = lease
        self._beside = database.beside()
        self._transactor = None if self._beside is None else Transactor(self._beside, clock)
        self._one_at_a_time = threading.Lock()

    @property
    def shared(self) -> bool:
        """Whether other processes may work on the same database."""
        return self._beside is not None

    @property
    def workers(self) -> int:
        """How many workers there were when this process last claimed runs."""
        return self._database.workers

    async def open_epoch(self, node: str) -> int:
        """Begin a worker's life."""
        return await self._write(lambda tx: ownership.open_epoch(tx, node))

    async def close_epoch(self, epoch: int) -> int:
        """End it in good order -> how many runs it still owned; they may be claimed at once."""
        return await self._write(lambda tx: ownership.close_epoch(tx, epoch), buckets=limits_lock, alone=True)

    async def hand_over(self, epoch: int, run_ids: Collection[str]) -> None:
        """Give some of its runs up before the epoch ends; they may be claimed at once. Raises Fenced."""
        await self._write(lambda tx: ownership.hand_over(tx, epoch, run_ids), alone=True)

    async def heartbeat(self, epoch: int) -> None:
        """Say that the epoch's process is alive; raises Fenced. On PostgreSQL the calling thread is kept until it is done. A
        process whose writer has no answer for a lease is not alive: its line is cut, so that it can make another one."""
        if self._transactor is None:
            await self._write(lambda tx: ownership.heartbeat(tx, epoch))
            return
        stuck = self._stuck()
        if stuck > self._lease:
            self._database.writing().cut()
            raise DatabaseUnavailable(f"the writer has had no answer for {stuck:.1f} s; its connection was cut")
        self._at_once(lambda tx: ownership.heartbeat(tx, epoch))

    async def take_over(self, epoch: int, lease: int = LEASE) -> TakeOver:
        """Declare silent workers dead and free what they held. SQLite: every other epoch at once."""
        if self._transactor is not None:
            act = partial(ownership.end_silent_writers, epoch=epoch, lease=lease)
            await asyncio.to_thread(self._at_once, act)
        return await self._write(lambda tx: ownership.take_over(tx, epoch, lease), buckets=limits_lock, alone=True)

    async def notices(self) -> AsyncGenerator[Notice]:
        """What other processes commit that this one may wait for. Ends at once on SQLite."""
        async with aclosing(self._database.listening()) as texts:
            async for text in texts:
                yield read(text)

    def _at_once(self, act: Callable[[Tx], None]) -> None:
        assert self._transactor is not None
        job = Action(act)
        with self._one_at_a_time:
            self._transactor.process([job])
        if job.error is not None:
            raise job.error

    def close(self) -> None:
        """Close the connection beside the writer's."""
        if self._beside is not None:
            self._beside.writing().close()
