"""Moving a database from any released schema to the one of this program, by alembic.

The number of a revision is the version of the schema that it leads to, and `fg_meta` holds the version that a database has. A
new database is made from the tables at once; a test holds that the revisions lead to the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from flowgraph_runtime.storage.database import Database
from flowgraph_runtime.storage.opening import connect_database
from flowgraph_runtime.storage.schema import check_not_newer, create_schema, schema_version
from flowgraph_runtime.storage.tables import METADATA, SCHEMA_VERSION

OLDEST = 2
"""The version of the oldest released schema."""
_BY_TEXT = {"fg_run_ready"}  # indexes whose order alembic cannot compare


def _declared(name: str | None, kind: str, _: object) -> bool:
    return kind != "table" or name in METADATA.tables


def _comparable(_: object, name: str | None, kind: str, *__: object) -> bool:
    return kind != "index" or name not in _BY_TEXT


OPTIONS: dict[str, Any] = {
    "version_table": "fg_revision",
    "render_as_batch": True,  # SQLite cannot alter a column: the table is made anew
    "include_name": _declared,
    "include_object": _comparable,
}
"""How alembic looks at a database, in which an application may have tables of its own."""


def upgrade(url: str, version: int = SCHEMA_VERSION) -> tuple[int, int]:
    """Bring a database to a version of the schema, all or nothing; an empty one gets the tables of today. Several processes may
    try at once: one does it, the others find it done. Answers the version before (0: empty) and after.

    Raises WrongSchema for a database of a newer program, DatabaseInUse when a server uses the SQLite file, and what
    `Store.open` raises."""
    database = connect_database(url)
    try:
        return _upgrade(database, version)
    finally:
        database.close()


def _upgrade(database: Database, version: int) -> tuple[int, int]:
    with database.altering() as connection:
        found = schema_version(connection)
        if found == 0:
            create_schema(connection)
            return found, SCHEMA_VERSION
        check_not_newer(found)
        if found < version:
            migrate(connection, found, version)
        return found, max(found, version)


def migrate(connection: Connection, found: int, version: int) -> None:
    """Run the revisions between two versions, in the connection's transaction."""
    config = configuration(connection)
    context = MigrationContext.configure(connection, opts=OPTIONS)
    context.stamp(ScriptDirectory.from_config(config), _id(found))
    command.upgrade(config, _id(version))
    connection.execute(text("UPDATE fg_meta SET value = :version WHERE key = 'schema'"), {"version": str(version)})


def make_by_revisions(connection: Connection, version: int) -> None:
    """Make the tables of a version in an empty database as its first user got them."""
    command.upgrade(configuration(connection), _id(version))
    connection.execute(text("INSERT INTO fg_meta (key, value) VALUES ('schema', :version)"), {"version": str(version)})


def configuration(connection: Connection) -> Config:
    """Alembic's configuration: this folder, and a connection in a transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config


def _id(version: int) -> str:
    return f"{version:04d}"
