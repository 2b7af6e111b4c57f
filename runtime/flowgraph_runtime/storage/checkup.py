"""What `flowgraph doctor` looks at in a database: every invariant, and how the database is set up and doing.

Each check has a transaction of its own, so that a look at a large database holds up nothing in it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from flowgraph_runtime.storage.errors import WrongSchema
from flowgraph_runtime.storage.invariants import INVARIANTS, advice_for
from flowgraph_runtime.storage.reading import begin_again, read_only
from flowgraph_runtime.storage.schema import check_schema, schema_version
from flowgraph_runtime.storage.transitions import ENDED

Level = Literal["ok", "warning", "broken", "skipped"]
EXAMPLES = 5
"""Rows that are shown of each broken invariant."""
LITTLE_SPACE, NO_SPACE = 2 << 30, 256 << 20
"""Free bytes below which the disk of a SQLite file is a warning, and broken."""
LARGE_WAL = 512 << 20
LONG = 60.0
"""Seconds after which a transaction is long, a timer late, a worker silent."""
_LIVE = "status NOT IN (" + ", ".join(f"'{status}'" for status in ENDED) + ")"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. `examples`: rows or names that show it; `advice`: what to do about it."""

    check: str
    level: Level
    found: str
    examples: tuple[str, ...] = ()
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """A database under examination. `file`: that of a SQLite database; `durability`: as servers are told to use it."""

    connection: Connection
    file: Path | None = None
    durability: str = "full"
    now: Callable[[], float] = field(default=time.time)

    def one(self, sql: str) -> object:
        """The first column of the first row."""
        return self.connection.execute(text(sql)).scalar()

    def number(self, sql: str) -> float:
        """The same as a number, 0 for NULL."""
        return float(str(self.one(sql) or 0))


def examine(url: str, *, durability: str = "full") -> Iterator[Finding]:
    """Look at a database that a server may be using, one finding after the other; with tables of another version only the first
    few. Raises DatabaseUnavailable, and ValueError for what is no database."""
    file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    with read_only(url) as connection:
        patient = Patient(connection, file, durability)
        schema = _schema(patient)
        yield schema
        checks = [*_SETTINGS, *(_HEALTH if schema.level == "ok" else ())]
        for check in checks:
            found = _tried(patient, check.__name__.strip("_").replace("_", " "), check)
            if found is not None:
                yield found
        for name, statement in INVARIANTS.items() if schema.level == "ok" else ():
            found = _tried(patient, name, partial(_invariant, name=name, statement=statement))
            if found is not None:
                yield found


def _tried(patient: Patient, name: str, check: Callable[[Patient], Finding | None]) -> Finding | None:
    """A damaged file stops a check, not the examination."""
    begin_again(patient.connection)
    try:
        return check(patient)
    except DBAPIError as error:
        return Finding(name, "broken", f"cannot be looked at: {str(error).splitlines()[0]}", advice="restore a backup")


def _invariant(patient: Patient, name: str, statement: str) -> Finding:
    rows = patient.connection.execute(text(statement)).fetchmany(EXAMPLES + 1)
    if not rows:
        return Finding(name, "ok", "holds")
    count = (
        f"more than {EXAMPLES} rows break"
        if len(rows) > EXAMPLES
        else f"{len(rows)} row{'s break' if len(rows) > 1 else ' breaks'}"
    )
    examples = tuple(", ".join(str(value) for value in row) for row in rows[:EXAMPLES])
    return Finding(name, "broken", f"{count} it", examples, advice_for(name))


def _schema(patient: Patient) -> Finding:
    try:
        check_schema(patient.connection)
    except WrongSchema as error:
        return Finding("schema", "broken", str(error).partition(";")[0], advice=str(error).partition("; ")[2] or None)
    return Finding("schema", "ok", f"version {schema_version(patient.connection)}, the one of this program")


# --- how the database is set up


def _durability(patient: Patient) -> Finding:
    if patient.durability == "normal":
        advice = "set durability = 'full' (FLOWGRAPH_DURABILITY) unless losing the last commits with the power is fine"
        return Finding("durability", "warning", "'normal': a loss of power may lose acknowledged commits", advice=advice)
    return Finding("durability", "ok", "'full': a commit waits for the disk")


def _journal_mode(patient: Patient) -> Finding | None:
    if patient.file is None:
        return None
    mode = str(patient.one("PRAGMA journal_mode"))
    if mode != "wal":
        return Finding("journal mode", "warning", f"'{mode}', not 'wal'", advice="start a server on it: it sets what it needs")
    return Finding("journal mode", "ok", "'wal'")


def _file_is_sound(patient: Patient) -> Finding | None:
    if patient.file is None:
        return None
    rows = [str(row[0]) for row in patient.connection.execute(text(f"PRAGMA quick_check({EXAMPLES})"))]
    if rows != ["ok"]:
        advice = "restore a backup, or recover what can be read with: sqlite3 FILE .recover"
        return Finding("file", "broken", "SQLite finds it damaged", tuple(rows), advice)
    return Finding("file", "ok", "SQLite finds no damage")


def _disk(patient: Patient) -> Finding | None:
    if patient.file is None:
        return None
    free = shutil.disk_usage(patient.file.resolve().parent).free
    found = f"{_size(free)} free beside a file of {_size(patient.file.stat().st_size)}"
    advice = "make room, or keep less: keep_runs, keep_events (FLOWGRAPH_KEEP_RUNS)"
    if free < NO_SPACE:
        return Finding("disk", "broken", found, advice=advice)
    return Finding("disk", "warning", found, advice=advice) if free < LITTLE_SPACE else Finding("disk", "ok", found)


def _write_ahead_log(patient: Patient) -> Finding | None:
    log = Path(f"{patient.file}-wal")
    if patient.file is None or not log.exists():
        return None
    size = log.stat().st_size
    if size > LARGE_WAL:
        advice = "a reader that never ends keeps it from being emptied: end backups and shells that have the file open"
        return Finding("write-ahead log", "warning", _size(size), advice=advice)
    return Finding("write-ahead log", "ok", _size(size))


def _server_settings(patient: Patient) -> Finding | None:
    if patient.file is not None:
        return None
    unsafe = [name for name in ("fsync", "synchronous_commit", "full_page_writes") if str(patient.one(f"SHOW {name}")) == "off"]
    if unsafe:
        advice = "switch them on in postgresql.conf: what was acknowledged may be lost when the server crashes"
        return Finding("server settings", "broken", f"{', '.join(unsafe)} off", advice=advice)
    return Finding("server settings", "ok", "fsync, synchronous_commit and full_page_writes are on")


def _clock(patient: Patient) -> Finding:
    if patient.file is None:
        before = patient.now()
        theirs = patient.number("SELECT extract(epoch FROM clock_timestamp())")
        off = abs(theirs - (before + patient.now()) / 2)
        found = f"{off:.1f} s between this computer and the database"
    else:
        newest = patient.number("SELECT MAX(at) FROM fg_heartbeat") if patient.one(_HAS_TABLES) else 0
        off = max(0.0, newest / 1e6 - patient.now())
        found = f"the newest heartbeat lies {off:.1f} s in the future" if off > 1 else "no row lies in the future"
    if off > 1:
        return Finding(
            "clock", "warning", found, advice="synchronise the clocks (chrony, systemd-timesyncd); timers go by the database's"
        )
    return Finding("clock", "ok", found)


_HAS_TABLES = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'fg_heartbeat'"


def _long_transactions(patient: Patient) -> Finding | None:
    if patient.file is not None:
        return None
    rows = patient.connection.execute(
        text(
            "SELECT pid, COALESCE(application_name, ''), state, round(extract(epoch FROM clock_timestamp() - xact_start)) s"
            " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND xact_start < clock_timestamp() - make_interval(secs => :long) ORDER BY xact_start"
        ),
        {"long": LONG},
    ).fetchmany(EXAMPLES)
    if not rows:
        return Finding("long transactions", "ok", f"none over {LONG:.0f} s")
    examples = tuple(f"process {pid} ({name or 'unnamed'}), {state}, for {seconds} s" for pid, name, state, seconds in rows)
    advice = "they keep dead rows and locks: end them, or SELECT pg_terminate_backend(PID)"
    return Finding("long transactions", "warning", f"{len(rows)} over {LONG:.0f} s", examples, advice)


# --- how it is doing


def _workers(patient: Patient) -> Finding:
    live = int(patient.number(f"SELECT COUNT(*) FROM fg_run WHERE {_LIVE}"))  # noqa: S608 - a constant
    newest = patient.number("SELECT MAX(h.at) FROM fg_heartbeat h JOIN fg_epoch e ON e.id = h.epoch WHERE e.state = 'alive'")
    alive = int(patient.number("SELECT COUNT(*) FROM fg_epoch WHERE state = 'alive'"))
    silent = patient.now() - newest / 1e6
    found = f"{alive} with {live} run{'' if live == 1 else 's'} under way"
    if live and (not alive or silent > LONG):
        heard = f", the last was heard of {silent:.0f} s ago" if alive else ""
        return Finding("workers", "warning", found + heard, advice="start one: flowgraph serve TARGET --db URL")
    return Finding("workers", "ok", found)


def _timers(patient: Patient) -> Finding:
    due = patient.number("SELECT MIN(due) FROM fg_timer")
    late = patient.now() - due / 1e6 if due else 0.0
    if late > LONG:
        return Finding(
            "timers", "warning", f"the first one is {late:.0f} s late", advice="is a worker running, and is it keeping up?"
        )
    return Finding("timers", "ok", "none is late")


def _parked(patient: Patient) -> Finding:
    rows = patient.connection.execute(
        text("SELECT id, reason FROM fg_run WHERE status = 'crashed' ORDER BY number DESC LIMIT :most"), {"most": EXAMPLES}
    ).all()
    if not rows:
        return Finding("crashed runs", "ok", "none")
    count = int(patient.number("SELECT COUNT(*) FROM fg_run WHERE status = 'crashed'"))
    examples = tuple(f"{id}: {reason}" if reason else str(id) for id, reason in rows)
    return Finding("crashed runs", "warning", str(count), examples, "look at each: flowgraph runs show ID")


_SETTINGS: tuple[Callable[[Patient], Finding | None], ...] = (
    _durability,
    _journal_mode,
    _file_is_sound,
    _disk,
    _write_ahead_log,
    _server_settings,
    _clock,
    _long_transactions,
)
_HEALTH: tuple[Callable[[Patient], Finding | None], ...] = (_workers, _timers, _parked)


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
