"""Migrations: forward from every released schema, once, with the runs in flight, to the very tables that a new database gets."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from flowgraph_runtime.storage import DatabaseUnavailable, Store, WrongSchema
from flowgraph_runtime.storage.migrations import OLDEST, OPTIONS, configuration, make_by_revisions, upgrade
from flowgraph_runtime.storage.opening import connect_database
from flowgraph_runtime.storage.reading import current_version
from flowgraph_runtime.storage.schema import create_schema
from flowgraph_runtime.storage.tables import METADATA, SCHEMA_VERSION
from tests.integration.harness import engine
from tests.migrations.in_flight import FLOWS, FOLDER, finish

RELEASES = {"0.1": 2}
"""Releases with the version of their schema; `in_flight` has written down what each left."""

_UPGRADE = "import sys; from flowgraph_runtime.storage.migrations import upgrade; print(upgrade(sys.argv[1]))"
_NUMBERED = "SELECT table_name, column_name FROM information_schema.columns WHERE column_default LIKE 'nextval%'"


def left_by(release: str, url: str) -> dict[str, str]:
    """Fill an empty database with the tables and rows of a release -> the runs by name."""
    database = connect_database(url)
    with database.altering() as connection:
        make_by_revisions(connection, RELEASES[release])
        connection.exec_driver_sql("DELETE FROM fg_meta")
        if RELEASES[release] == 2:  # it knew nothing of revisions
            connection.exec_driver_sql("DROP TABLE fg_revision")
    database.close()
    text = (FOLDER / f"{release}.sql").read_text(encoding="utf-8")
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            file.executescript(text)
        file.close()
    else:
        with psycopg.connect(url) as server:
            server.execute(text)
            for table, column in server.execute(_NUMBERED).fetchall():
                server.execute(f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), 1000)")
    return dict(re.findall(r"^-- (\w+) (run_\w+)$", text, re.MULTILINE))


@pytest.mark.parametrize("release", RELEASES)
def test_runs_in_flight_of_a_release_end_after_the_upgrade(release: str, each_url: str, log: Any, run: Any) -> None:
    runs = left_by(release, each_url)
    assert current_version(each_url) == RELEASES[release]
    assert upgrade(each_url) == (RELEASES[release], SCHEMA_VERSION)
    assert current_version(each_url) == SCHEMA_VERSION

    async def scenario() -> dict[str, object]:
        async with engine(FLOWS, each_url) as served:
            return await finish(served, runs)

    assert run(scenario()) == {
        "waiting": ("completed", "before w after w"),
        "sleeping": ("completed", ["a", "b"]),
        "fanned": ("completed", [f"first {n} then {n}" for n in range(8)]),
        "parent": ("completed", ["a", "b"]),
        "retrying": ("completed", "flaky"),
        "short": ("completed", "done"),
        "queued": ("completed", "before early timeout"),
    }
    assert log.count("first 0") == log.count("a") == log.count("done") == 0  # what had ended does not run again


def test_a_server_refuses_an_older_schema_with_the_command_and_leaves_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    _set_version(url, OLDEST - 1)
    with pytest.raises(
        WrongSchema, match=f"version {OLDEST - 1}, this program needs version {SCHEMA_VERSION}.*flowgraph db upgrade"
    ):
        Store.open(url)
    assert current_version(url) == OLDEST - 1


def test_a_newer_schema_is_refused_also_by_the_upgrade(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    _set_version(url, SCHEMA_VERSION + 1)
    for act in (Store.open, upgrade):
        with pytest.raises(WrongSchema, match=f"version {SCHEMA_VERSION + 1}, .* a newer flowgraph"):
            act(url)
    assert current_version(url) == SCHEMA_VERSION + 1


def test_an_empty_database_gets_the_tables_of_today(each_url: str) -> None:
    assert upgrade(each_url) == (0, SCHEMA_VERSION)
    assert upgrade(each_url) == (SCHEMA_VERSION, SCHEMA_VERSION)
    Store.open(each_url).close()


def test_a_database_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable):
        current_version(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_the_newest_revision_has_the_number_of_the_schema() -> None:
    database = connect_database("sqlite://")
    with database.altering() as connection:
        scripts = ScriptDirectory.from_config(configuration(connection))
        numbers = [int(script.revision) for script in scripts.walk_revisions()]
    database.close()
    assert numbers == list(range(SCHEMA_VERSION, OLDEST - 1, -1))
    assert set(RELEASES.values()) <= set(numbers)


def test_the_revisions_lead_to_the_tables_of_a_new_database(each_url: str, tmp_path: Path, request: Any) -> None:
    assert _described(each_url, lambda connection: make_by_revisions(connection, SCHEMA_VERSION)) == _described(
        f"sqlite:///{tmp_path}/new.db" if each_url.startswith("sqlite") else request.getfixturevalue("another_url"), create_schema
    )


@pytest.fixture
def another_url(each_url: str) -> Any:
    """A second empty database on the server of the first one."""
    with psycopg.connect(each_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE another")
        yield re.sub(r"/test_\w+", "/another", each_url)
        connection.execute("DROP DATABASE another WITH (FORCE)")


@pytest.mark.ci
@pytest.mark.postgres
def test_processes_that_upgrade_at_once_do_it_once(postgres_url: str) -> None:
    left_by("0.1", postgres_url)
    command = [sys.executable, "-c", _UPGRADE, postgres_url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=120)[0].strip() for process in processes]
    done, found = f"(2, {SCHEMA_VERSION})", f"({SCHEMA_VERSION}, {SCHEMA_VERSION})"
    assert sorted(answers) == sorted([done, found, found])


def _set_version(url: str, version: int) -> None:
    Store.open(url).close()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
        file.execute("UPDATE fg_meta SET value = ? WHERE key = 'schema'", (version,))
    file.close()


def _described(url: str, make: Any) -> dict[str, Any]:
    """What the database itself says of its tables and indexes after `make`; they must be those that the program declares."""
    database = connect_database(url)
    with database.altering() as connection:
        make(connection)
        assert compare_metadata(MigrationContext.configure(connection, opts=OPTIONS), METADATA) == []
        described = _sqlite_tables(connection) if url.startswith("sqlite") else _postgres_tables(connection)
    database.close()
    described.pop("fg_revision", None)
    assert set(described) == set(METADATA.tables)
    return described


def _sqlite_tables(connection: Connection) -> dict[str, Any]:
    tables = {}
    for name, text in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name LIKE 'fg_%'"):
        columns = {tuple(row[1:]) for row in connection.exec_driver_sql(f"PRAGMA table_xinfo({name})")}
        indexes = connection.exec_driver_sql(f"SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{name}'")
        options = {word for word in ("WITHOUT ROWID", "AUTOINCREMENT", "UNIQUE") if word in text}
        tables[name] = (columns, sorted(str(row[0]) for row in indexes), options)
    return tables


def _postgres_tables(connection: Connection) -> dict[str, Any]:
    columns = connection.exec_driver_sql(
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        " WHERE table_schema = 'public'"
    )
    indexes = connection.exec_driver_sql("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'")
    tables: dict[str, Any] = {}
    for table, *column in columns:
        tables.setdefault(table, (set(), set()))[0].add(tuple(column))
    for table, text in indexes:
        tables[table][1].add(text)
    return tables
