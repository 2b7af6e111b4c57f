"""A worker that stops gives its runs to others: at once what does not execute just now, the rest as attempts end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from typing import Any

from flowgraph_runtime.records import Transition
from flowgraph_runtime.storage.errors import StorageError
from flowgraph_runtime.worker.committer import Committer, Entry
from flowgraph_runtime.worker.lanes import Lanes
from flowgraph_runtime.worker.live import LiveRun
from flowgraph_runtime.worker.pool import StepPool

_LOG = logging.getLogger("flowgraph.worker")
GLANCE = 0.1
"""Seconds between looks for attempts that have ended."""


class Leaving:
    """`save` puts a run's state into a transition, `until` waits for what may never come, `release` lets others claim what is
    parked. What cannot be released is freed with the epoch."""

    def __init__(
        self,
        owned: Mapping[str, LiveRun],
        pool: StepPool | Lanes,
        save: Callable[[LiveRun, Transition], None],
        committer: Committer,
        until: Callable[[Coroutine[Any, Any, None]], Awaitable[None]],
        release: Callable[[Collection[str]], Awaitable[None]],
    ) -> None:
        self._owned = owned
        self._pool = pool
        self._save = save
        self._committer = committer
        self._until = until
        self._release = release

    async def leave(self, grace: float) -> None:
        """Hand everything over; attempts that are running get `grace` seconds to end."""
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        while True:
            executing = self._pool.running > 0 and loop.time() < end
            await self._until(self._committer.settled())
            await self._hand_over([live for live in self._owned.values() if not (executing and _executes(live))])
            if not executing:
                return
            await self._pool.drain(min(GLANCE, end - loop.time()))

    async def _hand_over(self, runs: list[LiveRun]) -> None:
        parked = [live for live in runs if not live.closed]
        for live in parked:
            self._park(live)
        await self._until(self._committer.settled())
        if parked:
            try:
                await self._release([live.id for live in parked])
            except StorageError as error:
                _LOG.warning("%d runs cannot be handed over before the epoch ends: %s", len(parked), error)

    def _park(self, live: LiveRun) -> None:
        """Save the state. One that cannot be saved is folded from the journal by the next owner."""
        transition = Transition(live.id)
        live.closed = True
        try:
            self._save(live, transition)
        except Exception:
            _LOG.exception("the state of run %s cannot be saved", live.id)
            return
        self._committer.add(Entry(live, transition, []))


def _executes(live: LiveRun) -> bool:
    return any(attempt.task is not None for attempt in live.attempts.values())
