"""Fans out what was committed to the clients of the event streams."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from flowgraph_runtime.engine.commands import RunStep
from flowgraph_runtime.moments import rfc3339
from flowgraph_runtime.records import JournalRow, Transition
from flowgraph_runtime.storage import CommitNews

KEPT = 2000
"""Messages kept for clients that come back with `Last-Event-ID`."""
BACKLOG = 1000
"""Messages that a slow client may lag behind before it is cut off (it comes back and resumes)."""
_TIMES = frozenset({"started_at", "ended_at"})


@dataclass(slots=True)
class Message:
    """One server-sent event. `sequence` is the commit's; `kind` is `run` or `step`. Times in `data` may be microseconds: most
    messages are made for clients that never come, and a time as text costs more than all the rest."""

    sequence: int
    run_id: str
    kind: str
    data: dict[str, Any]

    def encode(self) -> dict[str, str]:
        """Return the fields of the event as sse-starlette wants them."""
        data = {name: rfc3339(value) if name in _TIMES and type(value) is int else value for name, value in self.data.items()}
        return {"id": str(self.sequence), "event": self.kind, "data": orjson.dumps(data).decode()}


class Hub:
    """Subscribers and the last messages. All calls come from the event loop's thread."""

    def __init__(self) -> None:
        self._kept: deque[Message] = deque(maxlen=KEPT)
        self._queues: dict[asyncio.Queue[Message | None], str | None] = {}
        self._sequence = 0
        self._kept_from: int | None = None
        self._unheard = 0
        self._closed = False

    @property
    def sequence(self) -> int:
        """The sequence of the last commit heard of."""
        return self._sequence

    def committed(self, news: CommitNews) -> None:
        """Publish a commit. No message is built before the first client has come: a busy server without one pays nothing."""
        self._sequence = news.sequence
        if self._kept_from is None or self._forgotten():
            return
        running = {row.id for row in news.owned}
        for run_id in news.created:
            status = "running" if run_id in running else "queued"
            self._publish(Message(news.sequence, run_id, "run", {"id": run_id, "status": status}))
        for row in news.rows:
            for message in messages(Transition(row.run_id, [row]), news.sequence):
                self._publish(message)
        for transition in news.transitions:
            for message in messages(transition, news.sequence):
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
            data = _step(run_id, command.site, command.visit, command.attempt, "running") | {"started_at": at}
            self._publish(Message(self._sequence, run_id, "step", data))

    def _publish(self, message: Message) -> None:
        if len(self._kept) == KEPT:
            self._kept_from = self._kept[0].sequence  # what comes after a sequence is complete from here on
        self._kept.append(message)
        for queue, run_id in list(self._queues.items()):
            if run_id is None or run_id == message.run_id:
                self._offer(queue, message)

    def _offer(self, queue: asyncio.Queue[Message | None], message: Message) -> None:
        if queue.qsize() < BACKLOG:
            queue.put_nowait(message)
        else:
            del self._queues[queue]
            queue.put_nowait(None)

    def missed(self, run_id: str | None, after: int) -> list[Message] | None:
        """Return the messages after a sequence, or None when they are not kept any more."""
        if self._kept_from is None or after < self._kept_from or after > self._sequence:
            return None
        return [message for message in self._kept if message.sequence > after and run_id in (None, message.run_id)]

    @contextmanager
    def subscribe(self, run_id: str | None) -> Generator[Subscription]:
        """Receive, inside the block, what is published from now on about one run, or about all (None)."""
        if self._kept_from is None:
            self._kept_from = self._sequence
        queue: asyncio.Queue[Message | None] = asyncio.Queue()
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

    queue: asyncio.Queue[Message | None]

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (message := await self.queue.get()) is not None:
            yield message


def messages(transition: Transition, sequence: int) -> Iterator[Message]:
    """Yield what a committed transition changed: a message per journal row of a step, one for the run when its status changed."""
    backoffs = {timer.serial for timer in transition.timers if timer.kind == "backoff"}
    for row in transition.rows:
        if row.kind in ("done", "failed") and row.site is not None:
            yield Message(sequence, transition.run_id, "step", _ended(row, backoffs))
    if transition.status is not None:
        yield Message(sequence, transition.run_id, "run", _changed(transition))


def _ended(row: JournalRow, backoffs: set[int]) -> dict[str, Any]:
    status = "completed" if row.kind == "done" else "retrying" if row.serial in backoffs else "failed"
    data = _step(row.run_id, row.site, row.visit, row.attempt, status)
    data["started_at"], data["ended_at"] = row.started_at, row.at
    return data


def _step(run_id: str, site: str | None, visit: int | None, attempt: int | None, status: str) -> dict[str, Any]:
    return {"run": run_id, "id": site, "visit": visit, "attempt": attempt, "status": status}


def _changed(transition: Transition) -> dict[str, Any]:
    data: dict[str, Any] = {"id": transition.run_id, "status": transition.status}
    if transition.ended_at is not None:
        data["ended_at"] = transition.ended_at
    if transition.reason is not None:
        data["reason"] = transition.reason
    return data
