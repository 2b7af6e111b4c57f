"""Bugs planted into what is stored: transactions, timers, inboxes, ownership."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest

from flowgraph_runtime.records import Decided, Transition, transition_of
from flowgraph_runtime.storage import events, ownership, runs, settling, timers, transitions
from flowgraph_runtime.storage.transaction import Tx
from flowgraph_runtime.worker import committer


def _without(patch: pytest.MonkeyPatch, *writes: str) -> None:
    """Leave out some of the writes of a transition."""
    patch.setattr(transitions, "_WRITES", tuple(write for write in transitions._WRITES if write.__name__ not in writes))


def taken_events_are_not_remembered(patch: pytest.MonkeyPatch) -> None:
    """A run takes an event as often as it waits for one like it."""
    _without(patch, "_take")


def inbox_rows_stay(patch: pytest.MonkeyPatch) -> None:
    """What was decided about stays in the inbox."""
    _without(patch, "_consume_inbox")


def parents_are_not_told(patch: pytest.MonkeyPatch) -> None:
    """A child's end reaches its parent by chance only."""
    _without(patch, "_tell_parents")


def snapshots_are_one_ahead(patch: pytest.MonkeyPatch) -> None:
    """A snapshot says that it holds the row after it, too."""
    write = transitions._write_snapshots

    def ahead(tx: Tx, rest: Any) -> None:
        rest.snapshots = {run: (seq + 1, state) for run, (seq, state) in rest.snapshots.items()}
        write(tx, rest)

    patch.setattr(transitions, "_WRITES", tuple(ahead if w is write else w for w in transitions._WRITES))


def fired_timers_are_lost(patch: pytest.MonkeyPatch) -> None:
    """A timer goes in one transaction, and what it wakes is told in another, which may not come."""
    fire, numbers = timers.fire_timers, count()

    def forgetful(tx: Tx, limit: int) -> list[str]:
        woken = fire(tx, limit)
        if next(numbers) % 7 == 6:
            tx.effects.offers.clear()
        return woken

    patch.setattr(timers, "fire_timers", forgetful)


def nobody_is_called(patch: pytest.MonkeyPatch) -> None:
    """An inbox is filled without its run becoming claimable."""
    patch.setattr(settling, "_make_ready", lambda tx, runs: None)


def the_dead_keep_their_runs(patch: pytest.MonkeyPatch) -> None:
    """A take-over buries the owner and leaves its runs with it."""
    patch.setattr(ownership, "_free_lost", lambda tx, epochs: 0)


def the_dead_are_not_buried(patch: pytest.MonkeyPatch) -> None:
    """A take-over frees the runs of a silent owner and lets its epoch live."""
    patch.setattr(ownership, "_bury", lambda tx, epochs: None)


def cancels_are_answered_and_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Who asks for a cancel is told that it is under way, and nobody else is."""
    ask = ownership.ask_cancel

    def forgetful(tx: Tx, run_id: str, reason: str) -> str:
        answer = ask(tx, run_id, reason)
        tx.effects.offers.clear()
        return answer

    patch.setattr(ownership, "ask_cancel", forgetful)


def requests_are_new_each_time(patch: pytest.MonkeyPatch) -> None:
    """A start that is repeated, because its answer was lost, is another start; nor does an index refuse it."""

    def unknown(tx: Tx, run: Any) -> None:
        del run
        tx.sql.run("DROP INDEX IF EXISTS fg_run_idempotency")

    patch.setattr(runs, "_same_key", unknown)


def events_are_new_each_time(patch: pytest.MonkeyPatch) -> None:
    """An event that is repeated, because its answer was lost, is another event."""
    store = events.store_events

    def as_new(tx: Tx, given: Any) -> dict[str, int]:
        for event in given:
            event.client_id = None
        return store(tx, given)

    patch.setattr(events, "store_events", as_new)


def _merging(patch: pytest.MonkeyPatch, spoil: Callable[[Transition], None]) -> None:
    merge = committer.merge

    def spoiling(first: Transition, second: Decided) -> bool:
        spoiled = transition_of(second)
        spoil(spoiled)
        return merge(first, spoiled)

    patch.setattr(committer, "merge", spoiling)


def merged_rows_are_lost(patch: pytest.MonkeyPatch) -> None:
    """Of two decisions in one commit the second leaves no journal row."""
    _merging(patch, lambda second: second.rows.clear())


def merged_timers_are_lost(patch: pytest.MonkeyPatch) -> None:
    """Of two decisions in one commit the second sets no timers."""
    _merging(patch, lambda second: second.timers.clear())


def merged_statuses_are_lost(patch: pytest.MonkeyPatch) -> None:
    """Of two decisions in one commit the second ends nothing."""

    def forget(second: Transition) -> None:
        second.status = second.ended_at = None

    _merging(patch, forget)


PLANTS: Sequence[Callable[[pytest.MonkeyPatch], None]] = (
    taken_events_are_not_remembered,
    inbox_rows_stay,
    parents_are_not_told,
    snapshots_are_one_ahead,
    fired_timers_are_lost,
    nobody_is_called,
    the_dead_keep_their_runs,
    the_dead_are_not_buried,
    cancels_are_answered_and_forgotten,
    requests_are_new_each_time,
    events_are_new_each_time,
    merged_rows_are_lost,
    merged_timers_are_lost,
    merged_statuses_are_lost,
)
