"""Deleting what is old: runs that are over with all that belongs to them, unused events, skipped ticks, dead epochs.

Each call is one short transaction. What a live run needs stays: its own rows, its parent, the event that started it or that it
has been offered. The newest row of a table that counts its rows stays, too: SQLite would give its number to the next one.
"""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, text

from flowgraph_runtime.storage.transaction import Tx
from flowgraph_runtime.storage.transitions import EXPIRING

T = TypeVar("T")
RUNS_AT_ONCE, EVENTS_AT_ONCE, ROWS_AT_ONCE = 100, 200, 2_000
"""How much one transaction deletes: measured at 5 to 20 ms of the writer on SQLite."""

_OF_RUNS = ("fg_journal", "fg_snapshot", "fg_taken", "fg_inbox", "fg_timer", "fg_wait", "fg_limit_slot", "fg_large_input")
_OLD_RUNS = (
    "SELECT r.number, r.ended_at, r.event, (SELECT COALESCE(MAX(j.seq), 0) FROM fg_journal j WHERE j.run = r.number)"
    " FROM fg_run r WHERE r.ended_at < :before AND (r.ended_at, r.number) > (:ended_at, :number)"
    " AND r.number < (SELECT MAX(number) FROM fg_run) AND NOT EXISTS (SELECT 1 FROM fg_run c WHERE c.parent = r.number)"
    f" ORDER BY r.ended_at, r.number LIMIT {RUNS_AT_ONCE}"
)
_UNUSED_EVENTS = (
    "SELECT e.number FROM given JOIN fg_event e ON e.number = given.event"
    " WHERE e.received_at < given.before AND e.number < (SELECT MAX(number) FROM fg_event)"
    " AND NOT EXISTS (SELECT 1 FROM fg_run r WHERE r.event = e.number)"
    " AND e.number NOT IN (SELECT i.event FROM fg_inbox i WHERE i.event IS NOT NULL)"
)


_FIRST_FROM = text("SELECT received_at FROM fg_event WHERE number >= :number ORDER BY number LIMIT 1")
_NEXT_EVENTS = text(
    f"SELECT number FROM fg_event WHERE number > :place AND number <= :last ORDER BY number LIMIT {EVENTS_AT_ONCE}"
)
_OLD_KEYS = text(
    "SELECT name, path, value, event FROM fg_event_key WHERE (name, path, value, event) > (:name, :path, :value, :event)"
    f" AND event <= :last ORDER BY name, path, value, event LIMIT {EVENTS_AT_ONCE}"
)


@dataclass(frozen=True, slots=True)
class DeletedRuns:
    """`runs` that are gone, the `events` that had started them, and the `place` to go on from (None: there are no more)."""

    runs: int
    events: tuple[int, ...]
    place: tuple[int, int] | None


class _Write(Protocol):
    def __call__(self, act: Callable[[Tx], T], *, alone: bool = ...) -> Coroutine[Any, Any, T]: ...


class _Read(Protocol):
    def __call__(self, query: Callable[[Connection], T]) -> Coroutine[Any, Any, T]: ...


class Expiry:
    """Deleting from a store. Times are microseconds; `before`: what is older goes."""

    def __init__(self, write: _Write, read: _Read) -> None:
        self._write = write
        self._read = read

    async def claim(self, every: int) -> bool:
        """Whether it is this process's turn: once in so many microseconds over all processes."""
        return await self._write(lambda tx: claim(tx, every), alone=True)

    async def runs(self, before: int, place: tuple[int, int]) -> DeletedRuns:
        """Delete some runs that ended before, from a place on; the first is (0, 0)."""
        return await self._write(lambda tx: delete_runs(tx, before, place), alone=True)

    async def last_old_event(self, before: int) -> int:
        """The number of the newest event that was received before, 0 for none."""
        return await self._read(lambda connection: last_old_event(connection, before))

    async def keys(self, last: int, place: tuple[str, str, str, int]) -> tuple[str, str, str, int] | None:
        """Delete some keys of events up to that number, from a place on -> where to go on, None at the end."""
        keys = await self._read(lambda connection: old_keys(connection, last, place))
        if not keys:
            return None
        await self._write(lambda tx: delete_keys(tx, keys), alone=True)
        name, path, value, event = keys[-1]
        return name, path, value, event

    async def next_events(self, last: int, place: int) -> list[int]:
        """The numbers of some events up to that number, after a place."""
        given = {"last": last, "place": place}
        return [int(row[0]) for row in await self._read(lambda connection: connection.execute(_NEXT_EVENTS, given).all())]

    async def events(self, numbers: Sequence[int], before: int) -> int:
        """Delete those of these events that nothing refers to and that were received before -> how many. Their keys have been
        deleted."""
        return await self._write(lambda tx: delete_events(tx, numbers, before), alone=True)

    async def rest(self, before: int) -> None:
        """Delete skipped ticks and dead epochs of that time."""
        await self._write(lambda tx: delete_rest(tx, before), alone=True)


def claim(tx: Tx, every: int) -> bool:
    """See `Expiry.claim`."""
    tx.sql.run("INSERT INTO fg_meta (key, value) VALUES ('expired_at', '0') ON CONFLICT (key) DO NOTHING")
    changed = tx.sql.run(
        "UPDATE fg_meta SET value = :now WHERE key = 'expired_at' AND CAST(value AS BIGINT) <= :since",
        now=str(tx.now),
        since=tx.now - every,
    )
    return changed > 0


def delete_runs(tx: Tx, before: int, place: tuple[int, int]) -> DeletedRuns:
    """See `Expiry.runs`."""
    lock = f"{tx.database.update_lock} SKIP LOCKED" if tx.database.has_other_writers else ""
    found = tx.sql.rows(f"{_OLD_RUNS} {lock}", before=before, ended_at=place[0], number=place[1])
    chosen: list[tuple[Any, ...]] = []
    size = 0
    for row in found:
        size += int(row[3])
        if chosen and size > ROWS_AT_ONCE:
            break
        chosen.append(row)
    if chosen and int(chosen[0][3]) > ROWS_AT_ONCE:
        _shorten(tx, int(chosen[0][0]), int(chosen[0][3]))
        return DeletedRuns(0, (), place)
    given = [(row[0],) for row in chosen]
    for table in _OF_RUNS:
        tx.sql.each(f"DELETE FROM {table} WHERE run IN (SELECT run FROM given)", "run int", given)
    tx.sql.each("DELETE FROM fg_run WHERE number IN (SELECT run FROM given)", "run int", given)
    events = tuple(dict.fromkeys(int(row[2]) for row in chosen if row[2] is not None))
    end = (int(chosen[-1][1]), int(chosen[-1][0])) if chosen else None
    return DeletedRuns(len(chosen), events, end)


def _shorten(tx: Tx, run: int, last: int) -> None:
    """Delete the end of a long journal; from now on the run cannot be retried."""
    tx.sql.run("UPDATE fg_run SET reason = :reason WHERE number = :run", reason=EXPIRING, run=run)
    tx.sql.run("DELETE FROM fg_snapshot WHERE run = :run", run=run)
    tx.sql.run("DELETE FROM fg_journal WHERE run = :run AND seq > :last", run=run, last=last - ROWS_AT_ONCE)


def last_old_event(connection: Connection, before: int) -> int:
    """The number of the newest event that was received before, 0 for none; numbers and times grow together."""
    low, high = 0, int(connection.execute(text("SELECT COALESCE(MAX(number), 0) FROM fg_event")).scalar_one())
    while low < high:
        middle = (low + high + 1) // 2
        at = connection.execute(_FIRST_FROM, {"number": middle}).scalar()
        if at is not None and int(at) < before:
            low = middle
        else:
            high = middle - 1
    return low


def old_keys(connection: Connection, last: int, place: tuple[str, str, str, int]) -> list[tuple[Any, ...]]:
    """Some keys of events up to that number, from a place on, in order."""
    name, path, value, event = place
    given = {"name": name, "path": path, "value": value, "event": event, "last": last}
    return [tuple(row) for row in connection.execute(_OLD_KEYS, given)]


def delete_keys(tx: Tx, keys: Sequence[tuple[Any, ...]]) -> None:
    """Delete these keys of events: waits do not find the events by them any more."""
    tx.sql.each(
        "DELETE FROM fg_event_key WHERE (name, path, value, event) IN (SELECT name, path, value, event FROM given)",
        "name text, path text, value text, event int",
        keys,
    )


def delete_events(tx: Tx, numbers: Sequence[int], before: int) -> int:
    """See `Expiry.events`."""
    if tx.database.has_other_writers:  # who is just offering one of them to a wait has a bucket, and holds it until it commits
        tx.sql.lock_buckets(range(256))
    unused = tx.sql.each(_UNUSED_EVENTS, "event int, before int", [(number, before) for number in numbers])
    tx.sql.each("DELETE FROM fg_taken WHERE event IN (SELECT event FROM given)", "event int", unused)
    tx.sql.each("DELETE FROM fg_event WHERE number IN (SELECT event FROM given)", "event int", unused)
    return len(unused)


def delete_rest(tx: Tx, before: int) -> None:
    """See `Expiry.rest`."""
    tx.sql.run(
        "DELETE FROM fg_skip WHERE (schedule, scheduled_at) IN (SELECT schedule, scheduled_at FROM fg_skip WHERE at < :before"
        f" LIMIT {ROWS_AT_ONCE})",
        before=before,
    )
    epochs = tx.sql.rows(
        "SELECT e.id FROM fg_epoch e WHERE e.state <> 'alive' AND e.closed_at < :before AND e.id < (SELECT MAX(id) FROM fg_epoch)"
        f" AND NOT EXISTS (SELECT 1 FROM fg_run r WHERE r.epoch = e.id) LIMIT {ROWS_AT_ONCE}",
        before=before,
    )
    for table, column in (("fg_heartbeat", "epoch"), ("fg_epoch", "id")):
        tx.sql.each(f"DELETE FROM {table} WHERE {column} IN (SELECT epoch FROM given)", "epoch int", epochs)
