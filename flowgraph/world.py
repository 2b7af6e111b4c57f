"""What the runs of one direct run share: the clock, the stream of events, the waits for them, runs started on the side."""

from __future__ import annotations

import asyncio
import itertools
from asyncio import Future, Task
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from uuid import uuid4

from flowgraph.codec import copy_value
from flowgraph.events import Event, EventMeta, attach_meta, meta_of
from flowgraph.virtual import VirtualLoop


def _loop_time() -> datetime:
    loop = asyncio.get_running_loop()
    return loop.now() if isinstance(loop, VirtualLoop) else datetime.now(UTC)


@dataclass(eq=False)
class Wait:
    """One `wait_for`: it sees the events of the stream from position `first` on."""

    event: type[Event]
    where: Callable[[Any], bool] | None
    first: int
    future: Future[Event | None]

    def accepts(self, position: int, event: Event) -> bool:
        """Say whether the event at `position` is the one waited for. Errors of `where` are the author's."""
        return position >= self.first and isinstance(event, self.event) and (self.where is None or bool(self.where(event)))


@dataclass(eq=False)
class Watch:
    """One entry of `cancel_on=`: an event that it accepts cancels the run."""

    event: type[Event]
    where: Callable[[Any], bool]
    cancel: Callable[[], None]

    def accepts(self, event: Event) -> bool:
        """Say whether the event cancels the run; not when `where` cannot say."""
        try:
            return isinstance(event, self.event) and bool(self.where(event))
        except Exception:  # as in the machine: an event that cannot be compared is about other runs
            return False


@dataclass(eq=False)
class Mailbox:
    """One run's view of the stream: from its start on, each event taken at most once; a watch hears it first, then the older
    wait."""

    first: int
    taken: set[int] = field(default_factory=set[int])
    waits: list[Wait] = field(default_factory=list[Wait])
    watches: list[Watch] = field(default_factory=list[Watch])

    def offer(self, position: int, event: Event) -> None:
        """Give an event that has just come to the oldest wait that accepts it."""
        if self.cancelled_by(position, event):
            return
        for wait in self.waits:
            if not wait.future.done() and self.take(wait, position, event):
                return

    def cancelled_by(self, position: int, event: Event) -> bool:
        """Say whether the event cancels the run, which it does then."""
        watch = next((watch for watch in self.watches if position >= self.first and watch.accepts(event)), None)
        if watch is None:
            return False
        self.taken.add(position)
        self.watches.clear()
        watch.cancel()
        return True

    def take(self, wait: Wait, position: int, event: Event) -> bool:
        """Resolve `wait` with the event if it accepts it; an error of its `where` becomes the wait's."""
        try:
            accepted = position not in self.taken and wait.accepts(position, event)
        except Exception as error:  # raised where the author awaits
            wait.future.set_exception(error)
            return False
        if accepted:
            self.taken.add(position)
            wait.future.set_result(copy_value(event))
        return accepted


class Running(Protocol):
    """What a test sees of a run."""

    id: str
    name: str

    def cancel(self) -> None:
        """Ask the run to end."""


class World:
    """Shared by a root run, its children, and the runs that they start."""

    def __init__(self, clock: Callable[[], datetime] | None = None, resources: Mapping[type[Any], Any] | None = None) -> None:
        self.clock = clock or _loop_time
        self.resources = resources
        self.stream: list[Event] = []
        self.sent: list[Event] = []
        self.runs: list[Running] = []
        self.mailboxes: list[Mailbox] = []
        self.started: list[Task[Any]] = []
        self._numbers = itertools.count(1)

    def run_id(self) -> str:
        """Return the next run's id."""
        return f"run_direct_{next(self._numbers)}"

    def publish(self, event: Event, source: str | None = None) -> None:
        """Append a copy of `event` to the stream and wake who waits for it. Raises `CodecError` when it cannot be stored."""
        received = self.received(copy_value(event, by=event.event_name), source)
        self.stream.append(received)
        for mailbox in list(self.mailboxes):
            mailbox.offer(len(self.stream) - 1, received)

    def received(self, event: Event, source: str | None = None) -> Event:
        """Give `event` a meta if it has none yet."""
        if meta_of(event) is None:
            attach_meta(event, EventMeta(f"evt_{uuid4().hex}", type(event).event_name, self.clock(), source))
        return event

    def open_mailbox(self, first: int | None = None) -> Mailbox:
        """Open a run's view of the stream, from now on or from position `first`."""
        mailbox = Mailbox(len(self.stream) if first is None else first)
        self.mailboxes.append(mailbox)
        return mailbox

    def first_seen(self, mailbox: Mailbox, since: Literal["start", "now"]) -> int:
        """Return the position from which a wait registered now sees events."""
        return len(self.stream) if since == "now" else mailbox.first

    async def finish_started(self) -> None:
        """Wait for the runs that were started on the side; their failures are their own."""
        while any(not task.done() for task in self.started):
            await asyncio.wait(self.started)
        for task in self.started:
            if not task.cancelled():
                task.exception()
