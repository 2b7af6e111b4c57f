"""What other processes have committed of runs that are followed, and the newest runs: by key, a bounded number of rows."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text

from flowgraph_runtime.records import JournalRow, RunRow
from flowgraph_runtime.storage.reads import run

ROWS = 500
"""Journal rows of a run that one look takes; the next look goes on."""
NEWEST = 500
"""Runs that a look at the newest ones takes, of those that began and of those that ended."""
_NO_PAYLOAD = "j.seq, j.at, j.kind, j.serial, '', j.digest, j.site, j.visit, j.attempt, j.started_at"
_RUNS = text(
    "SELECT number, id, CASE WHEN status = 'queued' AND epoch IS NOT NULL THEN 'running' ELSE status END, ended_at, reason"
    " FROM fg_run WHERE id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_ROWS = text(f"SELECT {_NO_PAYLOAD} FROM fg_journal j WHERE j.run = :run AND j.seq > :after ORDER BY j.seq LIMIT {ROWS}")
_TRIED_AGAIN = text(
    "SELECT serial FROM fg_timer WHERE run = :run AND kind = 'backoff' AND serial IN :serials"
    " UNION SELECT serial FROM fg_inbox WHERE run = :run AND serial IN :serials"
    " UNION SELECT serial FROM fg_journal WHERE run = :run AND seq > :after AND serial IN :serials"
).bindparams(bindparam("serials", expanding=True))
_LAST = text("SELECT COALESCE(MAX(j.seq), -1) FROM fg_run r JOIN fg_journal j ON j.run = r.number WHERE r.id = :id")
_BEGUN = text(f"SELECT id, status, ended_at, reason FROM fg_run ORDER BY number DESC LIMIT {NEWEST}")
_ENDED = text(
    "SELECT id, status, ended_at, reason FROM fg_run WHERE ended_at IS NOT NULL"
    f" ORDER BY ended_at DESC, number DESC LIMIT {NEWEST}"
)


@dataclass(frozen=True, slots=True)
class RunNews:
    """A run as it is and its journal rows after a position, without their payloads; with `more`, not all of them, so that the
    status is that after later rows. `retrying`: positions of failed attempts that are followed by another one."""

    id: str
    status: str
    ended_at: int | None
    reason: str | None
    rows: Sequence[JournalRow] = ()
    retrying: frozenset[int] = frozenset()

    @property
    def more(self) -> bool:
        """Whether there may be further rows."""
        return len(self.rows) == ROWS


@dataclass(frozen=True, slots=True)
class Newest:
    """The runs that began last and those that ended last, newest first, at most `NEWEST` of each."""

    begun: Sequence[RunNews]
    ended: Sequence[RunNews]


def run_news(connection: Connection, after: Mapping[str, int]) -> dict[str, RunNews]:
    """The runs with these ids, each with its journal after a position; unknown ones are left out."""
    if not after:
        return {}
    found = connection.execute(_RUNS, {"ids": sorted(after)}).all()
    return {id: _one(connection, number, RunNews(id, *rest), after[id]) for number, id, *rest in found}


def _one(connection: Connection, number: int, bare: RunNews, after: int) -> RunNews:
    found = connection.execute(_ROWS, {"run": number, "after": after})
    rows = [JournalRow(bare.id, *row) for row in found]
    return RunNews(bare.id, bare.status, bare.ended_at, bare.reason, rows, _retrying(connection, number, rows))


def _retrying(connection: Connection, number: int, rows: Sequence[JournalRow]) -> frozenset[int]:
    """A failed attempt is followed by another one when its serial still has a timer, or comes up again."""
    last = {row.serial: row.seq for row in rows}
    failed = [row for row in rows if row.kind == "failed"]
    open_ends = [row.serial for row in failed if row.seq == last[row.serial]]
    again: set[int] = set()
    if open_ends:
        given = {"run": number, "serials": open_ends, "after": rows[-1].seq}
        again.update(serial for (serial,) in connection.execute(_TRIED_AGAIN, given))
    return frozenset(row.seq for row in failed if row.seq < last[row.serial] or row.serial in again)


def position(connection: Connection, id: str) -> tuple[RunRow, int] | None:
    """A run and the position of its last journal row, -1 without one; None when there is no such run."""
    row = run(connection, id)
    return None if row is None else (row, connection.execute(_LAST, {"id": id}).scalar_one())


def newest(connection: Connection) -> Newest:
    """What the stream of all runs looks at."""
    begun, ended = (connection.execute(query).all() for query in (_BEGUN, _ENDED))
    return Newest([RunNews(*row) for row in begun], [RunNews(*row) for row in ended])
