"""Committing decisions: the journal rows of a whole group by one statement, and the rest only where there is any."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from flowgraph_runtime.factories import dict_of, list_of, set_of
from flowgraph_runtime.records import Completed, Decided, EventRow, JournalRow, NewRun, TimerRow, Transition, WaitRow
from flowgraph_runtime.storage.early import go_on_reading
from flowgraph_runtime.storage.errors import (
    NotFailed,
    RepeatedEvent,
    RunHeld,
    StaleInbox,
    UnknownEvent,
    UnknownRun,
)
from flowgraph_runtime.storage.events import store_events
from flowgraph_runtime.storage.journal import JournalValues, append, are_rows, values_of
from flowgraph_runtime.storage.limits import free_runs
from flowgraph_runtime.storage.matching import event_buckets, offer_to_waits, open_waits, store_waits, wait_buckets
from flowgraph_runtime.storage.runs import insert_runs
from flowgraph_runtime.storage.settling import UPDATED
from flowgraph_runtime.storage.text import are_storable, check_text
from flowgraph_runtime.storage.transaction import Offer, Tx

EXPIRING = "being deleted: it is older than keep_runs"
"""The reason of a run whose long journal is being deleted, from its end to its beginning: it cannot be retried any more."""

ENDED = ("completed", "failed", "cancelled", "crashed")
"""Statuses of a run that is over."""


def transition_buckets(transition: Transition) -> Iterator[int]:
    """The locks that a transition needs for its waits and events."""
    yield from wait_buckets(transition.waits)
    yield from event_buckets(transition.events)


@dataclass(slots=True)
class _Rows:
    """The rows of a group of transitions, with what a later transition undoes of an earlier one left out."""

    timers: dict[tuple[int, int], TimerRow] = field(default_factory=dict_of(tuple[int, int], TimerRow))
    waits: dict[tuple[int, int], WaitRow] = field(default_factory=dict_of(tuple[int, int], WaitRow))
    from_now: dict[tuple[int, int], int] = field(
        default_factory=dict_of(tuple[int, int], int)
    )  # which of `events` they see first
    cleared_timers: set[tuple[int, int]] = field(default_factory=set_of(tuple[int, int]))
    closed_waits: set[tuple[int, int]] = field(default_factory=set_of(tuple[int, int]))
    inbox: list[tuple[int, int]] = field(default_factory=list_of(tuple[int, int]))
    needed: set[int] = field(default_factory=set_of(int))  # inbox positions that became journal rows
    taken: list[tuple[int, str]] = field(default_factory=list_of(tuple[int, str]))
    snapshots: dict[int, tuple[int, str]] = field(default_factory=dict_of(int, tuple[int, str]))
    events: list[EventRow] = field(default_factory=list_of(EventRow))
    event_runs: list[NewRun] = field(default_factory=list_of(NewRun))
    runs: list[NewRun] = field(default_factory=list_of(NewRun))
    cancels: list[tuple[str, str]] = field(default_factory=list_of(tuple[str, str]))
    read_on: list[tuple[int, int]] = field(default_factory=list_of(tuple[int, int]))  # waits: their early events are used up
    frees: list[int] = field(default_factory=list_of(int))  # runs that end and may have slots of limits
    ended: list[tuple[int, str, str]] = field(default_factory=list_of(tuple[int, str, str]))  # run, status, result or error

    def add(self, run: int, transition: Transition) -> None:
        """Append what a transition has beside journal rows."""
        self.inbox += [(position, run) for position in transition.inbox]
        if transition.rows:
            self.needed.update(transition.inbox)
        self._timers_and_waits(run, transition)
        if transition.taken is not None:
            self.taken.append((run, transition.taken))
        if transition.snapshot is not None:
            self.snapshots[run] = transition.snapshot
        self.events += transition.events
        self.event_runs += transition.event_runs
        self.runs += transition.runs
        self.cancels += transition.cancel_runs
        if transition.frees_slots:
            self.frees.append(run)
        if transition.status in ENDED:
            self.ended.append((run, transition.status, transition.result or transition.error or "null"))

    def _timers_and_waits(self, run: int, transition: Transition) -> None:
        for serial in transition.cleared_timers:
            if self.timers.pop((run, serial), None) is None:
                self.cleared_timers.add((run, serial))
        for serial in transition.closed_waits:
            self.from_now.pop((run, serial), None)
            if self.waits.pop((run, serial), None) is None:
                self.closed_waits.add((run, serial))
        self.timers.update(((run, timer.serial), timer) for timer in transition.timers)
        for wait in transition.waits:
            self.waits[run, wait.serial] = wait
            if not wait.since_start:
                self.from_now[run, wait.serial] = len(self.events) + wait.sent


def others(decisions: Iterable[Decided]) -> list[Transition]:
    """Those that write more than a journal row and a good end."""
    if Transition not in set(map(type, decisions)):
        return []
    return [decision for decision in decisions if isinstance(decision, Transition)]


def apply_rows(tx: Tx, epoch: int, journal: JournalValues) -> None:
    """What `apply_transitions` does for decisions that write nothing but their journal rows."""
    tx.check_epoch(epoch)
    tx.effects.news.tell_rows(journal.rows)
    append(tx, journal)


def apply_transitions(tx: Tx, epoch: int, decisions: Sequence[Decided]) -> None:
    """Write a group of decisions of one epoch; raises Fenced when it is dead, else any error means that one of them is bad."""
    if are_rows(decisions):
        apply_rows(tx, epoch, values_of(decisions))
        return
    tx.check_epoch(epoch)
    alone = [decision for decision in decisions if isinstance(decision, JournalRow)]
    tx.effects.news.tell_rows(alone)
    ends = [decision for decision in decisions if isinstance(decision, Completed)]
    transitions = others(decisions)
    rest = _Rows()
    _complete(tx, epoch, ends, rest)
    rows = [*alone, *(end.row for end in ends)]
    numbers = tx.run_numbers({transition.run_id for transition in transitions})
    for transition in transitions:
        rows += transition.rows
        if not _is_only_rows(transition):
            _check_texts(transition)
            rest.add(numbers[transition.run_id], transition)
            _remember_update(tx, epoch, numbers[transition.run_id], transition)
    if rows:
        append(tx, values_of(rows))
    for write in _WRITES:
        write(tx, rest)
    tx.effects.news.ends += ends
    tx.effects.news.transitions += transitions


def apply_reopening(tx: Tx, transition: Transition) -> None:
    """Write how a failed run goes on. Nobody owns the run, so the transition counts only if the run is still as it was read.
    Raises NotFailed otherwise, and UnknownRun."""
    (row,) = transition.rows
    found = tx.sql.rows(
        "SELECT r.number, CASE WHEN r.reason = :expiring THEN 'too old' ELSE r.status END,"
        " (SELECT COALESCE(MAX(j.seq), 0) FROM fg_journal j WHERE j.run = r.number)"
        f" FROM fg_run r WHERE r.id = :id {tx.database.update_lock}",
        id=transition.run_id,
        expiring=EXPIRING,
    )
    if not found:
        raise UnknownRun(transition.run_id)
    run, status, last = int(found[0][0]), str(found[0][1]), int(found[0][2])
    if status != "failed" or last != row.seq - 1:
        raise NotFailed(transition.run_id, "already retried" if status == "failed" else status)
    _check_texts(transition)
    tx.sql.run(
        "UPDATE fg_run SET status = :status, ready = 1, takeovers = 0, takeover_seq = NULL, ended_at = NULL, result = NULL,"
        " error = NULL, failed_step = NULL, failed_attempt = NULL, reason = NULL WHERE number = :run",
        status=transition.status or "running",
        run=run,
    )
    append(tx, values_of([row]))
    rest = _Rows()
    rest.add(run, transition)
    for write in _WRITES:
        write(tx, rest)
    tx.effects.news.ready.append(transition.run_id)
    tx.effects.news.transitions.append(transition)


def apply_move(tx: Tx, transition: Transition, old: str, new: str) -> None:
    """Put a run that nobody owns on another machine, if it is still on the `old` one and its journal as long as it was then.
    Raises RunHeld otherwise, UnknownRun and UnknownMachine."""
    (row,) = transition.rows
    found = tx.sql.rows(
        "SELECT r.number, r.epoch, r.ended_at, r.machine,"
        " (SELECT COALESCE(MAX(j.seq), 0) FROM fg_journal j WHERE j.run = r.number)"
        f" FROM fg_run r WHERE r.id = :id {tx.database.update_lock}",
        id=transition.run_id,
    )
    if not found:
        raise UnknownRun(transition.run_id)
    run, epoch, ended_at, machine, last = found[0]
    before, after = tx.machine_number(old), tx.machine_number(new)
    if epoch is not None or ended_at is not None or machine != before or last != row.seq - 1:
        raise RunHeld(transition.run_id)
    _check_texts(transition)
    tx.sql.run("UPDATE fg_run SET machine = :machine WHERE number = :run", machine=after, run=run)
    append(tx, values_of([row]))
    rest = _Rows()
    rest.add(int(run), transition)
    _write_snapshots(tx, rest)
    tx.effects.news.transitions.append(transition)


def _is_only_rows(transition: Transition) -> bool:
    return not (
        transition.status is not None
        or transition.inbox
        or transition.timers
        or transition.cleared_timers
        or transition.waits
        or transition.closed_waits
        or transition.snapshot
        or transition.release
        or transition.taken
        or transition.events
        or transition.runs
        or transition.cancel_runs
        or transition.event_runs
        or transition.started_at
        or transition.reason
    )


def _complete(tx: Tx, epoch: int, ends: Sequence[Completed], rest: _Rows) -> None:
    """What `_remember_update` and `_Rows.add` do for a `Transition`."""
    results = [end.result for end in ends]
    if not are_storable(results):
        for end in ends:
            check_text(f"the result of run {end.run_id!r}", end.result)
    numbers = tx.numbers_of([end.run_id for end in ends])
    tx.effects.ended.update(numbers)
    for run, end in zip(numbers, ends, strict=True):
        tx.effects.complete(run, epoch, end.ended_at, end.result)
        if not tx.is_alone(run):
            rest.ended.append((run, "completed", end.result))


def _check_texts(transition: Transition) -> None:
    where = f"a transition of run {transition.run_id!r}"
    check_text(where, transition.result, transition.error, transition.reason, transition.failed_step)
    check_text(where, transition.snapshot[1] if transition.snapshot else None)
    for wait in transition.waits:
        check_text(where, *wait.names, *(text for key in wait.keys for text in key))
    for _, reason in transition.cancel_runs:
        check_text(where, reason)


def _remember_update(tx: Tx, epoch: int, run: int, transition: Transition) -> None:
    ended = transition.status in ENDED
    if ended:
        tx.effects.ended.add(run)
        if transition.ended_at is None:
            tx.effects.update((run, epoch, None, *(tx.now if name == "ended_at" else None for name in UPDATED)))
    released = 1 if transition.release or ended else None
    if released:
        tx.effects.freed.add(run)
    values = _updated(transition)
    if released or values != _NOTHING:
        tx.effects.update((run, epoch, released, *values))


_updated = attrgetter(*UPDATED)
_NOTHING = (None,) * len(UPDATED)


def _consume_inbox(tx: Tx, rest: _Rows) -> None:
    """A row that leads to nothing may be gone: an event offered to two waits is withdrawn when one takes it."""
    gone = tx.sql.each(
        f"DELETE FROM fg_inbox WHERE (position, run) IN (SELECT position, run FROM given){_among(tx, 'position')}"
        " RETURNING position, run, serial, more",
        "position int, run int",
        rest.inbox,
    )
    rest.read_on += [(run, serial) for _, run, serial, more in gone if more is not None]
    missing = rest.needed - {row[0] for row in gone}
    if missing:
        raise StaleInbox(missing)


def _among(tx: Tx, column: str) -> str:
    """Says once more that a key's column is one of the given. PostgreSQL, when it has counted a table while that was empty,
    would read all of it to see which rows are given (measured: 1,000 waits to close one); so it goes by the index."""
    return f" AND {column} = ANY (ARRAY(SELECT {column} FROM given))" if tx.database.has_other_writers else ""


def _clear(tx: Tx, rest: _Rows) -> None:
    for table, keys in (("fg_timer", rest.cleared_timers), ("fg_wait", rest.closed_waits)):
        tx.sql.each(
            f"DELETE FROM {table} WHERE (run, serial) IN (SELECT run, serial FROM given){_among(tx, 'run')} RETURNING run",
            "run int, serial int",
            list(keys),
        )


def _set_timers(tx: Tx, rest: _Rows) -> None:
    tx.no_longer_bare([run for run, _ in rest.timers])
    tx.sql.each(
        "INSERT INTO fg_timer (due, run, serial, kind) SELECT due, run, serial, kind FROM given",
        "due int, run int, serial int, kind text",
        [(timer.due, run, serial, timer.kind) for (run, serial), timer in rest.timers.items()],
    )


def _take(tx: Tx, rest: _Rows) -> None:
    """Record taken events, and withdraw them where they were offered to other waits of the same run."""
    taken = tx.sql.each(
        "INSERT INTO fg_taken (run, event) SELECT given.run, e.number FROM given JOIN fg_event e ON e.id = given.event"
        " RETURNING run, event",
        "run int, event text",
        rest.taken,
    )
    if len(taken) < len(rest.taken):
        raise UnknownEvent([event for _, event in rest.taken])
    withdrawn = tx.sql.each(
        "DELETE FROM fg_inbox WHERE position IN (SELECT i.position FROM given JOIN fg_inbox i ON i.run = given.run"
        " AND i.event = given.event) RETURNING run, serial, more",
        "run int, event int",
        taken,
    )
    rest.read_on += [(run, serial) for run, serial, more in withdrawn if more is not None]


def _write_snapshots(tx: Tx, rest: _Rows) -> None:
    tx.sql.each(
        "INSERT INTO fg_snapshot (run, seq, state) SELECT run, seq, state FROM given WHERE true"
        " ON CONFLICT (run) DO UPDATE SET seq = excluded.seq, state = excluded.state",
        "run int, seq int, state text",
        [(run, seq, state) for run, (seq, state) in rest.snapshots.items()],
    )


def _emit(tx: Tx, rest: _Rows) -> None:
    """Store emitted events and offer them to the waits that were open before each. Waits opened here that want early events
    read them as such."""
    numbers = store_events(tx, rest.events) if rest.events else {}
    if len(numbers) < len(rest.events):
        raise RepeatedEvent({event.id for event in rest.events} - set(numbers))
    payloads = {event.id: (numbers[event.id], event.payload) for event in rest.events}
    insert_runs(tx, rest.event_runs, payloads)
    insert_runs(tx, rest.runs, {})
    among = {key: numbers[rest.events[first].id] for key, first in rest.from_now.items() if first < len(rest.events)}
    if among:
        store_waits(tx, [(key[0], rest.waits.pop(key)) for key in among])
    offer_to_waits(tx, {numbers[event.id]: event for event in rest.events}, among)


def _open(tx: Tx, rest: _Rows) -> None:
    if rest.read_on:
        go_on_reading(tx, rest.read_on)
    if rest.waits:
        open_waits(tx, [(run, wait) for (run, _), wait in rest.waits.items()])


def _cancel(tx: Tx, rest: _Rows) -> None:
    numbers = tx.run_numbers({run_id for run_id, _ in rest.cancels})
    tx.effects.offers += [Offer(numbers[run_id], "cancel", "cancel", 0, payload=reason) for run_id, reason in rest.cancels]


def _tell_parents(tx: Tx, rest: _Rows) -> None:
    outcomes = {run: (status, payload) for run, status, payload in rest.ended if not tx.is_alone(run)}
    offer_ends(tx, outcomes)


def offer_ends(tx: Tx, outcomes: dict[int, tuple[str, str]]) -> None:
    """Put the ends of runs, each status and codec text, into the inboxes of the runs that wait for them."""
    parents = tx.sql.each(
        "SELECT r.number, r.parent, r.parent_serial, r.id FROM given JOIN fg_run r ON r.number = given.run"
        " WHERE r.parent IS NOT NULL AND r.parent_serial IS NOT NULL",
        "run int",
        [(run,) for run in outcomes],
    )
    for run, parent, serial, id in parents:
        status, payload = outcomes[run]
        tx.effects.offers.append(
            Offer(parent, f"child:{id}", "child", serial, payload=json.dumps({"status": status, "payload": payload}))
        )


def _free_slots(tx: Tx, rest: _Rows) -> None:
    if rest.frees:
        free_runs(tx, rest.frees)


_WRITES: tuple[Callable[[Tx, _Rows], None], ...] = (
    _consume_inbox,
    _clear,
    _set_timers,
    _take,
    _write_snapshots,
    _emit,
    _open,
    _cancel,
    _tell_parents,
    _free_slots,
)
