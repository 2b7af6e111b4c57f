"""Bugs planted into what the owner of runs does, and into the engine that decides for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from flowgraph_runtime.engine import decide, retrying
from flowgraph_runtime.storage.errors import NotOwner
from flowgraph_runtime.worker import owner
from flowgraph_runtime.worker.claims import Claimer
from flowgraph_runtime.worker.owner import Worker


def refusals_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """A run whose transition was refused goes on in memory as if it were stored."""
    committed = Worker._committed

    def regardless(self: Any, entry: Any, error: Any) -> None:
        committed(self, entry, None if not isinstance(error, NotOwner) and entry.live is not None else error)

    patch.setattr(Worker, "_committed", regardless)


def attempts_are_not_run_again(patch: pytest.MonkeyPatch) -> None:
    """What was under way when the owner went down is left alone by the next one."""

    def deliver_only(self: Any, live: Any, inbox: Any) -> None:
        del live
        for row in inbox:
            self._deliver(row)

    patch.setattr(Worker, "_deliver_then_run", deliver_only)


def inboxes_are_not_read_at_take_over(patch: pytest.MonkeyPatch) -> None:
    """What came while nobody owned the run is not looked at, unless more comes."""
    deliver, go_on = Worker._deliver_then_run, Worker._go_on

    def without_inbox(self: Any, live: Any, inbox: Any) -> None:
        del inbox
        deliver(self, live, [])

    def without_look(self: Any, loaded: Any, results: Any) -> None:
        look, self._pump.look = self._pump.look, lambda run_ids: None
        try:
            go_on(self, loaded, results)
        finally:
            self._pump.look = look

    patch.setattr(Worker, "_deliver_then_run", without_inbox)
    patch.setattr(Worker, "_go_on", without_look)


def nobody_polls(patch: pytest.MonkeyPatch) -> None:
    """Who was not told of work does not look for it."""

    async def never(self: Any) -> None:
        del self

    patch.setattr(Claimer, "_look_around", never)


def retries_forget_their_number(patch: pytest.MonkeyPatch) -> None:
    """Each retry is another first attempt."""
    again = retrying.next_attempt

    def first_again(turn: Any, pending: Any) -> None:
        pending.attempt = 0
        again(turn, pending)

    patch.setattr(decide, "next_attempt", first_again)


def visits_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    """A stored state has forgotten how often each step was called, so idempotency keys come again."""
    snapshot = owner.snapshot

    def forgetful(state: Any, program: Any, **options: Any) -> str:
        kept, state.visits = state.visits, {}
        try:
            return snapshot(state, program, **options)
        finally:
            state.visits = kept

    patch.setattr(owner, "snapshot", forgetful)


def starts_are_decided_anew(patch: pytest.MonkeyPatch) -> None:
    """A run whose history cannot be told from none begins again."""
    resume = Worker._go_on

    def begin(self: Any, loaded: Any, results: Any) -> None:
        loaded.journal = []
        loaded.snapshot = None
        resume(self, loaded, results)

    patch.setattr(Worker, "_go_on", begin)


def folds_leave_out_the_last_row(patch: pytest.MonkeyPatch) -> None:
    """A state is folded from all journal rows but the newest."""
    fold = owner.fold

    def short(program: Any, loaded: Any, results: Any) -> Any:
        loaded.journal = loaded.journal[:-1]
        return fold(program, loaded, results)

    patch.setattr(owner, "fold", short)


PLANTS: Sequence[Callable[[pytest.MonkeyPatch], None]] = (
    refusals_are_ignored,
    attempts_are_not_run_again,
    inboxes_are_not_read_at_take_over,
    nobody_polls,
    retries_forget_their_number,
    visits_are_not_kept,
    starts_are_decided_anew,
    folds_leave_out_the_last_row,
)
