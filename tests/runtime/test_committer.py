"""Groups of decisions: merged per run, written in order, void after a refusal."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Self

from hypothesis import given
from hypothesis import strategies as st

from flowgraph_runtime.records import EventRow, JournalRow, NewRun, TimerRow, Transition, WaitRow
from flowgraph_runtime.worker.committer import Committer, Entry, merge
from flowgraph_runtime.worker.live import LiveRun


def _row(seq: int) -> JournalRow:
    return JournalRow("r", seq, seq, "done", seq, "null", 0)


def _live(run_id: str = "r") -> LiveRun:
    return LiveRun(run_id, None, None, None, 0, "running")  # type: ignore[arg-type]  # the committer looks at its flags only


@st.composite
def _histories(draw):
    """Transitions that set timers and open waits, and later clear some of what is there."""
    there: dict[str, set[int]] = {"timers": set(), "waits": set()}
    transitions = []
    serial = 0
    for seq in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            transitions.append(Transition("r", [_row(seq)]))
            continue
        transition = Transition("r", rows=[_row(seq)], inbox=[seq])
        for kind, present in there.items():
            gone = {number for number in present if draw(st.booleans())}
            present.difference_update(gone)
            if kind == "timers":
                transition.cleared_timers += sorted(gone)
            else:
                transition.closed_waits += sorted(gone)
        for _ in range(draw(st.integers(0, 2))):
            serial += 1
            transition.timers.append(TimerRow("r", serial, serial, "sleep"))
            there["timers"].add(serial)
            serial += 1
            transition.waits.append(WaitRow("r", serial, ("e",), (), True))
            there["waits"].add(serial)
        transition.status = draw(st.sampled_from([None, "running", "waiting"]))
        transitions.append(transition)
    return transitions


def _applied(transitions: list[Transition]) -> tuple[object, ...]:
    """What the database holds after these, each deleting before it inserts."""
    timers: set[int] = set()
    waits: set[int] = set()
    rows, inbox, status = [], [], None
    for transition in transitions:
        timers -= set(transition.cleared_timers)
        waits -= set(transition.closed_waits)
        timers |= {timer.serial for timer in transition.timers}
        waits |= {wait.serial for wait in transition.waits}
        rows += [row.seq for row in transition.rows]
        inbox += transition.inbox
        status = transition.status or status
    return timers, waits, rows, inbox, status


@given(_histories())
def test_merging_writes_what_the_parts_would_have_written(transitions):
    expected = _applied(transitions)
    merged, *rest = transitions
    assert all(merge(merged, other) for other in rest)
    assert _applied([merged]) == expected


def test_two_taken_events_are_not_merged_and_nothing_is_changed():
    first, second = Transition("r", taken="e1"), Transition("r", taken="e2", rows=[_row(1)])
    assert not merge(first, second)
    assert first == Transition("r", taken="e1")


def test_what_only_deletes_inbox_rows_is_not_merged():
    """They may be gone already, which must not refuse the outcome of a step."""
    for first, second in ((_deletion(), _outcome()), (_outcome(), _deletion()), (_deletion(), _deletion())):
        assert not merge(first, second)
        assert [first, second] in ([_deletion(), _outcome()], [_outcome(), _deletion()], [_deletion(), _deletion()])
    assert merge(_outcome(), _outcome())


def _deletion() -> Transition:
    return Transition("r", inbox=[7])


def _outcome() -> Transition:
    return Transition("r", rows=[_row(1)])


@given(_histories())
def test_a_row_is_added_as_a_transition_with_nothing_beside_it_is(transitions):
    for first in [*transitions, Transition("r", release=True), _deletion()]:
        other, row = copy.deepcopy(first), _row(9)
        assert merge(first, row) == merge(other, Transition("r", rows=[row]))
        assert first == other


def test_merging_forgets_no_field():
    merged = Transition("r")
    other = Transition("r")
    for name in Transition.__struct_fields__:
        if name in ("run_id", "release"):
            continue
        kept = getattr(other, name)
        setattr(other, name, [object()] if isinstance(kept, list) else "given")
    other.timers, other.waits = [TimerRow("r", 1, 1, "sleep")], [WaitRow("r", 2, (), (), True)]
    other.cleared_timers, other.closed_waits, other.release = [8], [9], True
    assert merge(merged, other)
    assert merged == other


def test_a_group_is_everything_that_came_while_the_last_one_was_written(run):
    written: list[list[str]] = []
    done: list[str] = []
    gate = asyncio.Event()

    async def commit(group):
        written.append([f"{transition.run_id}{[row.seq for row in transition.rows]}" for transition in group])
        await gate.wait()
        return [None] * len(group)

    async def scenario() -> None:
        committer = Committer(commit, lambda entry, error: done.append(entry.transition.run_id))
        task = asyncio.create_task(committer.run())
        lives = {name: _live(name) for name in "abc"}
        committer.add(Entry(lives["a"], Transition("a", rows=[_row(1)]), []))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for name, seq in (("a", 2), ("b", 1), ("a", 3), ("c", 1)):
            committer.add(Entry(lives[name], Transition(name, rows=[_row(seq)]), []))
        assert not committer.idle
        gate.set()
        await committer.settled()
        assert committer.idle
        task.cancel()

    run(scenario())
    assert written == [["a[1]"], ["a[2, 3]", "b[1]", "c[1]"]]
    assert done == ["a", "a", "b", "c"]


class _TwoAtWork:
    """A committer run by two, whose groups, named by their runs, are written when their gates in `written` open."""

    def __init__(self, grows: Callable[[], bool] = lambda: False) -> None:
        self.written: dict[str, asyncio.Event] = {}
        self.committer = Committer(self._commit, lambda entry, error: None, grows=grows)

    async def _commit(self, group):
        name = "".join(decided.run_id for decided in group)
        self.written[name] = asyncio.Event()
        await self.written[name].wait()
        return [None] * len(group)

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self.committer.run()) for _ in range(2)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for gate in self.written.values():
            gate.set()
        await self.committer.settled()
        for task in self._tasks:
            task.cancel()

    async def decide(self, names: str = "") -> list[str]:
        """Decide about these runs -> the groups that have been handed over by then."""
        for name in names:
            self.committer.add(Entry(_live(name), Transition(name, rows=[_row(1)]), []))
        for _ in range(10):
            await asyncio.sleep(0)
        return list(self.written)


def test_two_groups_are_on_their_way_at_once_but_never_two_of_one_run(run):
    async def scenario() -> None:
        async with _TwoAtWork() as both:
            assert await both.decide("ab") == ["ab"]
            assert await both.decide("c") == ["ab", "c"]
            assert await both.decide("d") == ["ab", "c"], "a third at once"
            both.written["c"].set()
            assert await both.decide() == ["ab", "c", "d"]
            both.written["d"].set()
            assert await both.decide("be") == ["ab", "c", "d"], "b is still being written"
            assert not both.committer.idle
            both.written["ab"].set()
            assert await both.decide() == ["ab", "c", "d", "be"]

    run(scenario())


def test_a_group_that_grows_is_not_handed_over_ahead_but_alone_or_when_it_has_stopped(run):
    grows = True

    async def scenario() -> None:
        nonlocal grows
        async with _TwoAtWork(lambda: grows) as both:
            assert await both.decide("a") == ["a"], "nothing is being written"
            assert await both.decide("b") == ["a"]
            assert await both.decide("c") == ["a"]
            grows = False
            both.committer.look()
            assert await both.decide() == ["a", "bc"]

    run(scenario())


def test_what_follows_on_a_decision_whose_writing_was_broken_off_is_not_written(run):
    class Crash(BaseException):
        pass

    written: list[str] = []
    fall = asyncio.Event()

    async def commit(group):
        written.append("".join(decided.run_id for decided in group))
        await fall.wait()
        raise Crash

    async def scenario() -> None:
        committer = Committer(commit, lambda entry, error: None)
        tasks = [asyncio.create_task(committer.run()) for _ in range(2)]
        for seq in (1, 2):
            committer.add(Entry(_live("a"), Transition("a", rows=[_row(seq)]), []))
            await asyncio.sleep(0.01)
        fall.set()
        ended, left = await asyncio.wait(tasks, timeout=0.05)
        assert [type(task.exception()) for task in ended] == [Crash]
        for task in left:
            task.cancel()

    run(scenario())
    assert written == ["a"]


def test_what_was_decided_on_a_refused_state_is_never_written_but_the_reloaded_run_is(run):
    written: list[str] = []
    lives = [_live(), _live()]
    committer: Committer

    async def commit(group):
        written.extend(transition.reason for transition in group)
        if len(written) == 1:
            committer.add(Entry(lives[0], Transition("r", reason="void"), []))
            return [RuntimeError("refused")]
        return [None] * len(group)

    def committed(entry, error):
        if error is not None:
            lives[0].discarded = True
            committer.add(Entry(lives[1], Transition("r", reason="after the reload"), []))

    async def scenario() -> None:
        nonlocal committer
        committer = Committer(commit, committed)
        task = asyncio.create_task(committer.run())
        committer.add(Entry(lives[0], Transition("r", reason="refused"), []))
        await committer.settled()
        task.cancel()

    run(scenario())
    assert written == ["refused", "after the reload"]


def _sent(id: str, later: int = 0) -> EventRow:
    return EventRow(id, "ping", "{}", "{}", 0, 0, later=later)


def _started(id: str, later: int = 0) -> NewRun:
    return NewRun(id, "w", "m", "[]", 0, parent_run="r", later=later)


def test_what_a_merged_decision_sends_opens_and_starts_comes_behind_the_one_before_it():
    first = Transition("r", rows=[_row(1)], events=[_sent("e1")], runs=[_started("r1", 1)])
    second = Transition(
        "r", rows=[_row(2)], events=[_sent("e2")], runs=[_started("r2", 1)], waits=[WaitRow("r", 7, ("ping",), (), False, sent=1)]
    )
    assert merge(first, second)
    (e1, e2), (r1, r2) = first.events, first.runs
    assert e1.later < r1.later <= e2.later < r2.later, "a run sees the events from its own moment on"
    assert [wait.sent for wait in first.waits] == [2]
    assert merge(first, Transition("r", rows=[_row(3)], runs=[_started("r3")]))
    assert first.runs[-1].later > e2.later
