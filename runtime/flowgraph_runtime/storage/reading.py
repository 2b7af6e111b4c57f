"""A database that a server may be using, opened only to read: nothing is locked, made or written."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from flowgraph_runtime.storage.errors import DatabaseUnavailable
from flowgraph_runtime.storage.opening import POSTGRES
from flowgraph_runtime.storage.schema import schema_version


@contextmanager
def read_only(url: str) -> Generator[Connection]:
    """A connection that sees one state of the database. Raises `DatabaseUnavailable`, also for what goes wrong inside the block,
    and `ValueError` for what is no database."""
    scheme = next((scheme for scheme in POSTGRES if url.startswith(scheme)), None)
    if scheme is not None:
        engine = create_engine("postgresql+psycopg://" + url.removeprefix(scheme), isolation_level="REPEATABLE READ")
    elif url.startswith("sqlite:///"):
        file = Path(url.removeprefix("sqlite:///"))
        engine = create_engine("sqlite://", creator=lambda: _connect(file))
    else:
        raise ValueError(f"a database is sqlite:///path.db or postgresql://user@host/name, not {url!r}")
    try:
        with engine.connect() as connection:
            begin_again(connection)
            yield connection
    except (DBAPIError, sqlite3.Error) as error:
        raise DatabaseUnavailable(f"cannot read the database: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()


def begin_again(connection: Connection) -> None:
    """Go on with the state that the database has now."""
    connection.rollback()
    connection.exec_driver_sql("BEGIN" if connection.dialect.name == "sqlite" else "SET TRANSACTION READ ONLY")


def current_version(url: str) -> int:
    """The version of the schema that a database has, 0 when it has none. Raises as `read_only`, and WrongSchema."""
    with read_only(url) as connection:
        return schema_version(connection)


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, isolation_level=None)
