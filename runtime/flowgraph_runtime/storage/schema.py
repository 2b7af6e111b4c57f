"""Making the tables, and refusing those of another version."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from flowgraph_runtime.storage.errors import DatabaseUnavailable, WrongSchema
from flowgraph_runtime.storage.tables import METADATA, SCHEMA_VERSION

SCHEMA_LOCK = 0x666C6F77_0001
"""PostgreSQL's advisory lock of whoever makes or changes the tables."""


def schema_version(connection: Connection) -> int:
    """The version of the tables in a database, 0 when it has none. Raises WrongSchema when it is no number."""
    if not inspect(connection).has_table("fg_meta"):
        return 0
    found = connection.execute(text("SELECT value FROM fg_meta WHERE key = 'schema'")).scalar()
    try:
        return int(found or "none")
    except ValueError:
        raise WrongSchema(f"the database says that its tables have the schema version {found!r}, which is no number") from None


def make_or_check_schema(connection: Connection) -> None:
    """Make the tables in an empty database; raises WrongSchema for tables of another version."""
    if schema_version(connection) == 0:
        create_schema(connection)
    else:
        check_schema(connection)


def check_schema(connection: Connection) -> None:
    """Raises WrongSchema for tables of another version, DatabaseUnavailable where there are none."""
    found = schema_version(connection)
    if found == 0:
        raise DatabaseUnavailable("there are no tables of flowgraph in it")
    check_not_newer(found)
    if found < SCHEMA_VERSION:
        raise WrongSchema(
            f"the database has tables of schema version {found}, this program needs version {SCHEMA_VERSION}; "
            "bring it up to date with: flowgraph db upgrade --db URL"
        )


def create_schema(connection: Connection) -> None:
    """Make the tables of this version in an empty database."""
    METADATA.create_all(connection, checkfirst=False)
    connection.execute(text("INSERT INTO fg_meta (key, value) VALUES ('schema', :version)"), {"version": str(SCHEMA_VERSION)})


def check_not_newer(found: int) -> None:
    """Raises WrongSchema for a version that only a newer program knows."""
    if found > SCHEMA_VERSION:
        raise WrongSchema(
            f"the database has tables of schema version {found}, this program knows version {SCHEMA_VERSION}: a newer flowgraph "
            "has upgraded it; install that one, or name another database"
        )
