"""Workflows that call and start other workflows, on a real service: results, failures, cancels, events, links, restarts."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from flowgraph_runtime.engine.errors import NotReopenable
from flowgraph_runtime.inspection import history_of
from flowgraph_runtime.records import InboxRow
from flowgraph_runtime.reopening import retry
from flowgraph_runtime.worker.owner import Worker
from tests.integration.harness import LOG, Engine, engine

FAMILY = """
class Go(Event, name="go"):
    key: str

class Order(Event, name="order"):
    key: str

class Refused(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(f"refused {key}")
        self.key = key

@step
async def note(what: str) -> str:
    LOG.enter(what)
    return what

@step(retries=0)
async def refuse(key: str) -> str:
    raise Refused(key)

@step(retries=0)
async def hang(key: str) -> None:
    LOG.enter(f"hang {key}")
    await asyncio.sleep(30)

@step(retries=0)
async def flaky() -> int:
    LOG.enter("flaky")
    if LOG.failing:
        raise ConnectionError("down")
    return 1

@step(retries=0)
async def told(trigger: Any, error: Exception) -> None:
    LOG.enter(f"told {trigger['key']} {error!r}")

@workflow(on_failure=told)
async def kid(key: str, size: int = 2, *, tag: str = "t") -> list[str]:
    if key == "bad":
        await refuse(key)
    await sleep("1m")
    return [await note(f"{key}{n}{tag}") for n in range(size)]

@workflow(on=Order)
async def ordered(order: Order) -> tuple[str, bool]:
    return order.key, order.meta.id == run_info().event_id

@workflow
async def waiting(key: str) -> str:
    try:
        go = await wait_for(Go, where=lambda g: g.key == key, timeout="1h")
        return "nobody" if go is None else "heard"
    finally:
        await note(f"clean {key}")

@workflow
async def calls(key: str) -> list[str]:
    return await kid(key, tag="x")

@workflow
async def orders(key: str) -> tuple[str, bool]:
    return await ordered(Order(key=key))

@workflow
async def survives(key: str) -> str:
    try:
        await kid("bad")
    except Refused as error:
        await note(f"seen {error.key}")
        return f"{error}"
    return "no"

@workflow
async def groups(key: str) -> list[str]:
    first, second = await settle(kid("bad"), kid(key, 1))
    many = await fan_out((kid(key, n) for n in range(3)), limit=2)
    all_of_them = await settle(kid(k, 0) for k in ["bad", "good"])
    won = await race(waiting(f"{key} loses"), kid(key, 1))
    shown = ["Ok" if isinstance(o, Ok) else "Err" for o in (first, second, *all_of_them)]
    return [*shown, *(str(len(one)) for one in many), won if isinstance(won, str) else won[0]]

@workflow
async def waits(key: str) -> str:
    return await waiting(key)

@workflow
async def above(key: str) -> str:
    try:
        return await waits(key)
    finally:
        await note(f"clean above {key}")

@workflow
async def hangs(key: str) -> None:
    await hang(key)

@workflow
async def starts(key: str) -> list[str]:
    await send(Go(key=key))
    first = await start(waiting, key)
    second = await start(waiting, f"{key}2")
    await send(Go(key=f"{key}2"))
    await sleep("1m")
    return [first, second]

@workflow
async def beside(key: str) -> int:
    kid_done, flaky_done = await parallel(kid(key, 1), flaky())
    return len(kid_done) + flaky_done
"""


async def links(served: Engine, run_id: str) -> dict[str, list[str | None]]:
    """The runs that a run has called or started, by workflow, in source order."""
    history = await history_of(await served.row(run_id), served.service)
    found: dict[str, list[str | None]] = {}
    for node in history.steps():
        if node.kind in ("child", "start"):
            found.setdefault(node.name, []).extend(visit.run_id for visit in node.instances)
    return found


async def child_of(served: Engine, run_id: str, workflow: str) -> str:
    """Wait until a run has called a workflow, and that is committed."""
    async with asyncio.timeout(10):
        while True:
            (child, *_) = (await links(served, run_id)).get(workflow) or [None]
            if child is not None and await served.store.run(child) is not None:
                return child
            await asyncio.sleep(0.005)


def test_a_child_gives_its_result_and_both_know_of_each_other(run, log, each_url):
    async def scenario():
        async with engine(FAMILY, each_url) as served:
            run_id = await served.start("calls", key="a")
            outcome = await served.outcome(run_id)
            (child,) = (await links(served, run_id))["kid"]
            row = await served.row(child)
            assert (row.parent_run, row.workflow, json.loads(row.input)) == (run_id, "kid", ["a", 2, "x"])
            return outcome, await served.outcome(await served.start("orders", key="b"))

    called, ordered = run(scenario())
    assert called == ("completed", ["a0x", "a1x"])
    assert ordered == ("completed", {"$tuple": ["b", True]})


def test_a_childs_failure_is_raised_in_its_parent_after_its_own_handler(run, log, each_url):
    async def scenario():
        async with engine(FAMILY, each_url) as served:
            survived = await served.outcome(await served.start("survives", key="a"))
            failed = await served.ended(await served.start("calls", key="bad"))
            with pytest.raises(NotReopenable, match=r"step 'refuse' of run run_\w+ that failed, which it called"):
                await retry(failed, served.service)
            return survived, failed

    survived, failed = run(scenario())
    assert survived == ("completed", "refused bad")
    assert (failed.status, failed.failed_step) == ("failed", "refuse")
    assert [name for name, _ in log.calls][:2] == ["told bad Refused('refused bad')", "seen bad"]


def test_children_are_branches_of_groups(run, log, each_url):
    async def scenario():
        async with engine(FAMILY, each_url) as served:
            run_id = await served.start("groups", key="a")
            outcome = await served.outcome(run_id)
            loser = (await links(served, run_id))["waiting"][0]
            return outcome, (await served.ended(loser)).status

    outcome, loser = run(scenario())
    assert outcome == ("completed", ["Err", "Ok", "Err", "Ok", "0", "1", "2", "a0t"])
    assert loser == "cancelled"
    assert log.count("clean a loses") == 1


def test_a_cancel_reaches_the_children_and_waits_for_their_clean_up(run, log, each_url):
    async def scenario():
        async with engine(FAMILY, each_url, skip_time=False) as served:
            top = await served.start("above", key="a")
            middle = await child_of(served, top, "waits")
            bottom = await child_of(served, middle, "waiting")
            await served.reaches(bottom, "waiting")
            await served.store.ask_cancel(top, "by test")
            return [(await served.ended(run_id)).status for run_id in (top, middle, bottom)]

    assert run(scenario()) == ["cancelled"] * 3
    assert [name for name, _ in log.calls] == ["clean a", "clean above a"]


def test_a_child_that_is_cancelled_on_its_own_cancels_its_parent(run, log, each_url):
    async def scenario():
        async with engine(FAMILY, each_url, skip_time=False) as served:
            top = await served.start("above", key="a")
            middle = await child_of(served, top, "waits")
            await served.reaches(middle, "waiting")
            await served.store.ask_cancel(middle, "by test")
            return (await served.ended(top)).status

    assert run(scenario()) == "cancelled"
    assert [name for name, _ in log.calls] == ["clean a", "clean above a"]


def test_a_started_run_goes_on_by_itself_and_sees_events_from_its_start_on(run, log, each_url):
    async def scenario():
        async with engine(FAMILY, each_url) as served:
            run_id = await served.start("starts", key="a")
            status, started = await served.outcome(run_id)
            assert status == "completed"
            assert (await links(served, run_id))["waiting"] == started
            rows = [await served.row(each) for each in started]
            assert [row.parent_run for row in rows] == [run_id, run_id]
            return [await served.outcome(each) for each in started]

    assert run(scenario()) == [("completed", "nobody"), ("completed", "heard")]


def test_a_started_run_outlives_a_cancel_of_its_starter(run, log, each_url):
    async def scenario():
        async with engine(FAMILY, each_url, skip_time=False) as served:
            run_id = await served.start("starts", key="a")
            await served.reaches(run_id, "sleeping")
            started = (await links(served, run_id))["waiting"][0]
            await served.store.ask_cancel(run_id, "by test")
            await served.ended(run_id)
            await served.send("go", key="a")
            return await served.outcome(started)

    assert run(scenario()) == ("completed", "heard")


def test_a_retried_parent_calls_again_the_child_that_was_cancelled_with_it(run, log, each_url):
    log.failing = 1

    async def scenario():
        async with engine(FAMILY, each_url, skip_time=False) as served:
            run_id = await served.start("beside", key="a")
            failed = await served.ended(run_id)
            first = (await links(served, run_id))["kid"][0]
            assert (await served.row(first)).status == "cancelled"
            LOG.failing = 0
        async with engine(FAMILY, each_url) as served:
            await retry(failed, served.service)
            return await served.outcome(run_id), (await links(served, run_id))["kid"]

    outcome, kids = run(scenario())
    assert outcome == ("completed", 2)
    assert len(set(kids)) == 2


def test_a_restart_between_a_childs_end_and_its_parents_taking_loses_nothing(run, log, each_url, monkeypatch):
    deliver = Worker._deliver

    def deaf(worker: Worker, row: InboxRow) -> None:
        if row.kind != "child":
            deliver(worker, row)

    async def scenario():
        monkeypatch.setattr(Worker, "_deliver", deaf)
        async with engine(FAMILY, each_url) as served:
            runs = [await served.start("calls", key=key) for key in ("a", "bad", "b")]
            kids = [await child_of(served, run_id, "kid") for run_id in runs]
            ends = [(await served.ended(kid)).status for kid in kids]
            assert ends == ["completed", "failed", "completed"]
            assert [(await served.row(run_id)).ended_at for run_id in runs] == [None] * 3
        monkeypatch.setattr(Worker, "_deliver", deliver)
        async with engine(FAMILY, each_url) as served:
            outcomes = [await served.outcome(run_id) for run_id in runs]
            again = [await links(served, run_id) for run_id in runs]
            return outcomes, again == [{"kid": [kid]} for kid in kids]

    outcomes, same_children = run(scenario())
    assert outcomes == [("completed", ["a0x", "a1x"]), ("failed", "Refused"), ("completed", ["b0x", "b1x"])]
    assert same_children
    assert len(log.keys) == len(set(log.keys))


@pytest.mark.postgres
@pytest.mark.ci
def test_a_child_may_run_on_another_worker_than_its_parent(run, log, postgres_url):
    async def scenario():
        async with AsyncExitStack() as stack:
            fleet = [
                await stack.enter_async_context(engine(FAMILY, postgres_url, skip_time=False, node=f"w{n}", claim_batch=1))
                for n in range(3)
            ]
            tops = await asyncio.gather(*(fleet[n % 3].start("above", key=str(n)) for n in range(12)))
            stuck = await fleet[0].start("hangs", key="s")
            bottoms = []
            for top in tops:
                middle = await child_of(fleet[0], top, "waits")
                bottoms.append(await child_of(fleet[1], middle, "waiting"))
            for bottom in bottoms:
                await fleet[2].reaches(bottom, "waiting")
            await fleet[1].store.ask_cancel(tops[0], "by test")
            for n in range(1, 12):
                await fleet[n % 3].send("go", key=str(n))
            await fleet[0].store.ask_cancel(stuck, "by test")
            await fleet[1].ended(stuck)
            return [await fleet[0].outcome(run_id, 20) for run_id in tops]

    first, *others = run(scenario())
    assert first[0] == "cancelled"
    assert others == [("completed", "heard")] * 11
    assert len(log.keys) == len(set(log.keys)) == 12 * 2 + 1
