"""Pages of events, and the runs that an event started or woke."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from flowgraph_runtime.records import EventRow
from flowgraph_runtime.storage.keysets import Cursor, Found, Key, KeyPage, placed, read_page, rows_of
from flowgraph_runtime.storage.rows import EVENT_COLUMNS
from flowgraph_runtime.storage.run_pages import ANY, RunSummary, summaries

EVENT_STATUSES = ("stored", "unknown", "invalid")
_SUMMARY = "SELECT number, id, name, status, received_at, client_id, reason FROM fg_event"


@dataclass(frozen=True, slots=True)
class EventsWanted:
    """What events are looked for."""

    name: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class EventSummary:
    """An event without its data. `started` and `woken`: how many runs."""

    id: str
    name: str
    status: str
    received_at: int
    client_id: str | None
    reason: str | None
    started: int
    woken: int


@dataclass(frozen=True, slots=True)
class EventRuns:
    """The first runs that an event started and those that it woke, oldest first; `more`: whether there are others."""

    started: tuple[RunSummary, ...]
    woken: tuple[RunSummary, ...]
    more: bool


def event_page(connection: Connection, wanted: EventsWanted, cursor: Cursor, limit: int) -> KeyPage[EventSummary]:
    """Return a page of events, newest first. Raises ValueError for a cursor of another list."""
    by_name = wanted.name is not None
    if cursor.key is not None and len(cursor.key) != (2 if by_name else 1):
        raise ValueError("the cursor belongs to another list")
    candidates = partial(_named if by_name else _numbers, connection, wanted, cursor)
    return read_page(candidates, partial(_matching, connection, wanted), cursor, limit)


def event_row(connection: Connection, id: str) -> EventRow | None:
    """Return one event without its runs, of which it may have woken very many."""
    row = connection.execute(_ONE, {"id": id}).first()
    if row is None:
        return None
    event = EventRow(*row[:-1])
    event.envelope = row[-1]
    return event


_ONE = text(f"SELECT {EVENT_COLUMNS}, e.envelope FROM fg_event e WHERE e.id = :id")


def _numbers(connection: Connection, wanted: EventsWanted, cursor: Cursor, edge: Key | None, count: int) -> list[Key]:
    low, high = 0, ANY
    if edge is not None:
        low, high = (edge[0] + 1, high) if cursor.newer else (low, edge[0])
    values: dict[str, Any] = {"low": low, "high": high, "count": count}
    condition, ordered = "number >= :low AND number < :high", f"number {cursor.order}"
    if wanted.status is not None and wanted.status != "stored":  # by the partial index; see `run_pages.numbers_between`
        values["status"] = wanted.status
        if connection.dialect.name == "postgresql":
            condition = "(status, number) >= (:status, :low) AND (status, number) < (:status, :high)"
            ordered = f"status {cursor.order}, number {cursor.order}"
        else:
            condition = f"status = :status AND {condition}"
        condition += " AND status <> 'stored'"
    statement = f"SELECT number FROM fg_event WHERE {condition} ORDER BY {ordered} LIMIT :count"
    return [(number,) for number in connection.execute(text(statement), values).scalars()]


def _named(connection: Connection, wanted: EventsWanted, cursor: Cursor, edge: Key | None, count: int) -> list[Key]:
    values: dict[str, Any] = {"name": wanted.name, "count": count}
    beyond = ""
    if edge is not None:
        beyond = f"AND (received_at, number) {cursor.beyond} (:at, :number)"
        values |= {"at": edge[0], "number": edge[1]}
    statement = (
        f"SELECT received_at, number FROM fg_event WHERE name = :name {beyond}"
        f" ORDER BY received_at {cursor.order}, number {cursor.order} LIMIT :count"
    )
    return [tuple(row) for row in connection.execute(text(statement), values)]


def _matching(connection: Connection, wanted: EventsWanted, keys: Sequence[Key]) -> Found[EventSummary]:
    numbers = [key[-1] for key in keys]
    rows = rows_of(connection, f"{_SUMMARY} WHERE number IN :numbers", numbers=numbers)
    kept = [row for row in rows if wanted.status is None or row[3] == wanted.status]
    started = _counts(connection, "fg_run", [row[0] for row in kept])
    woken = _counts(connection, "fg_taken", [row[0] for row in kept])
    found = [(row[0], _summary(row, started.get(row[0], 0), woken.get(row[0], 0))) for row in kept]
    keyed = {key[-1]: key for key in keys}
    return placed([(number, (keyed[number], event)) for number, event in found], numbers)


def _summary(row: Any, started: int, woken: int) -> EventSummary:
    _, id, name, status, received_at, client_id, reason = row
    return EventSummary(id, name, status, received_at, client_id, reason, started, woken)


def _counts(connection: Connection, table: str, numbers: Sequence[int]) -> dict[int, int]:
    statement = f"SELECT event, COUNT(*) FROM {table} WHERE event IN :numbers GROUP BY event"
    return {row[0]: row[1] for row in rows_of(connection, statement, numbers=numbers)}


def runs_of_event(connection: Connection, id: str, parked: frozenset[str], limit: int) -> EventRuns:
    """Return up to `limit` of the runs that an event started, and as many of those that took it in a wait."""
    values = {"id": id, "count": limit + 1}
    started = connection.execute(_STARTED, values).scalars().all()
    woken = connection.execute(_WOKEN, values).scalars().all()
    shown = [tuple(run for _, run in summaries(connection, numbers[:limit], parked)) for numbers in (started, woken)]
    return EventRuns(shown[0], shown[1], len(started) > limit or len(woken) > limit)


_STARTED = text(
    "SELECT number FROM fg_run WHERE event = (SELECT number FROM fg_event WHERE id = :id) ORDER BY number LIMIT :count"
)
_WOKEN = text("SELECT run FROM fg_taken WHERE event = (SELECT number FROM fg_event WHERE id = :id) ORDER BY run LIMIT :count")
