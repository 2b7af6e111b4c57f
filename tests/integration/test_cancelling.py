"""Cancelling a run at every point of its life, and what cleans up after it."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_runtime.views import run_status
from tests.integration.harness import engine

CANCELS = """
class Go(Event, name="go"):
    key: str

@step(retries=0)
async def hang(name: str = "hang") -> None:
    LOG.enter(name)
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        LOG.note(f"{name} interrupted")
        raise

@step(retries=0)
async def swallows() -> str:
    LOG.enter("swallows")
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        LOG.note("swallowed")
    return "late"

@step(retries=0)
def in_thread() -> str:
    LOG.enter("in_thread")
    time.sleep(0.6)
    LOG.note("thread done")
    return "late"

@step(retries=5, backoff=Backoff("1h", jitter=0.0))
async def fails() -> None:
    LOG.enter("fails")
    raise ConnectionError("down")

@step
async def clean(what: str) -> None:
    LOG.enter(f"clean {what}")
    await asyncio.sleep(0.05)

@step
async def cancelled(trigger: Any) -> None:
    LOG.enter("cancelled")
    LOG.note(trigger)

@step(retries=1, backoff=Backoff("1s", jitter=0.0))
async def cancelled_badly(trigger: Any) -> None:
    LOG.enter("cancelled_badly")
    raise OSError("no")

@workflow(on_cancel=cancelled)
async def anywhere(where: str) -> None:
    try:
        if where == "executing":
            await hang()
        elif where == "swallowing":
            await swallows()
        elif where == "thread":
            await in_thread()
        elif where == "sleeping":
            await sleep("30d")
        elif where == "waiting":
            await wait_for(Go, timeout="30d")
        elif where == "backoff":
            await fails()
        else:
            await parallel(hang("a"), hang("b"), sleep("3d"), in_subflow(), wait_for(Go, timeout=None))
    finally:
        await clean("outer")

@subflow
async def in_subflow() -> None:
    try:
        await hang("c")
    finally:
        await clean("inner")

@workflow
async def shielded(key: str) -> str:
    try:
        await clean("first")
    finally:
        await clean("one")
        await sleep("50ms")
        await clean("two")
    await clean("never")
    return key

@workflow(on_cancel=cancelled_badly)
async def badly(key: str) -> None:
    await hang()

@workflow(on=Go)
async def swallowed_cancel(event: Go) -> str:
    for _ in range(3):
        await hang()
    return "end"

@workflow
async def plain(key: str) -> None:
    await sleep("30d")
"""


@pytest.mark.parametrize(
    ("where", "status", "notes"),
    [
        ("executing", "running", ["hang interrupted"]),
        ("swallowing", "running", ["swallowed"]),
        ("thread", "running", []),
        ("sleeping", "sleeping", []),
        ("waiting", "waiting", []),
        ("backoff", "running", []),
        ("group", "running", ["a interrupted", "b interrupted", "c interrupted"]),
    ],
)
def test_a_run_is_cancelled_wherever_it_is(run, log, each_url, where, status, notes):
    begun = {"sleeping": 0, "waiting": 0, "group": 3}.get(where, 1)

    async def scenario():
        async with engine(CANCELS, each_url, skip_time=False) as served:
            run_id = await served.start("anywhere", where=where)
            await served.until(lambda row: run_status(row) == status and len(log.calls) >= begun, run_id)
            if where == "backoff":
                await served.has_timer()
            first = await served.store.ask_cancel(run_id, "by test")
            meanwhile = await served.store.ask_cancel(run_id, "again")
            row = await served.ended(run_id, 5)
            again = await served.store.ask_cancel(run_id, "and again")
            return first, meanwhile, row, again, await served.store.next_timer(), list(log.notes)

    first, meanwhile, row, again, due, seen = run(scenario())
    assert (first, row.status, again, due) == ("cancelling", "cancelled", "already cancelled", None)
    assert meanwhile in {"already cancelling", "cancelling"}
    assert sorted(str(note) for note in seen[:-1]) == notes
    assert seen[-1] == {"where": where}
    inner = ["clean inner"] if where == "group" else []
    assert [name for name, _ in log.calls][begun:] == [*inner, "clean outer", "cancelled"]


def test_a_finally_that_runs_is_finished_first(run, log, url):
    async def scenario():
        async with engine(CANCELS, url, skip_time=False) as served:
            run_id = await served.start("shielded", key="k")
            await served.until(lambda _: log.count("clean one") == 1, run_id)
            await served.store.ask_cancel(run_id, "by test")
            return await served.outcome(run_id)

    status, _ = run(scenario())
    assert status == "cancelled"
    assert [name for name, _ in log.calls] == ["clean first", "clean one", "clean two"]


def test_a_failing_cancel_handler_leaves_the_run_cancelled_with_the_reason(run, log, url):
    async def scenario():
        async with engine(CANCELS, url) as served:
            run_id = await served.start("badly", key="k")
            await served.until(lambda _: log.count("hang") == 1, run_id)
            await served.store.ask_cancel(run_id, "by test")
            return await served.ended(run_id)

    row = run(scenario())
    assert (row.status, log.count("cancelled_badly")) == ("cancelled", 2)
    assert "OSError" in row.error


def test_a_queued_run_is_cancelled_without_a_start(run, log, url):
    async def scenario():
        async with engine(CANCELS, url, worker=False) as served:
            run_id = await served.start("anywhere", where="executing")
            answer = await served.store.ask_cancel(run_id, "by test")
        async with engine(CANCELS, url) as served:
            return answer, await served.outcome(run_id)

    answer, (status, _) = run(scenario())
    assert (answer, status) == ("cancelling", "cancelled")
    assert [name for name, _ in log.calls] == ["clean outer", "cancelled"]


def test_a_cancel_asked_for_while_the_workers_are_down_comes_before_the_step_that_was_running(run, log, url):
    """The step's process died in the middle of it; the run is cancelled before a new worker comes."""

    async def scenario():
        async with engine(CANCELS, url, skip_time=False, grace=0.0) as served:
            run_id = await served.start("anywhere", where="executing")
            await served.until(lambda _: log.count("hang") == 1, run_id)
        log.clear()
        async with engine(CANCELS, url, worker=False) as served:
            await served.store.ask_cancel(run_id, "by test")
        async with engine(CANCELS, url, skip_time=False) as served:
            return await served.outcome(run_id)

    assert run(scenario())[0] == "cancelled"
    assert [name for name, _ in log.calls] == ["clean outer", "cancelled"]


def test_a_cancel_that_is_asked_for_while_nobody_works_is_kept(run, log, url):
    async def scenario():
        async with engine(CANCELS, url, skip_time=False) as served:
            run_id = await served.start("anywhere", where="waiting")
            await served.reaches(run_id, "waiting")
        async with engine(CANCELS, url, worker=False) as served:
            answer = await served.store.ask_cancel(run_id, "by test")
        async with engine(CANCELS, url, skip_time=False) as served:
            return answer, await served.outcome(run_id)

    answer, (status, _) = run(scenario())
    assert (answer, status) == ("cancelling", "cancelled")
    assert [name for name, _ in log.calls] == ["clean outer", "cancelled"]


def test_many_cancels_at_once_lose_none(run, log, url):
    async def scenario():
        async with engine(CANCELS, url, skip_time=False) as served:
            runs = [await served.start("plain", key=str(n)) for n in range(100)]
            answers = await asyncio.gather(*(served.store.ask_cancel(run_id, "all") for run_id in runs))
            statuses = [(await served.ended(run_id)).status for run_id in runs]
            return set(answers), set(statuses), await served.store.next_timer()

    assert run(scenario()) == ({"cancelling"}, {"cancelled"}, None)
