"""Looks for what other processes commit, while somebody listens: one look for all who do, by key, twice a second.

It is not announced by NOTIFY: commits that notify wait for each other, and that would cost the throughput of the fleet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.following import Told, committed, found
from flowgraph_runtime.hub import Hub, Queue, Subscription, offer
from flowgraph_runtime.records import Transition
from flowgraph_runtime.storage import CommitNews, RunNews, Store, newest, run_news
from flowgraph_runtime.storage.errors import StorageError
from flowgraph_runtime.stream_messages import Message, attempt_started

_LOG = logging.getLogger("flowgraph")
PAUSE = 0.4
"""Seconds between looks."""
AT_LEAST = 0.05
"""Seconds between looks when a commit of this process asks for one."""


@dataclass(slots=True)
class Feed:
    """Who follows a run here, and how far all of them were told; None until the first has found out where it begins."""

    told: Told | None = None
    queues: list[Queue] = field(default_factory=list[Queue])

    def publish(self, given: list[Message]) -> None:
        """Pass on to all; who lags too far behind is cut off."""
        for message in given:
            self.queues = [queue for queue in self.queues if offer(queue, message)]

    def end(self) -> None:
        """End all streams."""
        for queue in self.queues:
            queue.put_nowait(None)


class Follower:
    """What the streams of a process show of the others'. All calls come from the event loop's thread. Sequences of messages about
    a followed run are positions of it (`following`), valid in every process; those about all runs are the hub's."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store = store
        self._hub = hub
        self._feeds: dict[str, Feed] = {}
        self._listeners = 0
        self._due = asyncio.Event()
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    # --- who listens

    @contextmanager
    def following(self, run_id: str) -> Generator[Subscription]:
        """Receive inside the block what happens to a run from where the block says that it begins."""
        feed = self._feeds.setdefault(run_id, Feed())
        queue: Queue = asyncio.Queue()
        feed.queues.append(queue)
        if self._closed:
            queue.put_nowait(None)
        with self._at_work():
            try:
                yield Subscription(queue)
            finally:
                with suppress(ValueError):  # cut off
                    feed.queues.remove(queue)
                if not feed.queues:
                    self._feeds.pop(run_id, None)

    def begin(self, run_id: str, told: Told) -> None:
        """One who follows the run knows so much of it: nobody is told less from now on, and whoever was told it drops it."""
        feed = self._feeds.get(run_id)
        if feed is not None and (feed.told is None or told.sequence < feed.told.sequence):
            feed.told = told

    @contextmanager
    def listening(self) -> Generator[None]:
        """Inside the block the hub overhears which runs begin and end."""
        self._listeners += 1
        try:
            with self._at_work():
                yield
        finally:
            self._listeners -= 1

    @contextmanager
    def _at_work(self) -> Generator[None]:
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="flowgraph follower")
        try:
            yield
        finally:
            if not self._listeners and not self._feeds:
                self._rest()

    def _rest(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for feed in self._feeds.values():
            feed.end()
        self._rest()

    # --- what this process does itself

    def committed(self, news: CommitNews) -> None:
        """Tell what this process has committed of followed runs."""
        if not self._feeds:
            return
        for transition in news.decisions(self._feeds):
            self._hear(self._feeds[transition.run_id], transition)

    def _hear(self, feed: Feed, transition: Transition) -> None:
        if feed.told is not None:
            feed.told, given, behind = committed(feed.told, transition)
            feed.publish(given)
            if behind:
                self._due.set()

    def started(self, run_id: str, command: RunStep, at: int) -> None:
        """Tell of the start of an attempt in this process."""
        self._hub.started(run_id, command, at)
        feed = self._feeds.get(run_id)
        if feed is not None and feed.told is not None:
            feed.publish([attempt_started(feed.told.sequence, run_id, command, at)])

    # --- what others do

    async def _work(self) -> None:
        away = False
        while True:
            self._due.clear()
            more = False
            try:
                more = await self._look_at_followed()
                if self._listeners:
                    await self.look()
                away = False
            except StorageError as error:
                if not away:
                    _LOG.warning("streams show nothing of other processes while the database is away: %s", error)
                away = True
            await asyncio.sleep(0 if more else AT_LEAST)
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PAUSE):
                        await self._due.wait()

    async def _look_at_followed(self) -> bool:
        after = {run_id: feed.told.seq for run_id, feed in self._feeds.items() if feed.told is not None}
        if not after:
            return False
        news = await self._store.ask(partial(run_news, after=after))
        left = [run_id for run_id, seq in after.items() if self._tell(run_id, news.get(run_id), seq)]
        return bool(left)

    def _tell(self, run_id: str, news: RunNews | None, after: int) -> bool:
        """Tell what was found of a run; whether there is more."""
        feed = self._feeds.get(run_id)
        if feed is None or feed.told is None or feed.told.seq < after:  # somebody came meanwhile who knows less
            return feed is not None
        if news is None:  # it was deleted
            feed.end()
            return False
        feed.told, given = found(feed.told, news, after)
        feed.publish(given)
        return news.more

    async def look(self) -> None:
        """Let the hub overhear which runs have begun and ended; what did so before anybody listened is no news."""
        async with self._looking:
            silent = self._hub.keep()
            self._hub.overheard(await self._store.ask(newest), silent=silent)
