"""Bugs planted into the engine, each of which the simulator must find: one that finds none is decoration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from flowgraph_runtime import schedules as runtime_schedules
from flowgraph_runtime.schedules import Schedule
from flowgraph_runtime.steps import Hold
from flowgraph_runtime.storage import limits, matching, ownership, schedules, timers
from flowgraph_runtime.storage.transaction import Tx
from flowgraph_runtime.worker.admission import Admission
from flowgraph_runtime.worker.owner import Worker
from flowgraph_runtime.worker.slots import SlotQueue
from tests.simulation import planted_storage, planted_worker

Plant = Callable[[pytest.MonkeyPatch], None]
EARLY = 300_000_000


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """A worker that was taken over goes on committing."""
    patch.setattr(Tx, "check_epoch", lambda self, epoch: None)


def early_events_are_lost(patch: pytest.MonkeyPatch) -> None:
    """A wait sees only events that come after it was registered."""
    patch.setattr(matching, "begin_reading", lambda tx, waits: None)


def timers_fire_early(patch: pytest.MonkeyPatch) -> None:
    """Timers are due five minutes too soon."""
    fire = timers.fire_timers

    def too_soon(tx: Tx, limit: int) -> list[str]:
        tx.now += EARLY
        try:
            return fire(tx, limit)
        finally:
            tx.now -= EARLY

    patch.setattr(timers, "fire_timers", too_soon)


def ticks_are_advanced_apart(patch: pytest.MonkeyPatch) -> None:
    """The run of a tick and the move to the next tick are two transactions, of which the second may be lost; nor does anything
    else say that the tick has its run."""
    advance, serve, numbers = schedules._advance, schedules.serve, count()

    def lost_at_times(tx: Tx, plans: Any) -> None:
        if next(numbers) % 4:
            advance(tx, plans)

    def without_index(tx: Tx, *arguments: Any) -> list[int]:
        tx.sql.run("DROP INDEX IF EXISTS fg_run_tick")
        return serve(tx, *arguments)

    patch.setattr(schedules, "_advance", lost_at_times)
    patch.setattr(schedules, "serve", without_index)
    patch.setattr(Schedule, "run_id", lambda self, at: f"run_{next(numbers):026d}")


def ticks_fire_early(patch: pytest.MonkeyPatch) -> None:
    """The delay of a tick is taken off."""
    due = Schedule.due
    patch.setattr(Schedule, "due", lambda self, at: 2 * at - due(self, at))


def skipped_ticks_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A tick that starts no run leaves no trace."""
    patch.setattr(runtime_schedules, "_skips", lambda reasons: [])


def acts_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """The next step begins while the outcome of the one before it is still being stored."""
    take = Worker._take

    def speculative(self: Any, live: Any, given: Any, **keywords: Any) -> None:
        adding = self._committer.add

        def act_and_add(entry: Any) -> None:
            if entry.live is not None:
                self._act(entry.live, entry.commands)
                entry.commands = []
            adding(entry)

        self._committer.add = act_and_add
        try:
            take(self, live, given, **keywords)
        finally:
            self._committer.add = adding

    patch.setattr(Worker, "_take", speculative)


def slots_are_given_back_early(patch: pytest.MonkeyPatch) -> None:
    """A slot goes back when its attempt starts, not when it ends."""
    heard = SlotQueue.heard

    def and_give_back(self: Any, tickets: Any) -> None:
        started = [ticket for ticket in tickets if ticket in self._waiting]
        heard(self, started)
        for ticket in started:
            self._give_back(ticket)

    patch.setattr(SlotQueue, "heard", and_give_back)


def a_slot_given_back_twice_frees_two(patch: pytest.MonkeyPatch) -> None:
    """Held slots are counted by adding and subtracting, and each is subtracted twice."""
    held, given_back = limits._held, limits._give_back
    gone: Counter[Any] = Counter()

    def count_down(tx: Tx, rows: Any) -> None:
        gone.update((pool, key) for pool, key, was_held in rows if was_held)
        given_back(tx, rows)

    def miscounted(tx: Tx, lanes: Any) -> Any:
        counts = held(tx, lanes)
        return Counter({lane: max(counts[lane] - min(gone[lane], 1), 0) for lane in lanes})

    patch.setattr(limits, "_held", miscounted)
    patch.setattr(limits, "_give_back", count_down)


def slots_are_kept_after_the_end(patch: pytest.MonkeyPatch) -> None:
    """An attempt that has ended keeps its slot as long as its worker lives."""
    patch.setattr(Hold, "leave", lambda self: None)


def slots_outlive_their_epoch(patch: pytest.MonkeyPatch) -> None:
    """A take-over frees runs and not slots."""
    patch.setattr(ownership, "free_epochs", lambda tx, epochs: None)


def nobody_follows(patch: pytest.MonkeyPatch) -> None:
    """A slot that comes free is given to who asks next, not to who waits."""
    patch.setattr(limits, "_give_back", lambda tx, rows: None)


def runs_live_without_asking(patch: pytest.MonkeyPatch) -> None:
    """A run that another worker had begun goes on without a look at its limit, and so does one that is new."""
    patch.setattr(Admission, "ask", lambda self, row, go, called: go())


def runs_given_up_go_on(patch: pytest.MonkeyPatch) -> None:
    """A run that has to wait for its slot, and was given up by a commit whose outcome was not heard, begins all the same."""
    admit = limits.admit_runs

    def called(tx: Tx, epoch: int, requests: Any) -> dict[str, str]:
        own = {row[0] for row in tx.sql.rows("SELECT id FROM fg_run WHERE epoch = :epoch", epoch=epoch)}
        answers = admit(tx, epoch, requests)
        return {run: answer if run in own else "called" for run, answer in answers.items()}

    patch.setattr(limits, "admit_runs", called)


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        no_fence,
        early_events_are_lost,
        timers_fire_early,
        ticks_are_advanced_apart,
        ticks_fire_early,
        skipped_ticks_are_forgotten,
        acts_before_the_commit,
        slots_are_given_back_early,
        a_slot_given_back_twice_frees_two,
        slots_are_kept_after_the_end,
        slots_outlive_their_epoch,
        nobody_follows,
        runs_live_without_asking,
        runs_given_up_go_on,
        *planted_storage.PLANTS,
        *planted_worker.PLANTS,
    )
}
LIMITED = {
    name for name in PLANTS if "slot" in name or name in ("nobody_follows", "runs_live_without_asking", "runs_given_up_go_on")
}
"""Those that only show in seeds with limited work."""
