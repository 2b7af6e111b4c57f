"""Fixtures of the integration tests: a fresh log, and the databases that a scenario runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import LOG, Log


@pytest.fixture
def log() -> Iterator[Log]:
    """The log that steps write to, empty."""
    LOG.clear()
    yield LOG
    LOG.clear()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A SQLite file."""
    return f"sqlite:///{tmp_path}/engine.db"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.ci])])
def each_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLite in the fast tier, PostgreSQL in CI."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/engine.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a scenario to its end."""

    async def within(scenario: Coroutine[Any, Any, Any]) -> Any:
        async with asyncio.timeout(40):
            return await scenario

    return lambda scenario: asyncio.run(within(scenario))
