"""Steps on a real engine: threads, time limits, isolation, and what they do to the loop they run in."""

from __future__ import annotations

import asyncio
import time

import pytest

from flowgraph_runtime.worker import writing
from tests.integration.harness import engine

STEPS = """
from contextvars import ContextVar

MARK: ContextVar[str] = ContextVar("mark", default="unset")

@step
def in_thread(n: int) -> float:
    LOG.enter("in_thread")
    begun = time.monotonic()
    time.sleep(0.2)
    return begun

@step
async def marks(name: str) -> str:
    before = MARK.get()
    MARK.set(name)
    await asyncio.sleep(0.01)
    return f"{before} {MARK.get()}"

@step(retries=0)
def blocks_the_loop_not() -> str:
    time.sleep(0.5)
    return threading.current_thread().name

@step(retries=0)
async def blocks_the_loop() -> str:
    time.sleep(1.2)
    return "done"

@step(retries=1, backoff=Backoff("10ms", jitter=0.0), timeout="100ms")
async def slow_async() -> str:
    if LOG.enter("slow_async") == 1:
        await asyncio.sleep(20)
    return "second"

@step(retries=1, backoff=Backoff("10ms", jitter=0.0), timeout="100ms")
def slow_sync() -> str:
    if LOG.enter("slow_sync") == 1:
        time.sleep(0.4)
        LOG.note("first ends late")
        return "first"
    return "second"

@step(retries=0, timeout="50ms")
async def stubborn() -> str:
    while True:
        try:
            await asyncio.sleep(0.2)
            return "late"
        except asyncio.CancelledError:
            LOG.note("ignored")

@step(retries=0, timeout="50ms")
async def never() -> str:
    await asyncio.sleep(20)
    return "late"

@step
async def grow(values: list[int]) -> list[int]:
    values.append(len(values))
    return values

@step(retries=0)
async def sleeps() -> None:
    await asyncio.sleep(0.05)

@step
async def block() -> str:
    return "x" * 900_000

@workflow
async def threads() -> float:
    a, b, c, d = await parallel(in_thread(1), in_thread(2), in_thread(3), in_thread(4))
    return max(a, b, c, d) - min(a, b, c, d)

@workflow
async def contexts() -> list[str]:
    a, b = await parallel(marks("a"), marks("b"))
    return [a, b, await marks("c")]

@workflow
async def blocking() -> str:
    return await blocks_the_loop()

@workflow
async def in_a_thread() -> str:
    return await blocks_the_loop_not()

@workflow
async def limited_async() -> str:
    return await slow_async()

@workflow
async def limited_sync() -> str:
    return await slow_sync()

@workflow
async def stubbornly() -> str:
    try:
        return await stubborn()
    except TimeoutError as error:
        return f"timeout: {error}"

@workflow
async def too_late() -> str:
    return await never()

@workflow
async def by_value() -> list[list[int]]:
    values = [0]
    grown = await grow(values)
    again = await grow(values)
    grown.append(99)
    return [values, grown, again]

@workflow
async def small(n: int) -> int:
    await sleeps()
    return n

@workflow
async def spins(n: int) -> int:
    while n > 0:
        n += 1
    return n

@workflow
async def deep(n: int) -> int:
    total = 0
    for i in range(n):
        total += len(await grow([i]))
    return total

@workflow
async def large(n: int) -> int:
    parts: list[str] = []
    for _ in range(n):
        parts.append(await block())
    await sleep("1ms")
    return sum(len(part) for part in parts)
"""


def _outcome(run, url, workflow, skip_time=False, patience=15.0, **given):
    async def scenario():
        async with engine(STEPS, url, skip_time=skip_time) as served:
            return await served.outcome(await served.start(workflow, **given), patience)

    return run(scenario())


def test_threads_run_side_by_side(run, log, url):
    status, spread = _outcome(run, url, "threads")
    assert status == "completed"
    assert spread < 0.15


def test_what_a_step_sets_in_its_context_stays_there(run, log, url):
    assert _outcome(run, url, "contexts") == ("completed", ["unset a", "unset b", "unset c"])


def test_a_time_limit_interrupts_an_async_attempt(run, log, url):
    assert _outcome(run, url, "limited_async") == ("completed", "second")
    assert _outcome(run, url, "too_late") == ("failed", "StepTimeout")


def test_the_late_result_of_a_thread_is_not_used(run, log, url):
    async def scenario():
        async with engine(STEPS, url, skip_time=False) as served:
            outcome = await served.outcome(await served.start("limited_sync"))
            await asyncio.sleep(0.5)
            return outcome

    assert run(scenario()) == ("completed", "second")
    assert log.notes == ["first ends late"]


def test_a_step_that_ignores_its_limit_does_not_hold_the_engine(run, log, url):
    status, result = _outcome(run, url, "stubbornly")
    assert (status, log.notes) == ("completed", ["ignored"])
    assert result == "late" or result.startswith("timeout")


def test_a_step_that_blocks_the_loop_leaves_the_lease_alive(run, log, each_url):
    """Heartbeats come from a thread of their own, so nobody takes the run over, and it is executed once."""

    async def scenario():
        async with engine(STEPS, each_url, skip_time=False, lease=0.6, heartbeat_interval=0.1) as served:
            run_id = await served.start("blocking")
            outcome = await served.outcome(run_id)
            return outcome, (await served.row(run_id)).takeovers

    assert run(scenario()) == (("completed", "done"), 0)


def test_arguments_and_results_are_passed_by_value(run, log, url):
    assert _outcome(run, url, "by_value") == ("completed", [[0], [0, 1, 99], [0, 1]])


def test_code_that_never_suspends_is_stopped_by_name(run, log, url):
    status, error = _outcome(run, url, "spins", n=1, patience=30)
    assert (status, error) == ("failed", "TransitionTooLong")


def test_two_hundred_steps_in_a_row(run, log, url):
    assert _outcome(run, url, "deep", n=200) == ("completed", 400)


@pytest.mark.parametrize(("size", "status"), [(3, "completed"), (6, "failed")])
def test_the_size_of_a_state(run, log, url, monkeypatch, size, status):
    """A state over the limit is refused by name; the run says so instead of going round and round."""
    monkeypatch.setattr(writing, "STATE_LIMIT", 4_000_000)

    async def scenario():
        async with engine(STEPS, url, skip_time=False, grace=0.0) as served:
            run_id = await served.start("large", n=size)
            row = await served.ended(run_id, 20)
            return row.status, row.error

    found, error = run(scenario())
    assert found == status, error
    if status == "failed":
        assert "LimitExceeded" in error


def test_many_runs_with_few_slots_all_end(run, log, each_url):
    async def scenario():
        begun = time.monotonic()
        async with engine(STEPS, each_url, skip_time=False, step_slots=10) as served:
            runs = [await served.start("small", n=n) for n in range(60)]
            return [await served.outcome(run_id) for run_id in runs], time.monotonic() - begun

    outcomes, took = run(scenario())
    assert outcomes == [("completed", n) for n in range(60)]
    assert took > 0.3
