"""`async with timeout(...)` and `async with saga()` on a real service: attempts, restarts, `/steps`, retries by hand."""

import asyncio
import json

import pytest

from flowgraph.codec import loads
from flowgraph_runtime.clock import ManualClock
from flowgraph_runtime.engine.errors import NotReopenable
from flowgraph_runtime.inspection import history_of
from flowgraph_runtime.reopening import retry
from flowgraph_runtime.views import error_view
from tests.integration.harness import compiled, engine, serving

SCOPES = """
@step(retries=0)
async def hang(key: str = "hang") -> str:
    LOG.enter("hang")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        LOG.note(f"{key} interrupted")
        raise
    return key

@step
async def clean(key: str) -> None:
    LOG.note(f"clean {key}")

@step(retries=2, backoff=Backoff("5m", kind="fixed", jitter=0))
async def refund(order: str, amount: int = 1) -> None:
    LOG.enter("refund")
    if amount == LOG.failing:
        LOG.note(f"refund {order} {amount} hangs")
        await asyncio.sleep(60)
    if amount == 9:
        raise ValueError("no money")
    LOG.note(f"refund {order} {amount}")

@step(compensate=refund)
async def charge(order: str, amount: int = 1) -> int:
    LOG.enter("charge")
    return amount

@step(retries=0)
async def ship(order: str) -> None:
    LOG.enter("ship")
    raise KeyError(order)

@subflow
async def napping(key: str) -> None:
    try:
        await hang(key)
    finally:
        await clean(key)

@workflow
async def hurried(limit: str) -> str:
    try:
        async with timeout(limit):
            await parallel(napping("a"), napping("b"))
    except TimeoutError as e:
        return str(e)
    return "in time"

@workflow
async def sleepy(limit: str) -> str:
    try:
        async with timeout(limit):
            await sleep("30d")
    except TimeoutError:
        await clean("late")
        return "late"
    return "in time"

@step(retries=0)
async def deliver(order: str) -> str:
    LOG.enter("deliver")
    if LOG.failing:
        raise KeyError(order)
    return order

@workflow
async def delivered(order: str) -> str:
    async with timeout("1h"):
        got = await deliver(order)
        await sleep("50m")
    return got

@workflow
async def calling(limit: str) -> str:
    try:
        async with timeout(limit):
            await hanging("child")
    except TimeoutError:
        await clean("parent")
        return "late"
    return "in time"

@workflow
async def hanging(key: str) -> None:
    try:
        await hang(key)
    finally:
        await clean(key)

@workflow
async def bought(amount: int) -> str:
    async with saga():
        await charge("first", 1)
        await charge("second", amount)
        await charge("third", 3)
        await ship("o")
    return "bought"

@workflow
async def held(amount: int) -> str:
    async with saga():
        await charge("first", amount)
        await sleep("30d")
    return "held"
"""


async def steps_of(served, run_id):
    return (await history_of(await served.row(run_id), served.service)).steps()


def test_a_deadline_interrupts_running_attempts_and_waits_for_the_clean_up(run, log, each_url):
    async def scenario():
        async with engine(SCOPES, each_url, skip_time=False) as served:
            run_id = await served.start("hurried", limit="300ms")
            return await served.outcome(run_id), sorted(log.notes), await served.store.next_timer()

    outcome, notes, timer = run(scenario())
    assert outcome == ("completed", "timed out after 300ms")
    assert notes == ["a interrupted", "b interrupted", "clean a", "clean b"]
    assert timer is None


def test_a_deadline_that_passes_while_the_server_is_down_is_met_at_its_start(run, log, each_url):
    clock = ManualClock(1_750_000_000_000_000)

    async def before():
        async with serving(compiled(SCOPES), each_url, clock=clock) as served:
            run_id = await served.start("sleepy", limit="1h")
            await served.reaches(run_id, "sleeping")
            assert await served.store.next_timer() == clock.now() + 3_600_000_000
            return run_id

    async def after(run_id):
        async with serving(compiled(SCOPES), each_url, clock=clock) as served:
            return await served.outcome(run_id)

    run_id = run(before())
    clock.advance(2 * 3_600_000_000)
    assert run(after(run_id)) == ("completed", "late")
    assert log.notes == ["clean late"]


def test_a_saga_goes_on_where_its_compensations_were_interrupted(run, log, each_url):
    log.failing = 2

    async def before():
        async with engine(SCOPES, each_url, grace=0.05) as served:
            run_id = await served.start("bought", amount=2)
            async with asyncio.timeout(20):
                while "refund second 2 hangs" not in log.notes:  # noqa: ASYNC110  (steps tell nobody)
                    await asyncio.sleep(0.005)
            return run_id

    async def after(run_id):
        async with engine(SCOPES, each_url) as served:
            row = await served.ended(run_id)
            return row.status, error_view(row.error, served.service.registry.types)

    run_id = run(before())
    log.failing = 0
    status, error = run(after(run_id))
    assert (status, error.type) == ("failed", "KeyError")
    assert log.notes == ["refund third 3", "refund second 2 hangs", "refund second 2", "refund first 1"]
    assert log.count("charge") == 3
    assert len(set(log.keys)) == 7  # three charges, one shipment, three refunds: the interrupted one keeps its key


def test_steps_show_compensations_below_what_they_undo(run, log, url):
    async def scenario():
        async with engine(SCOPES, url) as served:
            run_id = await served.start("bought", amount=9)
            row = await served.ended(run_id)
            history = await history_of(row, served.service)
            failed = loads(row.error or "", served.service.registry.types)
            return [(s.name, s.kind, s.parent, s.status, len(s.instances[-1].attempts)) for s in history.steps()], failed

    steps, failed = run(scenario())
    assert steps == [
        ("charge", "step", None, "completed", 1),
        ("refund", "compensation", "bought/charge", "completed", 1),
        ("charge", "step", None, "completed", 1),
        ("refund", "compensation", "bought/charge#2", "failed", 3),
        ("charge", "step", None, "completed", 1),
        ("refund", "compensation", "bought/charge#3", "completed", 1),
        ("ship", "step", None, "failed", 1),
    ]
    assert failed.__notes__ == ["compensation failed: ValueError: no money"]
    assert log.notes == ["refund third 3", "refund first 1"]


@pytest.mark.parametrize(("amount", "status"), [(1, "cancelled"), (9, "failed")])
def test_a_cancelled_run_compensates_and_has_failed_when_that_fails(run, log, each_url, amount, status):
    async def scenario():
        async with engine(SCOPES, each_url, skip_time=False) as served:
            run_id = await served.start("held", amount=amount)
            await served.reaches(run_id, "sleeping")
            await served.store.ask_cancel(run_id, "by test")
            if amount == 9:
                await served.has_timer()
            return run_id

    async def rest(run_id):
        async with engine(SCOPES, each_url) as served:
            return await served.ended(run_id)

    row = run(rest(run(scenario())))
    assert row.status == status
    assert log.notes == (["refund first 1"] if amount == 1 else [])


def test_a_run_whose_saga_has_undone_its_steps_is_not_retried(run, url):
    async def scenario():
        async with engine(SCOPES, url) as served:
            run_id = await served.start("bought", amount=2)
            await served.ended(run_id)
            with pytest.raises(NotReopenable, match=r"after the failure of step 'ship' a saga has undone .*\(by step 'refund'\)"):
                await retry(await served.row(run_id), served.service)

    run(scenario())


def test_the_state_holds_what_is_still_to_be_undone(run, each_url):
    async def scenario():
        async with engine(SCOPES, each_url, skip_time=False) as served:
            run_id = await served.start("held", amount=7)
            await served.reaches(run_id, "sleeping")
        async with engine(SCOPES, each_url, skip_time=False) as served:
            await served.store.ask_cancel(run_id, "by test")
            row = await served.ended(run_id)
            return row.status, [(r.kind, json.loads(r.payload)) for r in await served.journal(run_id) if r.kind == "done"]

    status, done = run(scenario())
    assert status == "cancelled"
    assert done == [("done", 7), ("done", None)]


def test_a_retried_run_has_the_whole_time_of_its_block_again(run, log, each_url):
    clock = ManualClock(1_750_000_000_000_000)

    async def scenario():
        async with serving(compiled(SCOPES), each_url, clock=clock) as served:
            log.failing = 1
            run_id = await served.start("delivered", order="o")
            await served.reaches(run_id, "failed")
            log.failing = 0
            clock.advance(5 * 3_600_000_000)
            await retry(await served.row(run_id), served.service)
            await served.reaches(run_id, "sleeping")
            return run_id

    async def rest(run_id):
        async with serving(compiled(SCOPES), each_url, clock=clock) as served:
            return await served.outcome(run_id)

    run_id = run(scenario())
    clock.advance(50 * 60_000_000)
    assert run(rest(run_id)) == ("completed", "o")
    assert log.count("deliver") == 2


def test_a_deadline_cancels_the_run_that_its_block_waits_for(run, log, each_url):
    async def scenario():
        async with engine(SCOPES, each_url, skip_time=False) as served:
            run_id = await served.start("calling", limit="300ms")
            outcome = await served.outcome(run_id)
            (called,) = [
                visit.run_id for step in await steps_of(served, run_id) if step.kind == "child" for visit in step.instances
            ]
            return outcome, (await served.row(called or "")).status

    outcome, called = run(scenario())
    assert outcome == ("completed", "late")
    assert log.notes == ["child interrupted", "clean child", "clean parent"]
    assert called == "cancelled"
