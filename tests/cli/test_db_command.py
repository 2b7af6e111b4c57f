"""`flowgraph db`: which version the tables have, and bringing them up to date; `dev` does it by itself, `serve` refuses."""

from __future__ import annotations

import sqlite3

import pytest

from flowgraph_runtime.cli.console import Failure
from flowgraph_runtime.cli.databases import upgrade_for_development
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.reading import current_version
from flowgraph_runtime.storage.tables import SCHEMA_VERSION
from tests.cli.program import Program
from tests.migrations.test_migrations import left_by


@pytest.fixture
def url(program: Program) -> str:
    return f"sqlite:///{program.folder}/shop.db"


def test_a_new_database_gets_its_tables(program: Program, url: str) -> None:
    assert program("db", "upgrade", "--db", url).stderr == f"made the tables: schema version {SCHEMA_VERSION}\n"
    assert program("db", "upgrade", "--db", url).stderr == f"up to date: schema version {SCHEMA_VERSION}\n"
    shown = program("db", "current", "--db", url, "--json")
    assert (shown.code, shown.stdout) == (0, f'{{\n  "database": {SCHEMA_VERSION},\n  "program": {SCHEMA_VERSION}\n}}\n')


def test_tables_of_a_newer_program_are_told_and_left(program: Program, url: str) -> None:
    _of_version(url, SCHEMA_VERSION + 1)
    shown = program("db", "current", "--db", url)
    assert (shown.code, shown.stdout) == (1, f"schema version {SCHEMA_VERSION + 1}; this program needs {SCHEMA_VERSION}\n")
    refused = program("db", "upgrade", "--db", url)
    assert refused.code == 1
    assert f"schema version {SCHEMA_VERSION + 1}, this program knows version {SCHEMA_VERSION}" in refused.stderr


def test_tables_of_an_older_program_are_told(program: Program, url: str) -> None:
    _of_version(url, SCHEMA_VERSION - 1)
    shown = program("db", "current", "--db", url)
    assert shown.code == 1
    assert "flowgraph db upgrade" in shown.stderr


def test_a_database_in_use_is_not_upgraded(program: Program, url: str) -> None:
    store = Store.open(url)
    refused = program("db", "upgrade", "--db", url)
    store.close()
    assert refused.code == 1
    assert "another server" in refused.stderr
    assert "stop the server first" in refused.stderr


def test_a_dev_server_upgrades_the_database_by_itself(url: str) -> None:
    upgrade_for_development(url)  # there is none yet: the server makes it
    left_by("0.1", url)
    upgrade_for_development(url)
    assert current_version(url) == SCHEMA_VERSION
    Store.open(url).close()


def test_a_dev_server_says_why_it_cannot_upgrade(url: str) -> None:
    _of_version(url, 1)
    with pytest.raises(Failure, match="cannot use the database"):
        upgrade_for_development(url)


def _of_version(url: str, version: int) -> None:
    Store.open(url).close()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
        file.execute("UPDATE fg_meta SET value = ? WHERE key = 'schema'", (version,))
    file.close()
