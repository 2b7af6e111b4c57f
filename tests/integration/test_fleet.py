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

@step(concurrency=Concurrency(1))
async def alone(key: str) -> str:
    LOG.enter("alone")
    await asyncio.sleep(0.05)
    return key

@workflow
async def takes_turns(key: str) -> str:
    return await alone(key)

@workflow
async def holds(key: str) -> str:
    return await hold(key)

@step
async def hold(key: str) -> str:
    LOG.enter("hold")
    while "let go" not in LOG.notes:
        await asyncio.sleep(0.01)
    return key

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


DEAF = {"skip_time": False, "poll_interval": 600.0}
"""A worker that finds nothing by polling within a test."""


def test_nobody_waits_for_a_poll(run, log, postgres_url):
    """Starts, events and cancels at an interface, and slots that another worker gives back, reach the workers at once."""

    async def scenario():
        async with (
            engine(FLEET, postgres_url, node="one", claim_batch=2, **DEAF) as one,
            engine(FLEET, postgres_url, node="two", claim_batch=2, **DEAF),
            engine(FLEET, postgres_url, worker=False) as front,
        ):
            await asyncio.sleep(0.5)  # for both to have looked around once they listen
            runs = [await front.start("three", key=str(n)) for n in range(6)]
            turns = [await front.start("takes_turns", key=str(n)) for n in range(6)]
            stuck = await front.start("stuck", key="s")
            for run_id in runs:
                await front.reaches(run_id, "waiting")
            await front.until(lambda _: log.count("hang") == 1, stuck)
            for n in range(6):
                await front.send("go", key=str(n))
            assert await front.store.ask_cancel(stuck, "by test") == "cancelling"
            outcomes = [await front.outcome(run_id) for run_id in [*runs, *turns]]
            return outcomes, await one.outcome(stuck)

    outcomes, (stuck, _) = run(scenario())
    assert outcomes == [("completed", f"{n}{n}") for n in range(6)] + [("completed", str(n)) for n in range(6)]
    assert stuck == "cancelled"
    assert log.count("alone") == 6


def test_runs_of_a_stopping_worker_go_on_elsewhere_before_its_last_attempt_has_ended(run, log, postgres_url):
    async def scenario():
        async with engine(FLEET, postgres_url, node="stays", worker=False) as front, AsyncExitStack() as stack:
            await stack.enter_async_context(engine(FLEET, postgres_url, node="goes", grace=30.0, **DEAF))
            held = await front.start("holds", key="h")
            stuck = await front.start("three", key="w")
            await front.reaches(stuck, "waiting")
            await front.until(lambda _: log.count("hold") == 1, held)
            leaving = asyncio.create_task(stack.aclose())
            async with engine(FLEET, postgres_url, node="comes", **DEAF):
                await front.send("go", key="w")
                gone_on = await front.outcome(stuck)
                assert not leaving.done()
                log.note("let go")
                await leaving
                return gone_on, await front.outcome(held), await front.row(held)

    gone_on, held, row = run(scenario())
    assert (gone_on, held) == (("completed", "ww"), ("completed", "h"))
    assert (log.count("hold"), row.takeovers) == (1, 0)
