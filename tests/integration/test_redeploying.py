"""New code under live runs: they end on the machine they began with, by today's steps; what is missing is said by name."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_runtime.errors import StartupRefused
from flowgraph_runtime.service import open_store
from flowgraph_runtime.settings import Settings
from tests.integration.harness import engine

COMMON = """
class Go(Event, name="go"):
    key: str

@step
async def a(text: str) -> str:
    LOG.enter("a")
    return text + "a"

@step{options}
async def {b}(text: str{more}) -> str:
    LOG.enter("{b}")
    return text + "{b}"
"""

FLOW = """
@workflow
async def flow(text: str) -> str:
    text = await a(text)
    go = await wait_for(Go, where=lambda g: g.key == "k", timeout="30d")
    if go is None:
        return "timeout"
    text = await {b}(text)
    {third}
    return text
"""


OTHER = """
@workflow
async def other(text: str) -> str:
    return await a(text)
"""


def _module(b="b", options="", more="", third="pass", flow=True):
    text = COMMON.format(b=b, options=options, more=more)
    return text + (
        FLOW.format(b=b, third=third) if flow else "\n@workflow\nasync def other(text: str) -> str:\n    return await a(text)\n"
    )


async def _waiting(url):
    async with engine(_module(), url, skip_time=False) as served:
        run_id = await served.start("flow", text="")
        row = await served.reaches(run_id, "waiting")
        return run_id, row.machine


def test_an_old_run_ends_on_its_old_machine_and_new_ones_take_the_new(run, log, each_url):
    changed = _module(third='text = await a(text + "-")')

    async def scenario():
        old, machine = await _waiting(each_url)
        async with engine(changed, each_url, skip_time=False) as served:
            new = await served.start("flow", text="")
            await served.reaches(new, "waiting")
            await served.send("go", key="k")
            ended = [await served.outcome(old), await served.outcome(new)]
            return ended, machine, (await served.row(old)).machine, (await served.row(new)).machine

    (old, new), machine, old_machine, new_machine = run(scenario())
    assert (old, new) == (("completed", "ab"), ("completed", "ab-a"))
    assert (old_machine, new_machine != machine) == (machine, True)


def test_a_renamed_step_with_its_alias_goes_on(run, log, url):
    renamed = _module(b="better", options='(aliases=("b",))')

    async def scenario():
        old, _ = await _waiting(url)
        async with engine(renamed, url, skip_time=False) as served:
            await served.send("go", key="k")
            return await served.outcome(old)

    assert run(scenario()) == ("completed", "abetter")


def test_a_renamed_workflow_is_found_by_its_alias_and_its_old_runs_end(run, log, url):
    renamed = _module().replace("@workflow\nasync def flow", '@workflow(aliases=("flow",))\nasync def course')

    async def scenario():
        old, _ = await _waiting(url)
        async with engine(renamed, url, skip_time=False) as served:
            by_alias, by_name = await served.start("flow", text="x"), await served.start("course", text="y")
            await served.reaches(by_alias, "waiting")
            await served.reaches(by_name, "waiting")
            await served.send("go", key="k")
            started = [(await served.row(id)).workflow for id in (by_alias, by_name)]
            return [await served.outcome(id) for id in (old, by_alias, by_name)], started

    outcomes, started = run(scenario())
    assert outcomes == [("completed", "ab"), ("completed", "xab"), ("completed", "yab")]
    assert started == ["course", "course"]


EVENT = """
class {cls}(Event, name="{name}"{aliases}):
    key: str
    n: int

@step
async def pause() -> None:
    LOG.enter("pause")

@workflow(on={cls}, where=lambda e: e.n == 0)
async def begun(event: {cls}) -> str:
    return event.key

@workflow
async def twice(key: str) -> list[int]:
    one = await wait_for({cls}, where=lambda e: e.key == key and e.n > 0, timeout="30d")
    two = await wait_for({cls}, where=lambda e: e.n == 2 and isinstance(e, {cls}), timeout="30d")
    return [one.n if one is not None else 0, two.n if two is not None else 0]
"""


def test_a_renamed_event_reaches_old_and_new_waits_by_either_name(run, log, each_url):
    before = EVENT.format(cls="Told", name="told", aliases="")
    after = EVENT.format(cls="Said", name="said", aliases=', aliases=("told", "Told")').replace("e.key == key and ", "")

    async def scenario():
        async with engine(before, each_url, skip_time=False) as served:
            by_old, by_new = await served.start("twice", key="o"), await served.start("twice", key="n")
            for run_id in (by_old, by_new):
                await served.reaches(run_id, "waiting")
        async with engine(after, each_url, skip_time=False) as served:
            fresh = await served.start("twice", key="f")
            await served.reaches(fresh, "waiting")
            await served.send("told", key="o", n=1)
            await served.send("said", key="n", n=1)
            await served.send("told", key="z", n=2)
            begun = [id for name in ("told", "said") for id in await served.send(name, key=name, n=0)]
            return [await served.outcome(id) for id in (by_old, by_new, fresh)], [await served.outcome(id) for id in begun]

    waited, begun = run(scenario())
    assert waited == [("completed", [1, 2])] * 3
    assert begun == [("completed", "told"), ("completed", "said")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (_module(b="gone"), "step 'b'"),
        (_module(flow=False).replace("def b(", "def c("), "step 'b'"),
        (_module(more=", size: int").replace("await b(text)", "await b(text, 1)"), "parameter 'size'"),
        (_module().replace('class Go(Event, name="go")', 'class Go(Event, name="went")'), "event 'go'"),
    ],
)
def test_a_start_without_what_live_runs_need_is_refused_with_names_and_counts(run, log, url, text, named):
    async def scenario():
        run_id, machine = await _waiting(url)
        with pytest.raises(StartupRefused) as refused:
            async with engine(text, url):
                pass
        async with engine(text, url, skip_time=False, allow_missing=True) as served:
            row = await served.row(run_id)
            await served.send("went" if "went" in text else "go", key="other")
        async with engine(_module(), url, skip_time=False) as served:
            await served.send("go", key="k")
            return str(refused.value), machine, row.status, await served.outcome(run_id)

    message, machine, status, outcome = run(scenario())
    assert "1 run" in message
    assert named in message
    assert "--allow-missing" in message
    assert machine in message
    assert status == "waiting"
    assert outcome == ("completed", "ab")


def test_a_refused_start_leaves_the_current_machine_alone(run, log, url):
    async def scenario():
        _, machine = await _waiting(url)
        with pytest.raises(StartupRefused):
            async with engine(_module(b="gone"), url):
                pass
        store = open_store(Settings(db=url))
        try:
            return machine, {row.name: row.machine for row in await store.workflows()}
        finally:
            store.close()

    machine, current = run(scenario())
    assert current == {"flow": machine}


def test_a_run_whose_workflow_is_gone_still_ends(run, log, url):
    """The workflow was deleted, its steps are still there: the machine in the database is enough."""

    async def scenario():
        old, _ = await _waiting(url)
        text = _module(flow=False)
        async with engine(text, url, skip_time=False) as served:
            await served.send("go", key="k")
            return await served.outcome(old)

    assert run(scenario()) == ("completed", "ab")


def test_a_step_that_was_executing_at_a_stop_runs_again_with_the_same_key(run, log, each_url):
    text = """
    @step
    async def first() -> int:
        LOG.enter("first")
        return 1

    @step(retries=0)
    async def slow(n: int) -> int:
        LOG.enter("slow")
        if len(LOG.notes) == 0:
            await asyncio.sleep(30)
        return n + 1

    @workflow
    async def steady() -> list[int]:
        n = await first()
        a, b = await parallel(slow(n), slow(n + 10))
        return [a, b]
    """

    async def scenario():
        async with engine(text, each_url, skip_time=False, grace=0.1) as served:
            run_id = await served.start("steady")
            await served.until(lambda _: log.count("slow") == 2, run_id)
        log.note("go")
        async with engine(text, each_url, skip_time=False) as served:
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", [2, 12])
    assert log.calls == [("first", 1)] + [("slow", 1)] * 4
    assert sorted(set(log.keys[1:3])) == sorted(set(log.keys[3:]))
    assert len(set(log.keys)) == 3


def test_new_fields_of_classes_take_their_defaults_in_old_runs(run, log, url):
    before = """
    from pydantic import BaseModel
    class Receipt(BaseModel):
        id: str

    @step
    async def pay() -> Receipt:
        return Receipt(id="r")

    @step
    async def show(receipt: Receipt) -> str:
        LOG.note(receipt)
        return receipt.id

    @workflow
    async def buying() -> str:
        receipt = await pay()
        await sleep("{pause}")
        return await show(receipt)
    """
    after = before.replace("id: str\n", 'id: str\n        currency: str = "EUR"\n', 1)

    async def scenario():
        async with engine(before.format(pause="1s"), url, skip_time=False) as served:
            run_id = await served.start("buying")
            await served.reaches(run_id, "sleeping")
        async with engine(after.format(pause="1s"), url) as served:
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", "r")
    (receipt,) = log.notes
    assert (receipt.id, receipt.currency) == ("r", "EUR")


@pytest.mark.feature(14)
def test_sleeps_that_ended_while_nobody_ran_end_at_once(run, log, url):
    text = """
    @workflow
    async def napping() -> str:
        await sleep("300ms")
        await sleep_until(now() - timedelta(days=1))
        return "up"
    """

    async def scenario():
        async with engine(text, url, skip_time=False) as served:
            run_id = await served.start("napping")
            await served.reaches(run_id, "sleeping")
        await asyncio.sleep(0.4)
        async with engine(text, url, skip_time=False) as served:
            return await served.outcome(run_id, patience=1.0)

    assert run(scenario()) == ("completed", "up")
