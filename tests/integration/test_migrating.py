"""Runs move to the machines of new code where it is proven that they can go on there, and nowhere else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowgraph_compiler.safe_points import NotProven
from flowgraph_runtime import migration, reopening
from flowgraph_runtime.engine.moving import MOVE
from flowgraph_runtime.inspection import history_of
from flowgraph_runtime.storage.errors import OutcomeUnknown, RunHeld
from tests.integration.harness import LOG, engine

COMMON = """
class Go(Event, name="go"):
    key: str

RATE = 2

@step
async def a(text: str) -> str:
    LOG.enter("a")
    return text + "a"

@step
async def b(text: str) -> str:
    LOG.enter("b")
    return text + "b"

@step(retries=0)
async def picky(text: str) -> str:
    LOG.enter("picky")
    if "ok" not in LOG.notes:
        raise ValueError(text)
    return text + "p"

@step(retries=3, backoff=Backoff("1d"))
async def flaky(text: str) -> str:
    LOG.enter("flaky")
    if "ok" not in LOG.notes:
        raise ValueError(text)
    return text + "f"

@subflow
async def inner(text: str) -> str:
    await wait_for(Go, where=lambda g: g.key == "k", timeout="30d")
    return text + "i"
"""

BEFORE = """
@workflow
async def flow(text: str) -> str:
    held = await a(text)
    go = await wait_for(Go, where=lambda g: g.key == "k", timeout="30d")
    if go is None:
        return "timeout"
    return held
"""
AFTER = BEFORE.replace("    return held\n", "    held = await b(held)\n    return await a(held)\n")


async def waiting(url: str, code: str, status: str = "waiting", **arguments: Any) -> str:
    """A run of `flow` that waits on the machine of a text."""
    async with engine(COMMON + code, url, skip_time=False) as served:
        run_id: str = await served.start("flow", **(arguments or {"text": ""}))
        await served.reaches(run_id, status)
        if status == "running":
            await _parked(served, run_id)
    return run_id


async def _parked(served: Any, run_id: str) -> None:
    """Its step has failed, and its worker has let go of it."""
    await served.until(lambda row: row.epoch is None and bool(LOG.count("flaky")), run_id)


async def moved(served: Any) -> list[migration.Moved]:
    told: list[migration.Moved] = []
    await migration.move_all(served.service, told.append)
    return told


def test_a_run_that_waits_goes_on_with_the_new_code(run, log, each_url):
    async def scenario():
        run_id = await waiting(each_url, BEFORE)
        async with engine(COMMON + AFTER, each_url, skip_time=False) as served:
            before = (await served.row(run_id)).machine
            (fate,) = await migration.fates(served.service)
            (told,) = await moved(served)
            row = await served.row(run_id)
            assert (told.run_id, told.machine, told.to, told.why) == (run_id, before, row.machine, None)
            assert (fate.outcome, fate.runs, fate.examples) == ("can move", 1, (run_id,))
            assert fate.at.endswith("wait for 'Go'")
            assert await moved(served) == [], "it is on the machine of the code now"
            await served.send("go", key="k")
            return await served.outcome(run_id), await served.service.store.journal(run_id), await _steps(served, run_id)

    outcome, journal, steps = run(scenario())
    assert outcome == ("completed", "aba")
    assert [row.kind for row in journal] == ["done", MOVE, "event", "done", "done"]
    assert [(name, count) for name, count, _ in steps] == [("a", 1), ("Go", 1), ("b", 1), ("a", 1)]
    assert log.calls == [("a", 1), ("b", 1), ("a", 1)], "what it has done is not done again"


async def _steps(served: Any, run_id: str) -> list[tuple[str, int, str]]:
    history = await history_of(await served.row(run_id), served.service)
    return [(step.name, step.count, step.status) for step in history.steps()]


def test_a_moved_run_is_taken_over_and_folds_from_its_move(run, log, each_url):
    """The next owner begins with the snapshot of the move; another deployment moves it on."""
    third = AFTER.replace("return await a(held)", 'return await a(held + "-")')

    async def scenario():
        run_id = await waiting(each_url, BEFORE)
        for text in (AFTER, third):
            async with engine(COMMON + text, each_url, skip_time=False) as served:
                assert [one.why for one in await moved(served)] == [None]
        async with engine(COMMON + third, each_url, skip_time=False) as served:
            await served.send("go", key="k")
            return await served.outcome(run_id), await _steps(served, run_id)

    outcome, steps = run(scenario())
    assert outcome == ("completed", "ab-a")
    assert [count for _, count, _ in steps] == [1, 1, 1, 1]


def test_nodes_that_the_new_machine_lacks_are_still_told_of(run, log, url):
    shorter = BEFORE.replace("    held = await a(text)\n", '    held = "h"\n').replace("return held", "return 'end'")

    async def scenario():
        run_id = await waiting(url, BEFORE)
        async with engine(COMMON + shorter, url, skip_time=False) as served:
            assert [one.why for one in await moved(served)] == [None]
            await served.send("go", key="k")
            return await served.outcome(run_id), await _steps(served, run_id)

    outcome, steps = run(scenario())
    assert outcome == ("completed", "end")
    assert steps == [("a", 1, "completed"), ("Go", 1, "completed")]


LOOP = """
@workflow
async def flow(text: str) -> list[str]:
    found: list[str] = []
    for letter in text:
        await sleep("1d")
        found.append(letter)
    return found
"""
BACKOFF = """
@workflow
async def flow(text: str) -> str:
    return await flaky(text)
"""
GROUP = """
@workflow
async def flow(text: str) -> str:
    held = await a(text)
    first, _ = await parallel(inner(held), sleep("1d"))
    return first
"""
FAN_OUT = """
@workflow
async def flow(text: str) -> list[str]:
    found = await fan_out(inner(letter) for letter in text)
    return found
"""
SCOPE = """
@workflow
async def flow(text: str) -> str:
    async with timeout("10d"):
        await sleep("1d")
    return text
"""
SAGA = """
@step(compensate=a)
async def book(text: str) -> str:
    LOG.enter("book")
    return text

@workflow
async def flow(text: str) -> str:
    async with saga():
        held = await book(text)
        await sleep("1d")
    return held
"""


@pytest.mark.parametrize(
    ("before", "old", "new", "outcome"),
    [
        (LOOP, "return found", "return [*found, 'end']", ["x", "y", "end"]),
        (BACKOFF, "return await flaky(text)", "return await b(await flaky(text))", "xyfb"),
        (GROUP, "return first", "return first + 'g'", "xyaig"),
        (FAN_OUT, "return found", "return found[::-1]", ["yi", "xi"]),
        (SCOPE, "return text", "return await a(text)", "xya"),
        (SAGA, "return held", "return await b(held)", "xyb"),
    ],
)  # fmt: skip
def test_wherever_a_run_only_waits_it_moves(run, log, url, before, old, new, outcome):
    async def scenario():
        status = "running" if before is BACKOFF else "waiting" if before in (GROUP, FAN_OUT) else "sleeping"
        run_id = await waiting(url, before, status, text="xy")
        log.note("ok")
        after = COMMON + before.replace(old, new)
        async with engine(after, url, skip_time=False) as served:
            assert [one.why for one in await moved(served)] == [None]
        async with engine(after, url) as served:
            if before in (GROUP, FAN_OUT):
                await served.send("go", key="k")
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", outcome)


RATED = BEFORE.replace("await a(text)", "text * RATE")
REFUSED = [
    ("held = await a(text)", "held = await a(text + '!')", "'held' comes about in another way"),
    ("timeout=\"30d\"", "timeout=\"60d\"", "the wait for 'Go' that it is at changed"),
    ("    go =", "    more = ''\n    go =", "the new code reads 'more', which the run does not hold"),
    ("async def flow(text: str)", "async def flow(text: str, other: str = '')", "the parameters changed"),
    ("    go = await", "    async with timeout('9d'):\n        go = await", "the scopes around the wait for 'Go' changed"),
    ("flow/Go", "", "the new code has no wait for 'Go' at this place"),
    ("    held = await a(text)", "    text = text + 'x'\n    held = await a(text)", "'text', which 'held' comes from, changed"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "why"), REFUSED)
def test_what_is_not_proven_stays_and_the_plan_says_why(run, log, url, old, new, why):
    text = AFTER.replace(old, new)
    if "more" in new:
        text = text.replace("return await a(held)", "return await a(held + more)")
    if old == "flow/Go":
        text = "\n@workflow\nasync def flow(text: str) -> str:\n    return await a(text)\n"

    async def scenario():
        run_id = await waiting(url, BEFORE)
        async with engine(COMMON + text, url, skip_time=False) as served:
            (fate,) = await migration.fates(served.service)
            row = await served.row(run_id)
            with pytest.raises(NotProven) as refused:
                await migration.move(run_id, row.machine, fate.to or "", served.service)
            assert await moved(served) == []
            await served.send("go", key="k")
            return fate, str(refused.value), row.machine, (await served.row(run_id)).machine, await served.outcome(run_id)

    fate, refused, before, after, outcome = run(scenario())
    assert (fate.outcome, fate.why, refused) == ("stays pinned", why, why)
    assert before == after
    assert outcome == ("completed", "a"), "it ends on its own machine"


@pytest.mark.parametrize(
    ("text", "old", "new", "why"),
    [
        (RATED, "RATE = 2", "RATE = 3", "constant 'RATE' changed, and 'held' comes from it"),
        (GROUP, 'return text + "i"', "return text.upper()", None),
        (GROUP, '30d', "31d", "the wait for 'Go' that it is at changed"),
        (GROUP, "held = await a(text)", "held = text", "'held' comes about in another way"),
    ],
)  # fmt: skip
def test_what_a_variable_comes_from_is_followed(run, log, url, text, old, new, why):
    changed = (COMMON + text).replace(old, new)

    async def scenario():
        await waiting(url, text, text="x")
        async with engine(changed, url, skip_time=False) as served:
            (fate,) = await migration.fates(served.service)
            return fate.why

    assert run(scenario()) == why


EITHER = """
@step
async def either(text: str | int) -> str:
    return str(text)

@workflow
async def flow(text: str) -> str:
    held = await either(text)
    await sleep("1d")
    return held
"""


def test_the_values_of_the_arguments_have_to_fit_the_new_code(run, log, url):
    """A machine does not say of which type its parameters are."""
    changed = EITHER.replace("flow(text: str)", "flow(text: int)").replace("return held", "return await a(held)")

    async def scenario():
        await waiting(url, EITHER, "sleeping")
        async with engine(COMMON + changed, url, skip_time=False) as served:
            return [one.why for one in await moved(served)]

    assert run(scenario()) == ["its 'text' is not what the new code takes"]


SLOW = """
@step
async def slow() -> str:
    LOG.enter("slow")
    while not LOG.notes:
        await asyncio.sleep(0.01)
    return "s"

@workflow
async def flow(text: str) -> str:
    return await slow()
"""


def test_a_run_with_an_owner_is_not_moved_under_its_hands(run, log, each_url):
    async def scenario():
        async with engine(COMMON + SLOW, each_url, skip_time=False) as served:
            run_id = await served.start("flow", text="")
            await served.until(lambda _: log.count("slow") == 1, run_id)
            row = await served.row(run_id)
            with pytest.raises(RunHeld):
                await migration.move(run_id, row.machine, row.machine, served.service)
            log.note("go")
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", "s")


def test_of_two_movers_one_wins(run, log, each_url):
    async def scenario():
        run_id = await waiting(each_url, BEFORE)
        async with engine(COMMON + AFTER, each_url, skip_time=False) as served:
            old, new = (await served.row(run_id)).machine, served.service.registry.current["flow"]
            tries = [migration.move(run_id, old, new, served.service) for _ in range(4)]
            results = await asyncio.gather(*tries, return_exceptions=True)
            await served.send("go", key="k")
            return results, await served.outcome(run_id), await served.service.store.journal(run_id)

    results, outcome, journal = run(scenario())
    assert sorted(type(one).__name__ for one in results) == ["NoneType", *["RunHeld"] * 3]
    assert outcome == ("completed", "aba")
    assert [row.kind for row in journal].count(MOVE) == 1


def test_a_moved_run_that_fails_is_retried_on_its_machine(run, log, url):
    text = AFTER.replace("return await a(held)", "return await picky(held)")

    async def scenario():
        run_id = await waiting(url, BEFORE)
        async with engine(COMMON + text, url, skip_time=False) as served:
            await moved(served)
            await served.send("go", key="k")
            assert (await served.outcome(run_id))[0] == "failed"
            log.note("ok")
            await reopening.retry(await served.row(run_id), served.service)
            return await served.outcome(run_id), await _steps(served, run_id)

    outcome, steps = run(scenario())
    assert outcome == ("completed", "abp")
    assert [(name, status) for name, _, status in steps][-1] == ("picky", "completed")


@pytest.mark.parametrize("committed", [False, True])
def test_a_process_that_goes_down_at_the_move_leaves_it_done_or_not_done(run, log, each_url, committed, monkeypatch):
    async def scenario():
        run_id = await waiting(each_url, BEFORE)
        async with engine(COMMON + AFTER, each_url, skip_time=False) as served:
            commit = served.service.store.move

            async def gone(*given: Any) -> None:
                if committed:
                    await commit(*given)
                raise OutcomeUnknown("the connection is gone")

            monkeypatch.setattr(served.service.store, "move", gone)
            with pytest.raises(OutcomeUnknown):
                await moved(served)
        async with engine(COMMON + AFTER, each_url, skip_time=False) as served:
            await served.send("go", key="k")
            return await served.outcome(run_id), [row.kind for row in await served.journal(run_id)]

    outcome, kinds = run(scenario())
    assert outcome == ("completed", "aba" if committed else "a")
    assert (MOVE in kinds) == committed
