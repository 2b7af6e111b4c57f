"""`flowgraph db`: the version of a database's tables, and bringing them to that of this program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from flowgraph_runtime.cli.connection import AsJson, Database
from flowgraph_runtime.cli.console import Failure, show, show_json, tell

if TYPE_CHECKING:
    from flowgraph_runtime.settings import Settings

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True)


@app.command("upgrade", epilog="Example:  flowgraph db upgrade --db postgresql://localhost/shop")
def upgrade(db: Database = None) -> None:
    """Bring the tables up to this program's version, all or nothing, with the runs in flight. There is no way back.

    SQLite: stop the server first. PostgreSQL: servers of the version before may go on meanwhile; start the new ones afterwards.
    """
    from flowgraph_runtime.storage import migrations

    before, after = _on_database(db, migrations.upgrade)
    if before == after:
        tell(f"up to date: schema version {after}")
    else:
        tell(f"upgraded from schema version {before} to {after}" if before else f"made the tables: schema version {after}")


@app.command("current", epilog="Example:  flowgraph db current --db sqlite:///shop.db --json")
def current(db: Database = None, as_json: AsJson = False) -> None:
    """Show the version of the tables and the one that this program needs. Exit code 1 when they differ."""
    from flowgraph_runtime.storage.reading import current_version
    from flowgraph_runtime.storage.tables import SCHEMA_VERSION

    found = _on_database(db, current_version)
    if as_json:
        show_json({"database": found, "program": SCHEMA_VERSION})
    else:
        show(f"schema version {found}; this program needs {SCHEMA_VERSION}" if found else "no tables of flowgraph yet")
    if found < SCHEMA_VERSION:
        raise Failure("the tables are not up to date", "bring them there with: flowgraph db upgrade --db URL")
    if found > SCHEMA_VERSION:
        raise Failure("a newer flowgraph has upgraded the tables", "install that version")


def wait_for_database(chosen: Settings) -> None:
    """Wait as long as the settings say for a PostgreSQL server that is not there yet. What is wrong besides, or still then,
    is said by whoever opens the database. Ends the program at SIGTERM: the first process of a container has no other end."""
    import signal

    from flowgraph_runtime.storage.arrival import await_database

    before = signal.signal(signal.SIGTERM, _end)
    try:
        await_database(chosen.db, chosen.db_wait)
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(*_: object) -> None:
    raise SystemExit(0)


def upgrade_for_development(url: str) -> None:
    """Upgrade the database of a dev server, which belongs to one developer, and say so. Raises `Failure`."""
    from flowgraph_runtime.storage.errors import StorageError
    from flowgraph_runtime.storage.reading import current_version
    from flowgraph_runtime.storage.tables import SCHEMA_VERSION

    try:
        found = current_version(url)
    except (StorageError, ValueError):  # not there yet, or the server will say what is wrong with it
        return
    if 0 < found < SCHEMA_VERSION:
        upgrade(url)


def _on_database(db: str | None, act: Callable[[str], T]) -> T:
    from flowgraph_runtime.cli.settings import settings

    try:
        return act(settings(db=db).db)
    except Exception as error:  # drivers raise what they like: bad URL, file in use, no server, wrong password
        raise Failure(f"cannot use the database: {error}", "stop the server first if it uses this SQLite file") from error
