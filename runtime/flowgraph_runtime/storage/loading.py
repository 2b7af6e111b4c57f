"""Reading runs back to go on with them."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from flowgraph_runtime.records import InboxRow, JournalRow, LoadedRun, RunRow
from flowgraph_runtime.storage.rows import INBOX_COLUMNS, JOURNAL_COLUMNS, RUN_COLUMNS, RUN_JOINS, inbox_row, journal_row, run_row

_PARAMETERS = 10_000
"""Rows asked for by one statement: databases bound the parameters that one may have."""


def _select(sql: str) -> Any:
    return text(sql).bindparams(bindparam("ids", expanding=True))


_RUNS = _select(f"SELECT r.number, {RUN_COLUMNS} FROM fg_run r {RUN_JOINS} WHERE r.id IN :ids")
_SNAPSHOTS = _select("SELECT s.run, s.seq, s.state FROM fg_snapshot s WHERE s.run IN :ids")
_JOURNAL = _select(
    f"SELECT j.run, {JOURNAL_COLUMNS} FROM fg_journal j LEFT JOIN fg_snapshot s ON s.run = j.run"
    " WHERE j.run IN :ids AND j.seq > COALESCE(s.seq, -1) ORDER BY j.run, j.seq"
)
_INBOX = _select(
    f"SELECT {INBOX_COLUMNS} FROM fg_inbox i JOIN fg_run r ON r.number = i.run LEFT JOIN fg_event e ON e.number = i.event"
    " WHERE r.id IN :ids ORDER BY i.position"
)
_RESULTS = text(
    "SELECT j.seq, j.payload FROM fg_journal j JOIN fg_run r ON r.number = j.run WHERE r.id = :run AND j.seq IN :ids"
).bindparams(bindparam("ids", expanding=True))


def load(connection: Connection, run_ids: Collection[str]) -> list[LoadedRun]:
    """These runs with newest snapshot, journal after it, and inbox, in the order asked for; unknown ids are left out."""
    runs: dict[str, tuple[int, RunRow]] = {}
    for number, *row in connection.execute(_RUNS, {"ids": list(run_ids)}):
        run = run_row(row)
        runs[run.id] = (number, run)
    numbers = [number for number, _ in runs.values()]
    snapshots: dict[int, tuple[int, str]] = {}
    for run, *snapshot in connection.execute(_SNAPSHOTS, {"ids": numbers}):
        snapshots[run] = (snapshot[0], snapshot[1])
    names = {number: run.id for number, run in runs.values()}
    journals: dict[int, list[JournalRow]] = defaultdict(list)
    for number, *row in connection.execute(_JOURNAL, {"ids": numbers}):
        journals[number].append(journal_row(names[number], row))
    waiting: dict[str, list[InboxRow]] = defaultdict(list)
    for offered in inbox(connection, run_ids):
        waiting[offered.run_id].append(offered)
    loaded: list[LoadedRun] = []
    for number, run in (runs[id] for id in dict.fromkeys(run_ids) if id in runs):
        seq, state = snapshots.get(number, (0, None))
        loaded.append(LoadedRun(run, seq, state, journals[number], waiting[run.id]))
    return loaded


def inbox(connection: Connection, run_ids: Collection[str]) -> list[InboxRow]:
    """What waits in the inboxes of these runs, in commit order."""
    return [inbox_row(row) for row in connection.execute(_INBOX, {"ids": list(run_ids)})]


def results(connection: Connection, run_id: str, seqs: Sequence[int]) -> dict[int, str]:
    """Payloads of these journal rows of a run."""
    found: dict[int, str] = {}
    for first in range(0, len(seqs), _PARAMETERS):
        ids = list(seqs[first : first + _PARAMETERS])
        found.update((int(seq), str(payload)) for seq, payload in connection.execute(_RESULTS, {"run": run_id, "ids": ids}))
    return found
