"""Every contract test runs on SQLite and on PostgreSQL, and ends with the invariants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.invariants import violations
from flowgraph_runtime.storage.tables import METADATA
from tests.conftest import PostgresServer
from tests.storage.site import Site

_EMPTY = "; ".join(f"DELETE FROM {table}" for table in METADATA.tables if table != "fg_meta")


@pytest.fixture(scope="session")
def kept_database(postgres_server: PostgresServer) -> str:
    """A database with tables, made once: making them takes longer than most tests."""
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE kept")
    url = postgres_server.url("kept")
    Store.open(url).close()
    return url


@pytest.fixture
def emptied_url(kept_database: str) -> str:
    with psycopg.connect(kept_database, autocommit=True) as connection:
        connection.execute(_EMPTY)
    return kept_database


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runs.db"
    url: str = request.getfixturevalue("emptied_url")
    return url


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def site(database_url: str, runner: asyncio.Runner) -> Iterator[Site]:
    site = Site(database_url, runner)
    try:
        yield site
        assert violations(site.store) == []
    finally:
        site.close()


@pytest.fixture
def shared_site(emptied_url: str, runner: asyncio.Runner) -> Iterator[Site]:
    """A database that several stores write to."""
    site = Site(emptied_url, runner)
    try:
        yield site
        assert violations(site.store) == []
    finally:
        site.close()
