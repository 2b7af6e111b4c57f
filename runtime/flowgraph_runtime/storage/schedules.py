"""Schedules are rows: when each is due, which runs it started, and which ticks it skipped and why.

Whoever fires a tick locks the schedule's row and writes the run and the next tick in one transaction, so that a tick has one run
however many processes look at the same moment, and none is lost when one of them dies.
"""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, bindparam, text

from flowgraph_runtime.records import NewRun
from flowgraph_runtime.schedules import Plan, Schedule, Skip, plan
from flowgraph_runtime.storage.machines import set_current
from flowgraph_runtime.storage.ownership import ask_cancel
from flowgraph_runtime.storage.runs import insert_runs
from flowgraph_runtime.storage.text import check_text
from flowgraph_runtime.storage.transaction import Tx

T = TypeVar("T")
FIRED_AT_ONCE = 100
"""Schedules that one transaction fires."""
SKIPS_SHOWN = 20

_OPTIONS = "machine int, catch_up text, overlap text, jitter int, takes_time int, next_at int, due int"
_OPTION_NAMES = [column.split()[0] for column in _OPTIONS.split(", ")]
_COLUMNS = f"workflow int, expression text, zone text, {_OPTIONS}"
_NAMES = ", ".join(column.split()[0] for column in _COLUMNS.split(", "))
_ADD = (
    f"INSERT INTO fg_schedule ({_NAMES}) SELECT {_NAMES} FROM given WHERE true"
    " ON CONFLICT (workflow, expression, zone) DO NOTHING RETURNING number"
)
_KEEP = (
    f"UPDATE fg_schedule SET {', '.join(f'{name} = given.{name}' for name in _OPTION_NAMES)}, retired_at = given.retired_at"
    " FROM given WHERE fg_schedule.number = given.number RETURNING fg_schedule.number"
)
_ADVANCE = (
    "UPDATE fg_schedule SET next_at = given.next_at, due = given.due, last_at = given.last_at"
    " FROM given WHERE fg_schedule.number = given.number RETURNING fg_schedule.number"
)
_SKIP_COLUMNS = "schedule int, scheduled_at int, until int, count int, reason text, at int"
_SKIP_NAMES = ", ".join(column.split()[0] for column in _SKIP_COLUMNS.split(", "))
_LIVE = (
    "SELECT schedule, id, number FROM fg_run WHERE schedule IN (SELECT number FROM given) AND ended_at IS NULL ORDER BY number"
)


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule as stored. `last_at`: its latest tick that was due, run or skipped; `skipped`: the latest ones."""

    schedule: Schedule
    next_at: int | None
    due: int | None
    last_at: int | None
    skipped: tuple[Skip, ...] = field(default=())


# --- deploying


def serve(tx: Tx, workflow: str, fingerprint: str, schedules: Sequence[Schedule]) -> list[int]:
    """New runs of the workflow take this machine, and its schedules are these -> their numbers; raises UnknownMachine.

    A schedule that was there goes on where it was; a new one begins now, and so does one that comes back. One that is not among
    them any more is retired."""
    set_current(tx, workflow, fingerprint)
    number, machine = tx.workflow_number(workflow), tx.machine_number(fingerprint)
    for schedule in schedules:
        check_text(f"schedule of {workflow!r}", schedule.expression, schedule.zone)
    rows = [(number, each.expression, each.zone, *_options(each, machine, _next(each, tx.now))) for each in schedules]
    tx.sql.each(_ADD, _COLUMNS, rows)
    known = tx.sql.rows(
        "SELECT number, expression, zone, next_at, last_at, retired_at FROM fg_schedule WHERE workflow = :workflow"
        f" ORDER BY number {tx.database.update_lock}",
        workflow=number,
    )
    wanted = {(each.expression, each.zone): each for each in schedules}
    kept = [(row, wanted[row[1], row[2]]) for row in known if (row[1], row[2]) in wanted]
    served = [(row[0], *_options(each, machine, _goes_on(each, tx.now, *row[3:])), None) for row, each in kept]
    tx.sql.each(_KEEP, f"number int, {_OPTIONS}, retired_at int", served)
    gone = [(row[0], tx.now) for row in known if (row[1], row[2]) not in wanted and row[5] is None]
    tx.sql.each(
        "UPDATE fg_schedule SET next_at = NULL, due = NULL, retired_at = given.at FROM given"
        " WHERE fg_schedule.number = given.number RETURNING fg_schedule.number",
        "number int, at int",
        gone,
    )
    return [int(row[0]) for row, _ in kept]


def _options(schedule: Schedule, machine: int, next_at: int | None) -> tuple[Any, ...]:
    due = None if next_at is None else schedule.due(next_at)
    return machine, schedule.catch_up, schedule.overlap, schedule.jitter, int(schedule.takes_time), next_at, due


def _next(schedule: Schedule, after: int) -> int | None:
    return next(schedule.after(after), None)


def _goes_on(schedule: Schedule, now: int, next_at: int | None, last_at: int | None, retired_at: int | None) -> int | None:
    """The next tick of a stored schedule; never one that it has had, even if the clock went back."""
    return next_at if retired_at is None else _next(schedule, max(now, last_at or now))


# --- firing


def fire(tx: Tx, numbers: Collection[int], limit: int) -> int:
    """Handle those of these schedules that are due -> how many were: start runs, record what is skipped, move on."""
    due = tx.sql.each(
        "SELECT s.number, s.next_at, (SELECT m.fingerprint FROM fg_machine m WHERE m.number = s.machine),"
        " (SELECT w.name FROM fg_workflow w WHERE w.number = s.workflow), s.expression, s.zone, s.catch_up, s.overlap, s.jitter,"
        " s.takes_time FROM fg_schedule s WHERE s.number IN (SELECT number FROM given) AND s.due <= (SELECT MAX(now) FROM given)"
        f" ORDER BY s.due LIMIT {int(limit)} {tx.database.skip_locked}",
        "number int, now int",
        [(number, tx.now) for number in numbers],
    )
    live = _live(tx, [(row[0],) for row in due if row[7] != "allow"])
    plans: list[tuple[int, Schedule, str, Plan]] = []
    for number, next_at, machine, *columns in due:
        schedule = _schedule(*columns)
        plans.append((number, schedule, machine, plan(schedule, next_at, tx.now, live.get(number, []))))
    _carry_out(tx, plans)
    return len(due)


def _live(tx: Tx, schedules: list[tuple[int]]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for schedule, id, _ in tx.sql.each(_LIVE, "number int", schedules):
        found.setdefault(int(schedule), []).append(str(id))
    return found


def _carry_out(tx: Tx, plans: list[tuple[int, Schedule, str, Plan]]) -> None:
    insert_runs(tx, [_run(tx, *each[:3], at) for each in plans for at in each[3].starts], {})
    for id in sorted(id for *_, found in plans for id in found.cancels):
        ask_cancel(tx, id, "a later tick of its schedule has started a run")
    skips = [
        (number, skip.first, skip.last, skip.count, skip.reason, tx.now) for number, *_, found in plans for skip in found.skips
    ]
    tx.sql.each(f"INSERT INTO fg_skip ({_SKIP_NAMES}) SELECT {_SKIP_NAMES} FROM given", _SKIP_COLUMNS, skips)
    _advance(tx, plans)


def _advance(tx: Tx, plans: list[tuple[int, Schedule, str, Plan]]) -> None:
    rows = [
        (number, found.next_at, None if found.next_at is None else schedule.due(found.next_at), found.last_at)
        for number, schedule, _, found in plans
    ]
    tx.sql.each(_ADVANCE, "number int, next_at int, due int, last_at int", rows)


def _run(tx: Tx, number: int, schedule: Schedule, machine: str, at: int) -> NewRun:
    """The run of a tick. Its waits read events from its creation on, like those of a run that is started by hand."""
    return NewRun(
        id=schedule.run_id(at),
        workflow=schedule.workflow,
        machine=machine,
        input=schedule.input(at),
        created_at=tx.now,
        schedule=number,
        scheduled_at=at,
    )


def _schedule(workflow: str, expression: str, zone: str, catch_up: str, overlap: str, jitter: int, takes_time: int) -> Schedule:
    return Schedule(workflow, expression, zone, catch_up, overlap, int(jitter), bool(takes_time))


# --- reading


def next_due(connection: Connection, numbers: Collection[int]) -> int | None:
    """When the next of these schedules is due."""
    query = text("SELECT MIN(due) FROM fg_schedule WHERE number IN :numbers").bindparams(bindparam("numbers", expanding=True))
    found = connection.execute(query, {"numbers": list(numbers)}).scalar()
    return None if found is None else int(found)


def of_workflow(connection: Connection, workflow: str) -> list[ScheduleRow]:
    """The schedules of a workflow that are in force, with what they skipped latest."""
    rows = connection.execute(
        text(
            "SELECT s.number, s.next_at, s.due, s.last_at, w.name, s.expression, s.zone, s.catch_up, s.overlap, s.jitter,"
            " s.takes_time FROM fg_schedule s JOIN fg_workflow w ON w.number = s.workflow"
            " WHERE w.name = :workflow AND s.retired_at IS NULL ORDER BY s.number"
        ),
        {"workflow": workflow},
    )
    return [
        ScheduleRow(_schedule(*columns), next_at, due, last_at, _skipped(connection, number))
        for number, next_at, due, last_at, *columns in rows
    ]


def _skipped(connection: Connection, schedule: int) -> tuple[Skip, ...]:
    found = connection.execute(
        text(
            "SELECT scheduled_at, until, count, reason FROM fg_skip WHERE schedule = :schedule"
            " ORDER BY scheduled_at DESC LIMIT :limit"
        ),
        {"schedule": schedule, "limit": SKIPS_SHOWN},
    )
    return tuple(Skip(*row) for row in found)


class _Write(Protocol):
    def __call__(self, act: Callable[[Tx], T], *, alone: bool = False) -> Awaitable[T]: ...


class _Read(Protocol):
    def __call__(self, query: Callable[[Connection], T]) -> Awaitable[T]: ...


class Schedules:
    """The schedules of a store, with its two ways to the database."""

    def __init__(self, write: _Write, read: _Read) -> None:
        self._write = write
        self._read = read

    async def serve(self, workflow: str, fingerprint: str, schedules: Sequence[Schedule]) -> list[int]:
        """New runs of the workflow take this machine, and its schedules are these -> their numbers; raises UnknownMachine."""
        return await self._write(lambda tx: serve(tx, workflow, fingerprint, schedules), alone=True)

    async def fire(self, numbers: Collection[int], limit: int = FIRED_AT_ONCE) -> int:
        """Handle those of these schedules that are due -> how many were; more may be due when it is not 0."""
        return await self._write(lambda tx: fire(tx, numbers, limit), alone=True)

    async def next_due(self, numbers: Collection[int]) -> int | None:
        """When the next of these schedules is due."""
        return await self._read(lambda connection: next_due(connection, numbers))

    async def of_workflow(self, workflow: str) -> list[ScheduleRow]:
        """The schedules of a workflow that are in force, with what they skipped latest."""
        return await self._read(lambda connection: of_workflow(connection, workflow))
