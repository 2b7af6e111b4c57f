"""Pages of runs for people who look for some among millions: filters by status, workflow, event and time, none of which reads
more than a bounded number of rows."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from flowgraph_runtime.storage.keysets import Cursor, Found, Key, KeyPage, placed, read_page, rows_of
from flowgraph_runtime.storage.reads import names_given
from flowgraph_runtime.storage.transitions import ENDED

LIVE = ("queued", "running", "waiting", "sleeping", "paused", "cancelling")
"""Statuses of a run that is not over."""
ANY = 1 << 62
"""Above the number of any run."""
SLACK = 10_000_000
"""Microseconds by which the times of runs may disagree with the order in which they were stored."""
_STORED_AS = {"running": ("running", "queued")}  # a queued run that a worker has taken runs its first step
_SUMMARY = (
    "SELECT r.number, r.id, w.name, m.fingerprint, r.status, r.epoch, e.id, e.name, r.created_at, r.started_at, r.ended_at,"
    " r.scheduled_at, r.parent, r.event"
    " FROM fg_run r JOIN fg_workflow w ON w.number = r.workflow JOIN fg_machine m ON m.number = r.machine"
    " LEFT JOIN fg_event e ON e.number = r.event"
)


@dataclass(frozen=True, slots=True)
class RunsWanted:
    """What runs are looked for. `workflow`: its name, or all that it has had. `since` and `until`: created at or after, and
    before, in microseconds. `parked`: fingerprints of machines that nobody can advance, whose live runs count as paused."""

    workflow: str | tuple[str, ...] | None = None
    status: str | None = None
    event_name: str | None = None
    event_id: str | None = None
    since: int | None = None
    until: int | None = None
    parked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run without what may be large. `status` as it is shown, not as it is stored. `origin`: event, schedule, run or hand."""

    id: str
    workflow: str
    machine: str
    status: str
    event_id: str | None
    event_name: str | None
    created_at: int
    started_at: int | None
    ended_at: int | None
    origin: str


def run_page(connection: Connection, wanted: RunsWanted, cursor: Cursor, limit: int) -> KeyPage[RunSummary]:
    """Return a page of runs, newest first. Raises ValueError for a cursor of another list."""
    by_event = wanted.event_name is not None
    if cursor.key is not None and len(cursor.key) not in ((2, 3) if by_event else (1,)):
        raise ValueError("the cursor belongs to another list")
    window = _window(connection, wanted)
    if by_event:
        return read_page(
            partial(_events_named, connection, wanted, cursor), partial(_started_by, connection, wanted, cursor), cursor, limit
        )
    candidates = partial(_numbers, connection, wanted, window, cursor)
    return read_page(candidates, partial(_matching, connection, wanted), cursor, limit)


# --- candidates


def _numbers(
    connection: Connection, wanted: RunsWanted, window: tuple[int, int], cursor: Cursor, edge: Key | None, count: int
) -> list[Key]:
    """The next numbers of runs by the narrowest index."""
    low, high = window
    if edge is not None:
        low, high = (max(low, edge[0] + 1), high) if cursor.newer else (low, min(high, edge[0]))
    found: list[int] = []
    for prefix in _prefixes(connection, wanted):
        found += numbers_between(connection, prefix, low, high, cursor.order, count)
    return [(number,) for number in sorted(found, reverse=not cursor.newer)[:count]]


def _prefixes(connection: Connection, wanted: RunsWanted) -> Iterable[dict[str, Any]]:
    """The beginnings of an index that hold every run which may match: columns with their values."""
    if wanted.event_id is not None:
        yield {"event": connection.execute(text("SELECT number FROM fg_event WHERE id = :id"), {"id": wanted.event_id}).scalar()}
        return
    if wanted.status is None and wanted.workflow is None:
        yield {}
        return
    workflows = _workflows(connection, wanted.workflow)
    if wanted.status is None:
        yield from ({"workflow": workflow} for workflow in workflows)
        return
    for status in _stored_as(wanted):
        yield from ({"status": status, "workflow": workflow} for workflow in workflows)


def numbers_between(
    connection: Connection, prefix: Mapping[str, Any], low: int, high: int, order: str, count: int
) -> Sequence[int]:
    """Return up to `count` numbers from `low` to below `high` of the runs with these values, by an index over these columns and
    the number.

    PostgreSQL would rather read all runs backwards and leave out those of other workflows, which are all for one that has not
    run for long; compared as a whole, the columns leave it only the index. SQLite takes the index by itself, and only so."""
    values = {**prefix, "low": low, "high": high, "count": count}
    if "workflow" in prefix and connection.dialect.name == "postgresql":
        columns = ", ".join(f"r.{name}" for name in (*prefix, "number"))
        given = ", ".join(f":{name}" for name in prefix)
        condition = f"({columns}) >= ({given}, :low) AND ({columns}) < ({given}, :high)"
        ordered = ", ".join(f"r.{name} {order}" for name in (*prefix, "number"))
    else:
        condition = " AND ".join([*(f"r.{name} = :{name}" for name in prefix), "r.number >= :low AND r.number < :high"])
        ordered = f"r.number {order}"
    statement = f"SELECT r.number FROM fg_run r WHERE {condition} ORDER BY {ordered} LIMIT :count"
    return connection.execute(text(statement), values).scalars().all()


def _stored_as(wanted: RunsWanted) -> tuple[str, ...]:
    if wanted.status == "paused" and wanted.parked:
        return LIVE
    return _STORED_AS.get(wanted.status or "", (wanted.status or "",))


def _workflows(connection: Connection, wanted: str | tuple[str, ...] | None) -> Sequence[int]:
    if wanted is None:
        return connection.execute(text("SELECT number FROM fg_workflow")).scalars().all()
    return workflow_numbers(connection, wanted)


def workflow_numbers(connection: Connection, workflow: str | tuple[str, ...]) -> Sequence[int]:
    """Return the numbers of the workflow's names that are in the database."""
    return [
        row[0] for row in rows_of(connection, "SELECT number FROM fg_workflow WHERE name IN :names", names=names_given(workflow))
    ]


def _events_named(connection: Connection, wanted: RunsWanted, cursor: Cursor, edge: Key | None, count: int) -> list[Key]:
    """The next events of that name. A page may have ended within the runs of one event: then that event comes once more."""
    again = "=" if edge is not None and len(edge) == 3 else ""
    beyond = f"AND (received_at, number) {cursor.beyond}{again} (:at, :event)" if edge is not None else ""
    statement = (
        f"SELECT received_at, number FROM fg_event WHERE name = :name {beyond}"
        f" ORDER BY received_at {cursor.order}, number {cursor.order} LIMIT :count"
    )
    values = {"name": wanted.event_name, "count": count}
    if edge is not None:
        values |= {"at": edge[0], "event": edge[1]}
    return [tuple(row) for row in connection.execute(text(statement), values)]


# --- rows


def _summary(row: Any, parked: frozenset[str]) -> RunSummary:
    _, id, workflow, machine, status, epoch, event_id, event_name, created_at, started_at, ended_at, scheduled_at, parent, _ = row
    if machine in parked and status not in ENDED:
        status = "paused"
    elif status == "queued" and epoch is not None:
        status = "running"
    origin = "event" if event_id else "schedule" if scheduled_at is not None else "run" if parent is not None else "hand"
    return RunSummary(id, workflow, machine, status, event_id, event_name, created_at, started_at, ended_at, origin)


def _matches(run: RunSummary, wanted: RunsWanted) -> bool:
    return (
        (wanted.workflow is None or run.workflow in names_given(wanted.workflow))
        and (wanted.status is None or run.status == wanted.status)
        and (wanted.event_id is None or run.event_id == wanted.event_id)
        and (wanted.since is None or run.created_at >= wanted.since)
        and (wanted.until is None or run.created_at < wanted.until)
    )


def summaries(
    connection: Connection, numbers: Sequence[int], parked: frozenset[str] = frozenset()
) -> list[tuple[int, RunSummary]]:
    """Return these runs, each with its number, in this order."""
    rows = rows_of(connection, f"{_SUMMARY} WHERE r.number IN :numbers", numbers=numbers)
    return placed([(row[0], (row[0], _summary(row, parked))) for row in rows], numbers)


def run_summary(connection: Connection, id: str) -> RunSummary | None:
    """Return one run."""
    numbers = connection.execute(text("SELECT number FROM fg_run WHERE id = :id"), {"id": id}).scalars().all()
    return next((run for _, run in summaries(connection, numbers)), None)


def _matching(connection: Connection, wanted: RunsWanted, keys: Sequence[Key]) -> Found[RunSummary]:
    runs = summaries(connection, [key[0] for key in keys], wanted.parked)
    return [((number,), run) for number, run in runs if _matches(run, wanted)]


def _started_by(connection: Connection, wanted: RunsWanted, cursor: Cursor, keys: Sequence[Key]) -> Found[RunSummary]:
    """The matching runs of these events. The status is asked for, too: most runs of a popular event may have another one. It is
    an expression, or SQLite reads all runs in that status by their index instead of those of the events."""
    received = {key[1]: key[0] for key in keys}
    states = "" if wanted.status is None else f" AND (r.status || '') IN ({', '.join(map(repr, _stored_as(wanted)))})"
    rows = rows_of(connection, f"{_SUMMARY} WHERE r.event IN :events{states}", events=list(received))
    found = [((received[row[-1]], int(row[-1]), int(row[0])), _summary(row, wanted.parked)) for row in rows]
    return sorted((pair for pair in found if _matches(pair[1], wanted)), key=_key_of, reverse=not cursor.newer)


def _key_of(pair: tuple[Key, RunSummary]) -> Key:
    return pair[0]


# --- times


def _window(connection: Connection, wanted: RunsWanted) -> tuple[int, int]:
    """The numbers between which the runs of the wanted time are."""
    low = 0 if wanted.since is None else number_at(connection, wanted.since - SLACK)
    high = ANY if wanted.until is None else number_at(connection, wanted.until + SLACK)
    return low, high


def number_at(connection: Connection, at: int) -> int:
    """Return the first number from which on runs were created at or after a moment, by halving: numbers rise with the times of
    creation, give or take `SLACK`, so no index over the times is needed."""
    low, high = connection.execute(_ENDS).one()
    while low < high:
        middle = (low + high) // 2
        number, created_at = connection.execute(_FROM, {"number": middle}).one()
        if created_at < at:
            low = number + 1
        else:
            high = middle
    return int(low)


_ENDS = text(  # apart: SQLite reads the whole table for both in one
    "SELECT COALESCE((SELECT MIN(number) FROM fg_run), 0), COALESCE((SELECT MAX(number) FROM fg_run), -1) + 1"
)
_FROM = text("SELECT number, created_at FROM fg_run WHERE number >= :number ORDER BY number LIMIT 1")
