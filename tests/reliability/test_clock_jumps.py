"""The computer's clock jumps, backwards too: no timer is early, no tick has two runs, and nothing stands still afterwards."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.conftest import log, run, url
from tests.integration.harness import Engine, engine

__all__ = ["log", "run", "url"]
FLOWS = """
@step
async def note(what: str) -> str:
    LOG.enter(what)
    return what

@workflow
async def sleeper() -> str:
    await note("before")
    await sleep("1h")
    return await note("after")

@workflow(on=Cron("* * * * *", catch_up="all"))
async def tick() -> str:
    return await note("tick")
"""
SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000


@dataclass
class Jumping:
    """The computer's clock with an offset in microseconds."""

    offset: int = 0

    def time_ns(self) -> int:
        return time.time_ns() + self.offset * 1000

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> Jumping:
    clock = Jumping()
    monkeypatch.setattr("flowgraph_runtime.clock.time", clock)
    return clock


async def settled(served: Engine) -> None:
    """Give the server the time for a few looks at its timers."""
    await asyncio.sleep(0.3)


def test_a_sleep_is_not_cut_short_and_ends_when_its_time_has_come(run: Any, log: Any, url: str, jumping: Jumping) -> None:
    async def scenario() -> tuple[list[str], tuple[str, Any], int]:
        async with engine(FLOWS, url, skip_time=False) as served:
            sleeper = await served.start("sleeper")
            await served.reaches(sleeper, "sleeping")
            due = await served.has_timer()
            seen: list[str] = []
            for offset in (30 * MINUTE, -2 * HOUR, 0, 59 * MINUTE, -MINUTE):
                jumping.offset = offset
                await settled(served)
                seen.append((await served.row(sleeper)).status)
            jumping.offset = 2 * HOUR
            outcome = await served.outcome(sleeper)
            (fired,) = [row.at for row in await served.journal(sleeper) if row.kind == "timer"]
            return seen, outcome, fired - due

    seen, outcome, late = run(scenario())
    assert seen == ["sleeping"] * 5
    assert outcome == ("completed", "after")
    assert late >= 0


@pytest.mark.ci
@pytest.mark.postgres
def test_a_servers_own_clock_does_not_count_beside_a_database_that_has_one(
    run: Any, log: Any, postgres_url: str, jumping: Jumping
) -> None:
    async def scenario() -> str:
        async with engine(FLOWS, postgres_url, skip_time=False) as served:
            sleeper = await served.start("sleeper")
            await served.reaches(sleeper, "sleeping")
            jumping.offset = 2 * HOUR
            await settled(served)
            return (await served.row(sleeper)).status

    assert run(scenario()) == "sleeping"


@pytest.mark.ci
def test_each_tick_has_one_run_however_the_clock_jumps(run: Any, log: Any, url: str, jumping: Jumping) -> None:
    jumps = random.Random(7)

    async def scenario() -> list[int]:
        async with engine(FLOWS, url, skip_time=False) as served:
            latest = 0
            for _ in range(6):
                latest += jumps.randrange(2, 6) * MINUTE
                jumping.offset = latest
                await settled(served)
                jumping.offset = latest - jumps.randrange(1, 20) * MINUTE
                await settled(served)
            jumping.offset = latest + MINUTE
            await settled(served)
            rows, _ = await served.store.runs(workflow="tick", limit=500)
            for row in rows:
                assert await served.outcome(row.id) == ("completed", "tick")
            return sorted(row.scheduled_at or 0 for row in rows)

    ticks = run(scenario())
    assert len(ticks) == len(set(ticks)) == log.count("tick")
    assert ticks == list(range(ticks[0], ticks[-1] + MINUTE, MINUTE))  # none is missing
    assert len(ticks) >= 12
