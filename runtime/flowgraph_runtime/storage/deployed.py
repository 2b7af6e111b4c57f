"""The machines that live runs are on, read from a database that a server may be using: nothing is locked, made or written."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, func, inspect
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select

from flowgraph_runtime.storage.errors import DatabaseUnavailable
from flowgraph_runtime.storage.opening import POSTGRES
from flowgraph_runtime.storage.schema import check_schema
from flowgraph_runtime.storage.tables import MachineText, Run, Workflow
from flowgraph_runtime.storage.transitions import ENDED

EXAMPLES = 3
"""Ids of runs that are told of each machine, the oldest ones."""


@dataclass(frozen=True, slots=True)
class LiveMachine:
    """A machine with runs that are not over. `workflow`: the name that its runs are stored under."""

    workflow: str
    fingerprint: str
    text: str
    runs: int
    examples: tuple[str, ...]


def read_machines(connection: Connection) -> list[LiveMachine]:
    """By workflow, then fingerprint."""
    with Session(connection) as session:
        return sorted(_machines(session), key=lambda one: (one.workflow, one.fingerprint))


def live_machines(url: str) -> list[LiveMachine]:
    """By workflow, then fingerprint. Raises `DatabaseUnavailable`, `WrongSchema`, and `ValueError` for what is no database."""
    try:
        with _reading(url) as connection, Session(connection) as session:
            if not inspect(connection).has_table("fg_meta"):
                raise DatabaseUnavailable("there are no tables of flowgraph in it")
            check_schema(session)
            return read_machines(connection)
    except (DBAPIError, sqlite3.Error) as error:
        raise DatabaseUnavailable(f"cannot read the database: {str(error).splitlines()[0]}") from error


@contextmanager
def _reading(url: str) -> Generator[Connection]:
    scheme = next((scheme for scheme in POSTGRES if url.startswith(scheme)), None)
    if scheme is not None:
        engine = create_engine("postgresql+psycopg://" + url.removeprefix(scheme), isolation_level="REPEATABLE READ")
    elif url.startswith("sqlite:///"):
        file = Path(url.removeprefix("sqlite:///"))
        engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True))
    else:
        raise ValueError(f"a database is sqlite:///path.db or postgresql://user@host/name, not {url!r}")
    try:
        with engine.connect() as connection:
            if scheme is not None:
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield connection
    finally:
        engine.dispose()


def _machines(session: Session) -> Iterator[LiveMachine]:
    live = col(Run.status).not_in(ENDED)
    counts = select(Run.machine, Run.workflow, func.count()).where(live).group_by(col(Run.machine), col(Run.workflow))
    names = dict(session.exec(select(Workflow.number, Workflow.name)).all())
    for number, workflow, count in session.exec(counts).all():
        machine = session.exec(select(MachineText).where(col(MachineText.number) == number)).one()
        runs = select(Run.id).where(live, col(Run.machine) == number, col(Run.workflow) == workflow)
        examples = session.exec(runs.order_by(col(Run.number)).limit(EXAMPLES)).all()
        yield LiveMachine(names[workflow], machine.fingerprint, machine.text, count, tuple(examples))
