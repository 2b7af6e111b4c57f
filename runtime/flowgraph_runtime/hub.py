"""Fans out what was committed to the clients of the event streams."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import randbelow
from typing import TypeAlias

from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.following import Seen
from flowgraph_runtime.storage import NEWEST, CommitNews, Newest
from flowgraph_runtime.stream_messages import Message, attempt_started, messages

KEPT = 2000
"""Messages kept for clients that come back with `Last-Event-ID`."""
BACKLOG = 1000
"""Messages that a slow client may lag behind before it is cut off (it comes back and resumes)."""
SEEN = 8 * NEWEST
"""Begun and ended runs that are remembered as told: more than one look at the database can bring."""


Queue: TypeAlias = "asyncio.Queue[Message | None]"


def offer(queue: Queue, message: Message) -> bool:
    """Put a message into the queue of a client; whether it can still follow. One that cannot is cut off."""
    follows = queue.qsize() < BACKLOG
    queue.put_nowait(message if follows else None)
    return follows


class Hub:
    """Subscribers and the last messages. All calls come from the event loop's thread. `shared`: other processes write, too, and
    their hubs count otherwise; what they commit is `overheard`, and `seen` holds what was told of it."""

    def __init__(self, *, shared: bool = False) -> None:
        self._kept: deque[Message] = deque(maxlen=KEPT)
        self._queues: dict[Queue, str | None] = {}
        self._sequence = 10**16 + randbelow(9 * 10**17) if shared else 0
        self._seen = Seen(SEEN) if shared else None
        self._kept_from: int | None = None
        self._unheard = 0
        self._closed = False

    @property
    def sequence(self) -> int:
        """The sequence of the last commit heard of."""
        return self._sequence

    def committed(self, news: CommitNews) -> None:
        """Publish a commit. No message is built before the first client has come: a busy server without one pays nothing."""
        self._sequence = max(self._sequence + 1, news.sequence)
        if self._kept_from is None or self._forgotten():
            return
        for message in self._created(news):
            if self._seen is None or self._seen.is_beginning(message.run_id):
                self._publish(message)
        for message in self._messages(news):
            if self._seen is None or self._seen.is_news(message):
                self._publish(message)

    def _created(self, news: CommitNews) -> Iterator[Message]:
        running = {row.id for row in news.owned}
        for run_id in news.created:
            status = "running" if run_id in running else "queued"
            yield Message(self._sequence, run_id, "run", {"id": run_id, "status": status})

    def _messages(self, news: CommitNews) -> Iterator[Message]:
        for transition in news.decisions():
            yield from messages(transition, self._sequence)

    def keep(self) -> bool:
        """Keep messages from now on; whether none were kept until now."""
        if self._kept_from is not None:
            return False
        self._kept_from = self._sequence
        return True

    def overheard(self, newest: Newest, *, silent: bool = False) -> None:
        """Publish which runs other processes have begun and ended, as far as nobody has told of them; `silent`: only note them.
        When there may be more than was looked at, a message `reset` says that something may be missing."""
        assert self._seen is not None
        told = self._seen.news_of(newest, self._sequence + 1)
        if told and not silent and self._kept_from is not None:
            self._sequence += 1
            for message in told:
                self._publish(message)

    def _forgotten(self) -> bool:
        """Stop keeping when nobody has listened for as many commits as are kept."""
        self._unheard = 0 if self._queues else self._unheard + 1
        if self._unheard > KEPT:
            self._kept.clear()
            self._kept_from = None
        return self._kept_from is None

    def started(self, run_id: str, command: RunStep, at: int) -> None:
        """Publish the start of an attempt: not a commit, so it takes the last one's sequence."""
        if self._queues:
            self._publish(attempt_started(self._sequence, run_id, command, at))

    def _publish(self, message: Message) -> None:
        if len(self._kept) == KEPT:
            self._kept_from = self._kept[0].sequence  # what comes after a sequence is complete from here on
        self._kept.append(message)
        for queue, run_id in list(self._queues.items()):
            if (run_id is None or run_id == message.run_id) and not offer(queue, message):
                del self._queues[queue]

    def missed(self, run_id: str | None, after: int) -> list[Message] | None:
        """Return the messages after a sequence, or None when they are not kept any more."""
        if self._kept_from is None or after < self._kept_from or after > self._sequence:
            return None
        return [message for message in self._kept if message.sequence > after and run_id in (None, message.run_id)]

    @contextmanager
    def subscribe(self, run_id: str | None) -> Generator[Subscription]:
        """Receive, inside the block, what is published from now on about one run, or about all (None)."""
        self.keep()
        queue: Queue = asyncio.Queue()
        self._queues[queue] = run_id
        if self._closed:
            queue.put_nowait(None)
        try:
            yield Subscription(queue)
        finally:
            self._queues.pop(queue, None)

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for queue in self._queues:
            queue.put_nowait(None)


@dataclass(frozen=True, slots=True)
class Subscription:
    """Messages as they come; the iteration ends when the hub closes or the client lags too far behind."""

    queue: Queue

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (message := await self.queue.get()) is not None:
            yield message
