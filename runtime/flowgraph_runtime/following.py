"""PURE: what is news to who follows runs that other processes work on.

A run has a position: its last journal row, and the status after it. Positions only grow, in every process alike, so a position is
the sequence of a message, any process resumes after it, and a message is news exactly when it leads to a later one. Between two
journal rows a status moves only from left to right in `STATUSES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from flowgraph_runtime.records import Transition
from flowgraph_runtime.storage import ENDED, NEWEST, Newest, RunNews
from flowgraph_runtime.stream_messages import Message, changed, goes_on, is_outcome, outcome

STATUSES = (
    "",
    "queued",
    "cancelling",
    "running",
    "waiting",
    "sleeping",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "crashed",
)
"""In this order in the sequences that clients keep: new ones go to the end."""


@dataclass(frozen=True, slots=True)
class Told:
    """How far somebody has been told of a run: up to journal row `seq`, and `status`; that is the one after the row when it is
    `settled`, else the last before it."""

    seq: int = -1
    status: str = ""
    settled: bool = False

    @property
    def sequence(self) -> int:
        """The position as one number that grows with it."""
        return ((self.seq + 1) * 2 + self.settled) * 16 + STATUSES.index(self.status)

    @classmethod
    def at(cls, sequence: int) -> Self | None:
        """The position of a number, None for one that means none."""
        row, rank = divmod(sequence, 16)
        return cls(row // 2 - 1, STATUSES[rank], bool(row % 2)) if rank < len(STATUSES) else None

    def row(self, seq: int) -> Told | None:
        """The position after a journal row, None when it was told."""
        return Told(seq, self.status) if seq > self.seq else None

    def change(self, seq: int, status: str) -> Told | None:
        """The position with the status after a row, None when that is no news: the same, or overtaken. A run that was retried may
        end as it did before."""
        same = status == self.status and (self.settled or status not in ENDED)
        overtaken = self.settled and STATUSES.index(status) < STATUSES.index(self.status)
        if same or seq < self.seq or (seq == self.seq and overtaken):
            return None
        return Told(seq, status, True)

    def message(self, message: Message) -> Told | None:
        """The position after a message about the run with a position for its sequence, None when it is no news."""
        theirs = Told.at(message.sequence)
        assert theirs is not None
        if message.kind == "run":
            return self.change(theirs.seq, theirs.status)
        return self if message.data["status"] == "running" else self.row(theirs.seq)


def found(told: Told, news: RunNews, after: int) -> tuple[Told, list[Message]]:
    """What a look at the journal after row `after`, at most `told.seq`, brings."""
    given: list[Message] = []
    for row in news.rows:
        told, new = told.row(row.seq) or told, row.seq > told.seq
        if new and is_outcome(row):
            given.append(outcome(told.sequence, row, retrying=row.seq in news.retrying))
    seen = news.rows[-1].seq if news.rows else after
    later = None if news.more else told.change(seen, news.status)
    if later is None:
        return told, given
    return later, [*given, changed(later.sequence, news.id, news.status, news.ended_at, news.reason)]


def committed(told: Told, transition: Transition) -> tuple[Told, list[Message], bool]:
    """What a commit of this process brings; the last part says that only a look at the database can tell: rows of other
    processes come before its own, or it has a status without a row."""
    given: list[Message] = []
    for row in transition.rows:
        if row.seq > told.seq + 1:
            return told, given, True
        told, new = told.row(row.seq) or told, row.seq > told.seq
        if new and is_outcome(row):
            given.append(outcome(told.sequence, row, retrying=goes_on(transition, row)))
    if transition.status is None or not transition.rows:
        return told, given, transition.status is not None
    later = told.change(transition.rows[-1].seq, transition.status)
    if later is None:
        return told, given, False
    message = changed(later.sequence, transition.run_id, transition.status, transition.ended_at, transition.reason)
    return later, [*given, message], False


class Seen:
    """Which beginnings and ends of runs were told to who follows all runs, the last `size` of them."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._told: dict[tuple[str, int | None], None] = {}

    def is_beginning(self, run_id: str) -> bool:
        """Whether nobody was told that the run began; now they are."""
        return self._note(run_id, None)

    def is_news(self, message: Message) -> bool:
        """Whether the message was not told yet; then it is now. What is not the end of a run always is news."""
        if message.kind != "run" or message.data["status"] not in ENDED:
            return True
        return self._note(message.run_id, message.data.get("ended_at", 0))

    def _note(self, run_id: str, ended_at: int | None) -> bool:
        key = (run_id, ended_at)
        if key in self._told:
            return False
        self._told[key] = None
        if len(self._told) > self._size:
            del self._told[next(iter(self._told))]
        return True

    def news_of(self, newest: Newest, sequence: int) -> list[Message]:
        """What is news of the newest runs, oldest first; before it `reset` when the oldest of as many as a look takes is news,
        because others may have come before it."""
        begun = [_begun(sequence, run) for run in reversed(newest.begun)]
        ended = [changed(sequence, run.id, run.status, run.ended_at, run.reason) for run in reversed(newest.ended)]
        news_begun = [message for message in begun if self.is_beginning(message.run_id)]
        news_ended = [message for message in ended if self.is_news(message)]
        told = [*news_begun, *news_ended]
        return [_reset(sequence), *told] if _may_miss(begun, news_begun) or _may_miss(ended, news_ended) else told


def _begun(sequence: int, run: RunNews) -> Message:
    """A run that is over began as well; its end comes after it."""
    return changed(sequence, run.id, "running" if run.status in ENDED else run.status, None, None)


def _may_miss(page: Sequence[Message], news: Sequence[Message]) -> bool:
    return len(page) == NEWEST and bool(news) and news[0] is page[0]


def _reset(sequence: int) -> Message:
    return Message(sequence, "", "reset", {"sequence": sequence})
