"""What the API and the dashboard ask: cold queries, by SQLModel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, not_, or_, text
from sqlalchemy import select as select_columns
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from flowgraph_runtime.records import EventRow, JournalRow, RunRow
from flowgraph_runtime.storage.rows import DATA_MARK, ID_MARK, RUN_COLUMNS, RUN_JOINS, run_row
from flowgraph_runtime.storage.tables import Journal, KeyPathRow, LargeInput, MachineText, Run, StoredEvent, Taken, Workflow
from flowgraph_runtime.storage.transitions import ENDED

COUNTED = 10_000
"""Newest runs that the outcomes of the last day are counted from."""


@dataclass(frozen=True, slots=True)
class MachineRow:
    """A stored machine."""

    fingerprint: str
    workflow: str
    text: str
    manifest: str
    created_at: int


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A workflow and the fingerprint of the machine that its new runs take (None: no longer served)."""

    name: str
    machine: str | None
    updated_at: int


@dataclass(frozen=True, slots=True)
class EventPage:
    """A stored event with the runs that it started and those that took it in a wait."""

    event: EventRow
    started: tuple[str, ...]
    taken_by: tuple[str, ...]


_Parent = aliased(Run)
_PAYLOAD: Any = func.replace(
    func.replace(col(StoredEvent.payload), ID_MARK, col(StoredEvent.id)), DATA_MARK, col(StoredEvent.data)
)
_ONE_RUN = text(f"SELECT {RUN_COLUMNS} FROM fg_run r {RUN_JOINS} WHERE r.id = :id")  # noqa: S608 - of constants


def _runs() -> Any:
    return (
        select_columns(
            Run,
            col(Workflow.name),
            col(MachineText.fingerprint),
            col(StoredEvent.id),
            _PAYLOAD,
            col(_Parent.id),
            col(LargeInput.text),
        )
        .join(Workflow, col(Workflow.number) == col(Run.workflow))
        .join(MachineText, col(MachineText.number) == col(Run.machine))
        .join(StoredEvent, col(StoredEvent.number) == col(Run.event), isouter=True)
        .join(_Parent, col(_Parent.number) == col(Run.parent), isouter=True)
        .join(LargeInput, col(LargeInput.run) == col(Run.number), isouter=True)
    )


def _rows(connection: Connection, query: Any) -> list[Any]:
    """Of a query with more columns than SQLModel's types foresee."""
    session: Any = Session(connection)
    with session:
        return list(session.exec(query).all())


def _run_row(row: Any) -> RunRow:
    run, workflow, machine, event_id, payload, parent, large = row
    return RunRow(
        id=run.id,
        workflow=workflow,
        machine=machine,
        status=run.status,
        input=run.input or large or f"[{payload}]",
        created_at=run.created_at,
        received_at=run.received_at,
        event_id=event_id,
        started_at=run.started_at,
        ended_at=run.ended_at,
        result=run.result,
        error=run.error,
        failed_step=run.failed_step,
        failed_attempt=run.failed_attempt,
        epoch=run.epoch,
        takeovers=run.takeovers,
        parent_run=parent,
        parent_serial=run.parent_serial,
        idempotency_key=run.idempotency_key,
        reason=run.reason,
        scheduled_at=run.scheduled_at,
    )


def run(connection: Connection, id: str) -> RunRow | None:
    """One run. By plain columns: who waits for a run's end asks this each time, and SQLModel takes ten times as long."""
    found = connection.execute(_ONE_RUN, {"id": id}).first()
    return None if found is None else run_row(found)


def runs(
    connection: Connection,
    *,
    workflow: str | Collection[str] | None = None,
    status: str | None = None,
    event_id: str | None = None,
    since: int | None = None,
    cursor: int | None = None,
    limit: int = 50,
    parked: Collection[str] = (),
) -> tuple[list[RunRow], int | None]:
    """Runs, newest first, and the cursor of the next page. `workflow`: its name, or all that it has had. `since`: created at or
    after, microseconds. `parked`: fingerprints of machines that nobody can advance, whose live runs are shown as paused."""
    query = _runs()
    if workflow is not None:
        query = query.where(col(Workflow.name).in_(names_given(workflow)))
    if status is not None:
        query = query.where(_shown_as(status, parked))
    if event_id is not None:
        query = query.where(col(StoredEvent.id) == event_id)
    if since is not None:
        query = query.where(col(Run.created_at) >= since)
    if cursor is not None:
        query = query.where(col(Run.number) < cursor)
    found = _rows(connection, query.order_by(col(Run.number).desc()).limit(limit + 1))
    page = found[:limit]
    return [_run_row(row) for row in page], (page[-1][0].number if len(found) > limit else None)


def names_given(workflow: str | Collection[str]) -> list[str]:
    """Return the names of a workflow that has one or several."""
    return [workflow] if isinstance(workflow, str) else list(workflow)


def _shown_as(status: str, parked: Collection[str]) -> ColumnElement[bool]:
    """A queued run that a worker has taken runs its first step, although nothing of it is written yet."""
    stored, queued = col(Run.status) == status, col(Run.status) == "queued"
    if status == "queued":
        stored = and_(stored, col(Run.epoch).is_(None))
    elif status == "running":
        stored = or_(stored, and_(queued, col(Run.epoch).is_not(None)))
    if not parked or status in ENDED:
        return stored
    stuck = and_(col(MachineText.fingerprint).in_(parked), col(Run.status).not_in(ENDED))
    return or_(stored, stuck) if status == "paused" else and_(stored, not_(stuck))


def journal(connection: Connection, id: str, after: int = -1, limit: int | None = None) -> list[JournalRow]:
    """Journal rows of a run after position `after`."""
    query = select(Journal).join(Run, col(Run.number) == col(Journal.run))
    query = query.where(col(Run.id) == id, col(Journal.seq) > after).order_by(col(Journal.seq)).limit(limit)
    with Session(connection) as session:
        rows = session.exec(query).all()
        return [
            JournalRow(id, j.seq, j.at, j.kind, j.serial, j.payload, j.digest, j.site, j.visit, j.attempt, j.started_at)
            for j in rows
        ]


def _event_row(event: StoredEvent) -> EventRow:
    return EventRow(
        id=event.id,
        name=event.name,
        data=event.data,
        payload=event.payload.replace(ID_MARK, event.id).replace(DATA_MARK, event.data),
        ts=event.ts,
        received_at=event.received_at,
        source=event.source,
        client_id=event.client_id,
        status=event.status,
        reason=event.reason,
        dedup=event.dedup,
        envelope=event.envelope,
    )


def events(
    connection: Connection,
    *,
    name: str | None = None,
    status: str | None = None,
    since: int | None = None,
    cursor: int | None = None,
    limit: int = 50,
) -> tuple[list[EventRow], int | None]:
    """Stored events, newest first, and the cursor of the next page. `since`: received at or after, microseconds."""
    number, received = col(StoredEvent.number), col(StoredEvent.received_at)
    order = [number] if name is None else [received, number]  # as the index of the name has them
    query = select(StoredEvent).order_by(*(column.desc() for column in order)).limit(limit + 1)
    if name is not None:
        query = query.where(col(StoredEvent.name) == name)
    if status is not None:
        query = query.where(col(StoredEvent.status) == status)
        query = query if status == "stored" else query.where(col(StoredEvent.status) != "stored")  # lets the partial index serve
    if since is not None:
        query = query.where(received >= since)
    if cursor is not None:
        query = query.where(number < cursor if name is None else _beyond(cursor))
    with Session(connection) as session:
        found = session.exec(query).all()
        page = found[:limit]
        return [_event_row(event) for event in page], (page[-1].number if len(found) > limit else None)


def _beyond(cursor: int) -> ColumnElement[bool]:
    """Received before the event with this number, or stored before it at the same instant."""
    number, received = col(StoredEvent.number), col(StoredEvent.received_at)
    its: Any = select_columns(received).where(number == cursor).scalar_subquery()
    return and_(received <= its, or_(received < its, number < cursor))


def event(connection: Connection, id: str) -> EventPage | None:
    """One event with the runs it started and woke."""
    with Session(connection) as session:
        found = session.exec(select(StoredEvent).where(col(StoredEvent.id) == id)).first()
        if found is None:
            return None
        started = session.exec(select(Run.id).where(col(Run.event) == found.number).order_by(col(Run.number))).all()
        takers = select(Run.id).join(Taken, col(Taken.run) == col(Run.number)).where(col(Taken.event) == found.number)
        taken = session.exec(takers.order_by(col(Run.number))).all()
        return EventPage(_event_row(found), tuple(started), tuple(taken))


def workflows(connection: Connection) -> list[WorkflowRow]:
    """All workflows by name."""
    query = select(Workflow, MachineText.fingerprint).join(
        MachineText, col(MachineText.number) == col(Workflow.machine), isouter=True
    )
    with Session(connection) as session:
        found = session.exec(query.order_by(col(Workflow.name))).all()
        return [WorkflowRow(workflow.name, machine, workflow.updated_at) for workflow, machine in found]


def outcomes(connection: Connection, since: int) -> dict[str, dict[str, int]]:
    """How many of the `COUNTED` newest runs were created since then, by workflow and status: the table may have millions."""
    counts: dict[str, dict[str, int]] = {}
    for name, status, count in connection.execute(_OUTCOMES, {"counted": COUNTED, "since": since}):
        counts.setdefault(name, {})[status] = count
    return counts


_OUTCOMES = text(
    "SELECT w.name, r.status, COUNT(*)"
    " FROM (SELECT workflow, status, created_at FROM fg_run ORDER BY number DESC LIMIT :counted) r"
    " JOIN fg_workflow w ON w.number = r.workflow WHERE r.created_at >= :since GROUP BY w.name, r.status"
)


def machine(connection: Connection, fingerprint: str) -> MachineRow | None:
    """One machine."""
    with Session(connection) as session:
        found = session.exec(select(MachineText).where(col(MachineText.fingerprint) == fingerprint)).first()
        if found is None:
            return None
        return MachineRow(found.fingerprint, found.workflow, found.text, found.manifest, found.created_at)


def live_machines(connection: Connection, without: Collection[str]) -> dict[str, int]:
    """How many runs that are not over each machine has, but for those that are left out: nothing is counted without others."""
    with Session(connection) as session:
        rows = session.exec(select(MachineText.number, MachineText.fingerprint)).all()
        others = {number: fingerprint for number, fingerprint in rows if fingerprint not in without}
        if not others:
            return {}
        live = col(Run.status).not_in(ENDED)  # a million of them are counted twice as fast when no machine is joined to them
        counted = session.exec(select(Run.machine, func.count()).where(live).group_by(col(Run.machine))).all()
    return {others[machine]: count for machine, count in counted if machine in others}


def key_paths(connection: Connection) -> dict[str, tuple[str, ...]]:
    """The registered field paths of each event name."""
    paths: dict[str, list[str]] = {}
    with Session(connection) as session:
        for row in session.exec(select(KeyPathRow).order_by(col(KeyPathRow.event), col(KeyPathRow.path))).all():
            paths.setdefault(row.event, []).append(row.path)
    return {name: tuple(found) for name, found in paths.items()}


def inbox_backlog(connection: Connection) -> int:
    """How many inbox rows wait for an owner to take them."""
    row = connection.exec_driver_sql("SELECT COUNT(*) FROM fg_inbox").first()
    return 0 if row is None else int(row[0])


def next_timer(connection: Connection) -> int | None:
    """When the next timer is due, in microseconds; None without one."""
    row = connection.exec_driver_sql("SELECT MIN(due) FROM fg_timer").first()
    return None if row is None or row[0] is None else int(row[0])
