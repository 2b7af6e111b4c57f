"""Several processes' worth of services on one PostgreSQL database."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.integration.harness import engine

pytestmark = [pytest.mark.postgres, pytest.mark.ci]

FLEET = """
class Go(Event, name="go"):
    key: str

@step
async def work(key: str) -> str:
    LOG.enter("work")
    await asyncio.sleep(0.01)
    return key

@step(retries=0)
async def hang() -> None:
    LOG.enter("hang")
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        LOG.note("interrupted")
        raise

@workflow
async def three(key: str) -> str:
    await work(key)
    go = await wait_for(Go, where=lambda g: g.key == key, timeout="1h")
    a, b = await parallel(work(key), work(key))
    return a + b if go is not None else "none"

@workflow
async def stuck(key: str) -> None:
    await hang()

@workflow
async def naps(key: str) -> str:
    await sleep("200ms")
    return key
"""


def test_an_interface_without_a_worker_hands_everything_to_the_others(run, log, postgres_url):
    async def scenario():
        async with (
            engine(FLEET, postgres_url, skip_time=False, node="worker"),
            engine(FLEET, postgres_url, worker=False) as front,
        ):
            runs = [await front.start("three", key=str(n)) for n in range(5)]
            stuck, nap = await front.start("stuck", key="s"), await front.start("naps", key="n")
            for run_id in runs:
                await front.reaches(run_id, "waiting")
            for n in range(5):
                await front.send("go", key=str(n))
            outcomes = [await front.outcome(run_id) for run_id in runs]
            await front.until(lambda _: log.count("hang") == 1, stuck)
            asked = await front.store.ask_cancel(stuck, "by test")
            return outcomes, asked, await front.outcome(stuck), await front.outcome(nap)

    outcomes, asked, (stuck, _), nap = run(scenario())
    assert outcomes == [("completed", f"{n}{n}") for n in range(5)]
    assert (asked, stuck, nap) == ("cancelling", "cancelled", ("completed", "n"))
    assert log.notes == ["interrupted"]


def test_workers_share_the_runs_and_none_is_executed_twice(run, log, postgres_url):
    async def scenario():
        async with AsyncExitStack() as stack:
            fleet = [
                await stack.enter_async_context(engine(FLEET, postgres_url, skip_time=False, node=f"w{n}", claim_batch=3))
                for n in range(3)
            ]
            runs = await asyncio.gather(*(fleet[n % 3].start("three", key=str(n)) for n in range(24)))
            await asyncio.gather(*(fleet[(n + 1) % 3].send("go", key=str(n)) for n in range(24)))
            return [await fleet[0].outcome(run_id, 20) for run_id in runs]

    assert run(scenario()) == [("completed", f"{n}{n}") for n in range(24)]
    assert log.count("work") == 72
    assert len(set(log.keys)) == 72


def test_a_worker_that_stops_hands_its_runs_over(run, log, postgres_url):
    async def scenario():
        async with engine(FLEET, postgres_url, skip_time=False, node="stays") as stays:
            async with engine(FLEET, postgres_url, skip_time=False, node="goes") as goes:
                runs = [await goes.start("three", key=str(n)) for n in range(12)]
            for n in range(12):
                await stays.send("go", key=str(n))
            outcomes = [await stays.outcome(run_id) for run_id in runs]
            return outcomes, [(await stays.row(run_id)).takeovers for run_id in runs]

    outcomes, takeovers = run(scenario())
    assert outcomes == [("completed", f"{n}{n}") for n in range(12)]
    assert takeovers == [0] * 12
