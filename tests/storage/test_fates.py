"""What the simulator does to commits: each fate leaves the database as its name says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from flowgraph_runtime.clock import ManualClock
from flowgraph_runtime.records import JournalRow, NewRun, Transition
from flowgraph_runtime.storage import Fate, SimulatedCrash, Store
from flowgraph_runtime.storage.invariants import violations


class Fated:
    """An inline store in memory whose next commit has the fate `next`."""

    def __init__(self) -> None:
        self.next = Fate.OK
        self.store = Store.open("sqlite://", clock=ManualClock(), inline=True, fate=self._fate)
        with asyncio.Runner() as runner:
            runner.run(self.store.save_machine("m", "w", "{}", "{}"))
            self.epoch = runner.run(self.store.open_epoch("node"))
            runner.run(self.store.start_run(NewRun("run_1", "w", "m", "[]", 0)))
            runner.run(self.store.claim(self.epoch, 1))

    def _fate(self) -> Fate:
        fate, self.next = self.next, Fate.OK
        return fate

    def step(self, seq: int, fate: Fate = Fate.OK) -> str | None:
        """Commit a journal row -> the error's name."""
        self.next = fate
        row = JournalRow("run_1", seq, 0, "done", seq, "null", 0)
        (error,) = asyncio.run(self.store.commit(self.epoch, [Transition("run_1", [row])]))
        return None if error is None else type(error).__name__

    def seqs(self) -> list[int]:
        return [row.seq for row in asyncio.run(self.store.load("run_1")).journal]


@pytest.fixture
def fated() -> Iterator[Fated]:
    fated = Fated()
    yield fated
    assert violations(fated.store) == []
    fated.store.close()


def test_a_rejected_commit_leaves_nothing(fated: Fated) -> None:
    assert fated.step(1, Fate.REJECTED) == "RejectedByFate"
    assert fated.step(1) == "Superseded"
    assert fated.seqs() == []
    assert fated.step(1) is None
    assert fated.seqs() == [1]


def test_a_commit_whose_answer_is_lost_is_there(fated: Fated) -> None:
    assert fated.step(1, Fate.APPLIED_ERROR) == "OutcomeUnknown"
    assert fated.seqs() == [1]
    assert fated.step(1) == "Refused"


@pytest.mark.parametrize(("fate", "seqs"), [(Fate.CRASH_BEFORE, []), (Fate.CRASH_AFTER, [1])])
def test_a_crash_is_no_exception_that_anybody_handles(fated: Fated, fate: Fate, seqs: list[int]) -> None:
    with pytest.raises(SimulatedCrash):
        fated.step(1, fate)
    assert fated.seqs() == seqs


def test_fates_are_for_inline_stores_only() -> None:
    with pytest.raises(ValueError, match="inline=True"):
        Store.open("sqlite://", fate=lambda: Fate.OK)
