"""A server deletes what is older than its settings keep, and goes on working meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowgraph_runtime import retention
from tests.integration.harness import engine

FLOWS = """
class Go(Event, name="go"):
    key: str

@step
async def note(what: str) -> str:
    LOG.enter(what)
    return what

@workflow
async def short(what: str) -> str:
    return await note(what)

@workflow
async def waiting(key: str) -> str:
    before = await note(f"before {key}")
    await wait_for(Go, where=lambda go: go.key == key, timeout=None)
    return before + await note(" after")
"""


def test_a_server_that_never_lives_for_long_deletes_too(
    run: Any, log: Any, each_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FIRST", 0.05)

    async def scenario() -> int:
        async with engine(FLOWS, each_url, skip_time=False, keep_runs="10ms") as served:
            old = await served.start("short", what="old")
            assert await served.outcome(old) == ("completed", "old")
            await served.start("waiting", key="other")  # the newest one always stays
            async with asyncio.timeout(30):
                while await served.store.run(old) is not None:  # noqa: ASYNC110 - the database is asked
                    await asyncio.sleep(0.02)
            return served.service.meter.deleted["run"]

    assert run(scenario()) == 1


def test_old_runs_go_while_live_ones_go_on(run: Any, log: Any, each_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "FIRST", 0.05)
    monkeypatch.setattr(retention, "EVERY", 0.05)

    async def scenario() -> tuple[Any, int]:
        async with engine(FLOWS, each_url, skip_time=False, keep_runs="10ms") as served:
            waiting = await served.start("waiting", key="k")
            await served.reaches(waiting, "waiting")
            old = await served.start("short", what="old")
            await served.start("waiting", key="other")  # the newest one always stays
            async with asyncio.timeout(30):
                while await served.store.run(old) is not None:  # noqa: ASYNC110 - the database is asked
                    await asyncio.sleep(0.02)
            await served.send("go", key="k")
            return await served.outcome(waiting), served.service.meter.deleted["run"]

    assert run(scenario()) == (("completed", "before k after"), 1)
