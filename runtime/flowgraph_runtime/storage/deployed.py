"""The machines that live runs are on, read from a database that a server may be using: nothing is locked, made or written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func
from sqlmodel import Session, col, select

from flowgraph_runtime.positions import Standings, gathered
from flowgraph_runtime.storage.reading import read_only
from flowgraph_runtime.storage.schema import check_schema
from flowgraph_runtime.storage.standings import live_runs
from flowgraph_runtime.storage.tables import MachineText, Run, Workflow
from flowgraph_runtime.storage.transitions import ENDED

EXAMPLES = 3
"""Ids of runs that are told of each machine, the oldest ones."""


@dataclass(frozen=True, slots=True)
class LiveMachine:
    """A machine with runs that are not over. `workflow`: the name that its runs are stored under; `standings`: where they are."""

    workflow: str
    fingerprint: str
    text: str
    runs: int
    examples: tuple[str, ...]
    standings: Standings = ()


def read_machines(connection: Connection) -> list[LiveMachine]:
    """By workflow, then fingerprint."""
    with Session(connection) as session:
        return sorted(_machines(session), key=lambda one: (one.workflow, one.fingerprint))


def live_machines(url: str) -> list[LiveMachine]:
    """By workflow, then fingerprint. Raises `DatabaseUnavailable`, `WrongSchema`, and `ValueError` for what is no database."""
    with read_only(url) as connection:
        check_schema(connection)
        return read_machines(connection)


def _machines(session: Session) -> Iterator[LiveMachine]:
    live = col(Run.status).not_in(ENDED)
    counts = select(Run.machine, Run.workflow, func.count()).where(live).group_by(col(Run.machine), col(Run.workflow))
    names = dict(session.exec(select(Workflow.number, Workflow.name)).all())
    for number, workflow, count in session.exec(counts).all():
        machine = session.exec(select(MachineText).where(col(MachineText.number) == number)).one()
        runs = select(Run.id).where(live, col(Run.machine) == number, col(Run.workflow) == workflow)
        examples = session.exec(runs.order_by(col(Run.number)).limit(EXAMPLES)).all()
        stored = live_runs(session.connection(), names[workflow], machine.fingerprint)
        standings = gathered(((one.id, None if one.held else one.state) for one in stored), EXAMPLES)
        yield LiveMachine(names[workflow], machine.fingerprint, machine.text, count, tuple(examples), standings)
