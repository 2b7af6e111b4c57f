"""From a URL to a database."""

from __future__ import annotations

import psycopg

from flowgraph_runtime.storage.database import Database
from flowgraph_runtime.storage.errors import DatabaseUnavailable
from flowgraph_runtime.storage.postgres import PostgresDatabase
from flowgraph_runtime.storage.schema import make_or_check_schema
from flowgraph_runtime.storage.sqlite import SqliteDatabase

POSTGRES = ("postgresql://", "postgres://", "postgresql+psycopg://")
"""Schemes of a PostgreSQL URL."""


def open_database(url: str, durability: str, *, by_its_clock: bool, lease: float) -> Database:
    """Open `sqlite:///path`, `sqlite://` or `postgresql://...` and make its tables. `by_its_clock`: a PostgreSQL server's clock
    is the one that counts, because several computers share it. `lease`: see `postgres`. Raises DatabaseUnavailable, WrongSchema,
    and ValueError for any other URL."""
    database = connect_database(url, durability, by_its_clock=by_its_clock, lease=lease)
    try:
        with database.altering() as connection:
            make_or_check_schema(connection)
    except BaseException:
        database.close()
        raise
    return database


def connect_database(url: str, durability: str = "full", *, by_its_clock: bool = True, lease: float = 15.0) -> Database:
    """The same without a look at its tables."""
    if durability not in ("full", "normal"):
        raise ValueError(f"durability is 'full' or 'normal', not {durability!r}")
    if url in ("sqlite://", "sqlite:///:memory:"):
        return SqliteDatabase("", durability)
    if url.startswith("sqlite:///"):
        return SqliteDatabase(url.removeprefix("sqlite:///"), durability)
    plain = libpq_url(url)
    if plain is not None:
        return _postgres(plain, by_its_clock=by_its_clock, lease=lease)
    raise ValueError(f"a database is sqlite:///path.db, sqlite:// (in memory) or postgresql://user@host/name, not {url!r}")


def libpq_url(url: str) -> str | None:
    """The URL of a PostgreSQL database as its client library takes it, None for another database."""
    scheme = next((scheme for scheme in POSTGRES if url.startswith(scheme)), None)
    return None if scheme is None else "postgresql://" + url.removeprefix(scheme)


def _postgres(url: str, *, by_its_clock: bool, lease: float) -> Database:
    try:
        return PostgresDatabase(url, by_its_clock=by_its_clock, lease=lease)
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(f"cannot reach the database: {str(error).strip()}") from error
