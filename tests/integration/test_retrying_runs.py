"""A failed run that is retried goes on from its failed step, on a real engine."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_runtime import reopening
from flowgraph_runtime.engine.errors import NotReopenable
from flowgraph_runtime.inspection import history_of
from flowgraph_runtime.storage.errors import NotFailed
from tests.integration.harness import compiled, engine, serving

SHOP = """
class Paid(Event, name="paid"):
    order: str

class Declined(Exception):
    pass

@step
async def reserve(order: str) -> str:
    LOG.enter("reserve")
    return f"r-{order}"

@step(retries=1, backoff=Backoff("1s", jitter=0.0))
async def charge(order: str) -> str:
    if LOG.enter("charge") <= LOG.failing:
        raise ConnectionError("the bank is down")
    return f"paid {order}"

@step
async def tidy(order: str) -> int:
    return LOG.enter("tidy")

@step
async def pack(order: str) -> str:
    LOG.enter("pack")
    return "parcel"

@step(retries=0)
async def slow(order: str) -> str:
    LOG.enter("slow")
    while "go" not in LOG.notes:
        await asyncio.sleep(0.005)
    return "slow"

@step
async def tell(trigger: Any, error: Exception) -> None:
    LOG.enter("tell")

@workflow(on_failure=tell)
async def sell(order: str) -> str:
    reserved = await reserve(order)
    try:
        paid = await charge(order)
    finally:
        await tidy(order)
    return f"{reserved} {paid} {await pack(order)}"

@workflow
async def together(order: str) -> list[str]:
    a, b, c = await parallel(slow(order), charge(order), wait_for(Paid, where=lambda p: p.order == order, timeout="30d"))
    return [a, b, "no" if c is None else c.order]

@workflow
async def own_fault(order: str) -> str:
    await reserve(order)
    return order[100]

@workflow
async def wrapped(order: str) -> str:
    try:
        return await charge(order)
    except ConnectionError as error:
        raise Declined(order) from error

@workflow
async def naps(order: str) -> str:
    first, _ = await parallel(charge(order), sleep("30d"))
    return first
"""


async def _retry(served, run_id):
    await reopening.retry(await served.row(run_id), served.service)


@pytest.mark.feature(7)
def test_the_failed_step_runs_again_and_nothing_before_it(run, log, each_url):
    log.failing = 2

    async def scenario():
        async with engine(SHOP, each_url) as served:
            run_id = await served.start("sell", order="o")
            failed = await served.ended(run_id)
            assert (failed.status, failed.failed_step, failed.failed_attempt) == ("failed", "charge", 2)
            await _retry(served, run_id)
            outcome = await served.outcome(run_id)
            row = await served.row(run_id)
            assert (row.error, row.failed_step, row.reason) == (None, None, None)
            kinds = [entry.kind for entry in await served.journal(run_id)]
            history = await history_of(row, served.service)
            return outcome, kinds, {step.name: step for step in history.steps()}

    outcome, kinds, steps = run(scenario())
    assert outcome == ("completed", "r-o paid o parcel")
    assert log.calls.count(("reserve", 1)) == 1
    assert [attempt for name, attempt in log.calls if name == "charge"] == [1, 2, 3]
    assert len({key for key, (name, _) in zip(log.keys, log.calls, strict=True) if name == "charge"}) == 1
    assert log.count("tidy") == 2, "the finally block belongs to both tries"
    assert len({key for key, (name, _) in zip(log.keys, log.calls, strict=True) if name == "tidy"}) == 2
    assert kinds.count("retry") == 1
    (charged,) = steps["charge"].instances
    assert (charged.status, [attempt.status for attempt in charged.attempts]) == ("completed", ["failed", "failed", "completed"])
    assert steps["tell"].count == 1


def test_a_retried_step_has_all_its_retries_again(run, log, url):
    log.failing = 5

    async def scenario():
        async with engine(SHOP, url) as served:
            run_id = await served.start("sell", order="o")
            for expected in (2, 4):
                failed = await served.ended(run_id)
                assert (failed.status, failed.failed_attempt) == ("failed", expected)
                await _retry(served, run_id)
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", "r-o paid o parcel")
    assert log.count("charge") == 6
    assert log.count("tell") == 2


def test_branches_keep_what_they_have_and_wait_on(run, log, each_url):
    log.failing = 2

    async def scenario():
        async with engine(SHOP, each_url, skip_time=False) as served:
            run_id = await served.start("together", order="o")
            await served.until(lambda _: log.count("charge") == 2, run_id)
            log.note("go")
            assert (await served.ended(run_id)).status == "failed"
            await _retry(served, run_id)
            await served.reaches(run_id, "waiting")
            await served.send("paid", order="o")
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", ["slow", "paid o", "o"])
    assert log.count("slow") == 1, "it had ended after the failure; its result is kept"


def test_a_sleep_beside_the_failure_ends_when_it_would_have(run, log, url):
    log.failing = 2

    async def scenario():
        async with engine(SHOP, url) as served:
            run_id = await served.start("naps", order="o")
            failed = await served.ended(run_id)
            await _retry(served, run_id)
            row = await served.ended(run_id)
            return row, row.ended_at - failed.started_at

    row, took = run(scenario())
    assert row.status == "completed"
    assert 0 <= took - 30 * 86_400 * 1_000_000 < 10_000_000


def test_a_failure_that_was_wrapped_is_found_by_its_cause(run, log, url):
    log.failing = 2

    async def scenario():
        async with engine(SHOP, url) as served:
            run_id = await served.start("wrapped", order="o")
            assert await served.outcome(run_id) == ("failed", "Declined")
            await _retry(served, run_id)
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", "paid o")


def test_what_cannot_be_retried_is_refused_with_the_reason_and_left_alone(run, log, url):
    async def scenario():
        async with engine(SHOP, url) as served:
            broken = await served.start("own_fault", order="o")
            failed = await served.ended(broken)
            with pytest.raises(NotReopenable, match="its own code has failed"):
                await reopening.retry(failed, served.service)
            assert await served.row(broken) == failed
            completed = await served.start("sell", order="o")
            await served.ended(completed)
            with pytest.raises(NotFailed, match="is completed; only a failed run"):
                await _retry(served, completed)

    log.failing = 0
    run(scenario())


def test_of_several_retries_at_once_one_counts(run, log, each_url):
    log.failing = 2

    async def scenario():
        async with engine(SHOP, each_url) as served:
            run_id = await served.start("sell", order="o")
            failed = await served.ended(run_id)
            tries = [reopening.retry(failed, served.service) for _ in range(5)]
            refused = [error for error in await asyncio.gather(*tries, return_exceptions=True) if error is not None]
            assert [type(error) for error in refused] == [NotFailed] * 4
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", "r-o paid o parcel")


def test_a_retry_survives_a_restart(run, log, each_url):
    """Whoever claims the run loads what the retry has stored; its past can still be shown."""
    log.failing = 2

    async def scenario():
        async with engine(SHOP, each_url) as served:
            run_id = await served.start("sell", order="o")
            await served.ended(run_id)
        async with serving(compiled(SHOP), each_url, worker=False) as interface:
            await _retry(interface, run_id)
            row = await interface.row(run_id)
            assert (row.status, row.ended_at) == ("running", None)
        async with engine(SHOP, each_url) as served:
            outcome = await served.outcome(run_id)
            history = await history_of(await served.row(run_id), served.service)
            return outcome, history.statuses()["sell/charge"]

    assert run(scenario()) == (("completed", "r-o paid o parcel"), "completed")


FAN = """
from flowgraph import Concurrency, fan_out, on

class Asked(Event, name="asked"):
    id: str

class Dropped(Event, name="dropped"):
    id: str

@step(retries=0)
async def score(n: int) -> int:
    LOG.enter(f"score {n}")
    if n == 3 and "well" not in LOG.notes:
        raise ConnectionError("down")
    return n * 10

@workflow
async def batch(count: int) -> list[int]:
    return await fan_out((score(n) for n in range(count)), limit=2)

@workflow(on=Asked, concurrency=Concurrency(1, scope="run", key=lambda e: e.id),
    cancel_on=[on(Dropped, where=lambda started, event: event.id == started.id)])
async def alone(event: Asked) -> int:
    got = await score(3)
    await sleep("30d")
    return got
"""


def test_the_elements_of_a_fan_out_that_are_done_are_not_run_again(run, log, url):
    async def scenario():
        async with engine(FAN, url) as served:
            run_id = await served.start("batch", count=7)
            assert (await served.ended(run_id)).failed_step == "score"
            log.note("well")
            await _retry(served, run_id)
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", [0, 10, 20, 30, 40, 50, 60])
    assert [log.count(f"score {n}") for n in range(7)] == [1, 1, 1, 2, 1, 1, 1]


def test_a_retried_run_takes_its_slot_and_its_watches_again(run, log, each_url):
    async def scenario():
        async with engine(FAN, each_url, skip_time=False) as served:
            (failed,) = await served.send("asked", id="a")
            await served.ended(failed)
            log.note("well")
            await _retry(served, failed)
            await served.until(lambda row: row.status == "sleeping" and log.count("score 3") == 2, failed)
            (second,) = await served.send("asked", id="a")
            await asyncio.sleep(0.1)
            queued = (await served.row(second)).status
            await served.send("dropped", id="a")
            return queued, [(await served.ended(run_id)).status for run_id in (failed, second)]

    assert run(scenario()) == ("queued", ["cancelled", "cancelled"])
    assert log.count("score 3") == 2
