"""Every contract test runs on SQLite and on PostgreSQL, and ends with the invariants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowgraph_runtime.storage.invariants import violations
from tests.storage.site import Site


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runs.db"
    url: str = request.getfixturevalue("postgres_url")
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
def shared_site(postgres_url: str, runner: asyncio.Runner) -> Iterator[Site]:
    """A database that several stores write to."""
    site = Site(postgres_url, runner)
    try:
        yield site
        assert violations(site.store) == []
    finally:
        site.close()
