"""From a URL to a database."""

from __future__ import annotations

from flowgraph_runtime.storage.database import Database
from flowgraph_runtime.storage.postgres import PostgresDatabase
from flowgraph_runtime.storage.sqlite import SqliteDatabase

_POSTGRES = ("postgresql://", "postgres://", "postgresql+psycopg://")


def open_database(url: str, durability: str, *, by_its_clock: bool) -> Database:
    """Open `sqlite:///path`, `sqlite://` or `postgresql://...` and make its tables. `by_its_clock`: a PostgreSQL server's clock
    is the one that counts, because several computers share it. Raises ValueError for anything else."""
    if durability not in ("full", "normal"):
        raise ValueError(f"durability is 'full' or 'normal', not {durability!r}")
    database = _database(url, durability, by_its_clock=by_its_clock)
    try:
        database.create_tables()
    except BaseException:
        database.close()
        raise
    return database


def _database(url: str, durability: str, *, by_its_clock: bool) -> Database:
    if url in ("sqlite://", "sqlite:///:memory:"):
        return SqliteDatabase("", durability)
    if url.startswith("sqlite:///"):
        return SqliteDatabase(url.removeprefix("sqlite:///"), durability)
    scheme = next((scheme for scheme in _POSTGRES if url.startswith(scheme)), None)
    if scheme is not None:
        return PostgresDatabase("postgresql://" + url.removeprefix(scheme), by_its_clock=by_its_clock)
    raise ValueError(f"a database is sqlite:///path.db, sqlite:// (in memory) or postgresql://user@host/name, not {url!r}")
