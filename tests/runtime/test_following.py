"""What is news to who follows runs that other processes work on."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from flowgraph_runtime.following import STATUSES, Seen, Told, committed, found
from flowgraph_runtime.records import JournalRow, TimerRow, Transition
from flowgraph_runtime.storage import ENDED, NEWEST, Newest, RunNews
from flowgraph_runtime.storage.run_pages import LIVE
from flowgraph_runtime.stream_messages import Message

RUN = "run_1"


def row(seq: int, kind: str = "done", site: str | None = "w/s", serial: int = 1) -> JournalRow:
    return JournalRow(RUN, seq, 100 + seq, kind, serial, "null", 0, site, 1, 1, 90 + seq)


def news(status: str, rows: Sequence[JournalRow] = (), retrying: Sequence[int] = ()) -> RunNews:
    return RunNews(RUN, status, 500 if status in ENDED else None, None, rows, frozenset(retrying))


def shown(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.kind, message.data["status"]) for message in messages]


def test_a_position_is_a_number_that_grows_with_it():
    life = [Told(), Told(-1, "queued", True), Told(-1, "running", True), Told(0, "running"), Told(0, "waiting", True)]
    life += [Told(1, "waiting"), Told(1, "running", True), Told(2, "running"), Told(2, "completed", True)]
    numbers = [told.sequence for told in life]
    assert numbers == sorted(set(numbers))
    assert [Told.at(number) for number in numbers] == life
    assert Told.at(15) is None


def test_a_look_tells_each_row_once_and_the_status_when_it_changed():
    told, given = found(Told(-1, "running", True), news("running", [row(0), row(1, "timer", None), row(2)]), -1)
    assert shown(given) == [("step", "completed")] * 2
    told, given = found(told, news("waiting", [row(2), row(3)]), 1)
    assert shown(given) == [("step", "completed"), ("run", "waiting")]
    assert found(told, news("waiting"), 3) == (told, [])
    _, given = found(told, news("completed"), 3)
    assert given[0].data == {"id": RUN, "status": "completed", "ended_at": 500}


def test_a_failed_attempt_is_said_to_be_tried_again():
    _, given = found(Told(), news("running", [row(0, "failed"), row(1, "failed")], retrying=[0]), -1)
    assert shown(given) == [("step", "retrying"), ("step", "failed"), ("run", "running")]
    timer = TimerRow(RUN, 1, 900, "backoff")
    assert shown(committed(Told(), Transition(RUN, [row(0, "failed")], timers=[timer]))[1]) == [("step", "retrying")]


def test_what_is_older_than_what_was_told_is_no_news():
    told = Told(4, "running", True)
    assert found(told, news("waiting", [row(3)]), 2) == (told, [])
    assert found(told, news("queued"), 4) == (told, [])
    assert committed(told, Transition(RUN, [row(4)], status="running")) == (told, [], False)


def test_a_commit_after_rows_of_others_asks_for_a_look():
    told = Told(4, "running", True)
    assert committed(told, Transition(RUN, [row(6)], status="completed")) == (told, [], True)
    assert committed(told, Transition(RUN, status="running")) == (told, [], True)
    later, given, behind = committed(told, Transition(RUN, [row(5)], status="completed", ended_at=7))
    assert (shown(given), behind) == ([("step", "completed"), ("run", "completed")], False)
    assert later == Told(5, "completed", True)


def test_the_status_waits_for_the_rows_before_it():
    told, given = found(Told(), news("completed", [row(seq) for seq in range(500)]), -1)
    assert shown(given) == [("step", "completed")] * 500
    assert shown(found(told, news("completed", [row(500)]), 499)[1]) == [("step", "completed"), ("run", "completed")]


def test_a_retried_run_ends_anew():
    told = Told(4, "completed", True)
    _, given = found(told, news("completed", [row(5, "retry", None), row(6)]), 4)
    assert shown(given) == [("step", "completed"), ("run", "completed")]


@pytest.mark.parametrize("seed", range(40))
def test_looks_and_commits_in_any_order_tell_everything_once_and_in_order(seed: int):
    """A run of 30 rows; a status after each. Looks of any age and commits of this process are mixed; two clients, of whom one
    begins later, hear the same feed."""
    chance = random.Random(seed)
    statuses = [chance.choice(["running", "waiting", "sleeping"]) for _ in range(29)] + ["completed"]
    rows = [row(seq, serial=seq) for seq in range(30)]
    feed, first, late = Told(-1, "running", True), Told(-1, "running", True), None
    heard: list[list[Message]] = [[], []]
    offset = 0
    while feed != Told(29, "completed", True):
        at = chance.randrange(30)
        if chance.random() < 0.5:
            feed, given, _ = committed(feed, Transition(RUN, [rows[at]], status=statuses[at]))
        else:
            after = chance.randint(-1, feed.seq)
            seen = rows[after + 1 : at + 1]
            feed, given = found(feed, news(statuses[max(at, after)], seen), after)
        if late is None and chance.random() < 0.1:
            offset = chance.randint(max(feed.seq - 3, -1), 29)  # its own look may be older or newer than the feed
            late = Told(offset, statuses[offset] if offset >= 0 else "running", True)
            feed = min(feed, late, key=lambda told: told.sequence)
        for message in given:
            first = _takes(first, message, heard[0])
            late = late and _takes(late, message, heard[1])
    _tells(heard[0], 0, statuses)
    if late is not None:
        _tells(heard[1], offset + 1, statuses)


def _takes(told: Told, message: Message, heard: list[Message]) -> Told:
    later = told.message(message)
    if later is None:
        return told
    assert later.sequence >= told.sequence
    heard.append(message)
    return later


def _tells(heard: Sequence[Message], begin: int, statuses: Sequence[str]) -> None:
    steps = [message.data["ended_at"] - 100 for message in heard if message.kind == "step"]
    assert steps == list(range(begin, 30))
    changes = [message for message in heard if message.kind == "run"]
    for message in changes:
        told = Told.at(message.sequence)
        assert told is not None
        assert statuses[told.seq] == message.data["status"] == told.status
    if begin < 30:
        assert changes[-1].data["status"] == "completed"


def run(number: int, ended_at: int | None = None) -> RunNews:
    return RunNews(f"run_{number}", "failed" if ended_at else "running", ended_at, None)


def test_beginnings_and_ends_are_told_once_whoever_hears_of_them_first():
    seen = Seen(100)
    assert seen.is_beginning("run_1")
    assert not seen.is_beginning("run_1")
    told = seen.news_of(Newest([run(2), run(1)], [run(1, 50)]), 7)
    assert [(message.run_id, message.data["status"]) for message in told] == [("run_2", "running"), ("run_1", "failed")]
    assert seen.news_of(Newest([run(2), run(1)], [run(1, 50)]), 8) == []
    assert not seen.is_news(Message(9, "run_1", "run", {"id": "run_1", "status": "failed", "ended_at": 50}))
    assert seen.is_news(Message(9, "run_1", "run", {"id": "run_1", "status": "failed", "ended_at": 60})), "it was retried"
    assert seen.is_news(Message(9, "run_1", "run", {"id": "run_1", "status": "waiting"}))


def test_more_runs_than_a_look_takes_are_a_reset():
    seen = Seen(4 * NEWEST)
    first = [run(number) for number in range(NEWEST, 0, -1)]
    assert seen.news_of(Newest(first, []), 1)[0].kind == "reset"
    assert seen.news_of(Newest([run(NEWEST + 1), *first[:-1]], []), 2)[0].kind == "run"


def test_every_status_has_a_place():
    assert set(STATUSES) == {"", *LIVE, *ENDED}
    assert len(STATUSES) <= 16
