"""Events and waits on a real engine: each event once per run, whether it came before, while or after the wait was open."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_runtime.intake import Posted
from tests.integration.harness import engine

WAITS = """
class Started(Event, name="started"):
    key: str

class Note(Event, name="note"):
    key: str
    n: int

@step
async def pause(n: int) -> int:
    LOG.enter("pause")
    while n > len(LOG.notes):
        await asyncio.sleep(0.005)
    return n

@workflow(on=Started)
async def in_a_row(event: Started) -> list[int | None]:
    got: list[int | None] = []
    for _ in range(3):
        note = await wait_for(Note, where=lambda n: n.key == event.key, timeout="1h")
        got.append(None if note is None else note.n)
    return got

@workflow(on=Started)
async def together(event: Started) -> list[int | None]:
    a, b, c = await parallel(
        wait_for(Note, where=lambda n: n.key == event.key, timeout="1h"),
        wait_for(Note, where=lambda n: n.key == event.key and n.n > 1, timeout="1h"),
        wait_for(Note, timeout="1h"),
    )
    return [None if x is None else x.n for x in (a, b, c)]

@workflow(on=Started)
async def late(event: Started) -> list[int | None]:
    await pause(1)
    first = await wait_for(Note, where=lambda n: n.key == event.key, timeout="1h")
    await pause(2)
    second = await wait_for(Note, where=lambda n: n.key == event.key, timeout="1h")
    return [None if x is None else x.n for x in (first, second)]

@workflow
async def fussy(key: str) -> str:
    try:
        note = await wait_for(Note, where=lambda n: n.key == key and 10 // n.n > 1, timeout="1h")
    except ZeroDivisionError as error:
        again = await wait_for(Note, where=lambda n: n.key == key, timeout="1h")
        return f"{error}, then {None if again is None else again.n}"
    return "no" if note is None else str(note.n)

@workflow
async def at_the_deadline(key: str) -> int:
    note = await wait_for(Note, where=lambda n: n.key == key, timeout="150ms")
    return -1 if note is None else note.n

@workflow
async def for_ever(key: str) -> int:
    note = await wait_for(Note, where=lambda n: n.key == key, timeout=None)
    return note.n

@workflow
async def patient(key: str) -> int:
    begun = now()
    note = await wait_for(Note, where=lambda n: n.key == key, timeout="36500d")
    await sleep("36500d")
    return (now() - begun).days if note is None else -1
"""


async def _notes(served, key, *numbers):
    for number in numbers:
        await served.send("note", key=key, n=number)


async def _started(served, key):
    runs = await served.send("started", key=key)
    return {(await served.row(run)).workflow: run for run in runs}


def test_waits_in_a_row_take_one_event_each_in_the_order_of_arrival(run, log, each_url):
    async def scenario():
        async with engine(WAITS, each_url, skip_time=False) as served:
            runs = await _started(served, "k")
            await _notes(served, "other", 9)
            await _notes(served, "k", 1, 2, 3, 4)
            return await served.outcome(runs["in_a_row"]), await served.outcome(runs["together"])

    in_a_row, together = run(scenario())
    assert in_a_row == ("completed", [1, 2, 3])
    assert together == ("completed", [1, 2, 9])


@pytest.mark.feature(15)
def test_early_events_reach_their_waits_and_none_twice(run, log, each_url):
    async def scenario():
        async with engine(WAITS, each_url, skip_time=False) as served:
            run_id = (await _started(served, "k"))["late"]
            await served.until(lambda _: log.count("pause") == 1, run_id)
            await _notes(served, "k", 1, 2)
            log.note("go")
            await served.until(lambda _: log.count("pause") == 2, run_id)
            await _notes(served, "k", 3)
            log.note("go")
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", [1, 2])


def test_an_event_sent_before_the_run_began_is_not_taken(run, log, url):
    async def scenario():
        async with engine(WAITS, url, skip_time=False) as served:
            await _notes(served, "k", 5)
            run_id = await served.start("at_the_deadline", key="k")
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", -1)


def test_an_early_event_offered_to_parallel_waits_is_taken_by_the_older_one_only(run, log, each_url):
    text = WAITS + (
        "@workflow\nasync def pair(key: str) -> list[int | None]:\n    await pause(1)\n    a, b = await parallel(\n"
        '        wait_for(Note, where=lambda n: n.key == key, timeout="300ms"),\n'
        '        wait_for(Note, where=lambda n: n.key == key, timeout="300ms"))\n'
        "    c = await wait_for(Note, where=lambda n: n.key == key, timeout='300ms')\n"
        "    return [None if x is None else x.n for x in (a, b, c)]\n"
    )

    async def scenario():
        async with engine(text, each_url, skip_time=False) as served:
            one, two = await served.start("pair", key="1"), await served.start("pair", key="2")
            await served.until(lambda _: log.count("pause") == 2, one)
            await _notes(served, "1", 7)
            await _notes(served, "2", 7, 8, 9)
            log.note("go")
            return await served.outcome(one), await served.outcome(two)

    one, two = run(scenario())
    assert one == ("completed", [7, None, None])
    assert two == ("completed", [7, 8, 9])


def test_an_event_reaches_every_run_that_waits_for_it(run, log, each_url):
    async def scenario():
        async with engine(WAITS, each_url, skip_time=False) as served:
            runs = [await served.start("for_ever", key="k" if n % 2 else "l") for n in range(30)]
            for run_id in runs:
                await served.reaches(run_id, "waiting")
            await _notes(served, "k", 4)
            return [await served.outcome(run_id) for run_id in runs[1::2]], [(await served.row(r)).status for r in runs[::2]]

    taken, others = run(scenario())
    assert taken == [("completed", 4)] * 15
    assert others == ["waiting"] * 15


def test_a_predicate_that_raises_raises_at_the_wait_and_leaves_the_event_to_the_next(run, log, url):
    async def scenario():
        async with engine(WAITS, url, skip_time=False) as served:
            run_id = await served.start("fussy", key="k")
            await served.reaches(run_id, "waiting")
            await _notes(served, "k", 10, 0)
            return await served.outcome(run_id)

    status, result = run(scenario())
    assert status == "completed"
    assert "division" in result
    assert result.endswith("then 10")


@pytest.mark.feature(15)
@pytest.mark.parametrize("offset", [-0.01, -0.003, 0.0, 0.003])
def test_an_event_around_the_deadline_is_decided_once(run, log, each_url, offset):
    """Whichever comes first counts, and no event that was in time is lost: the invariants are checked at the end."""

    async def scenario():
        async with engine(WAITS, each_url, skip_time=False) as served:
            runs = [await served.start("at_the_deadline", key="k") for _ in range(10)]
            for run_id in runs:
                await served.reaches(run_id, "waiting", "completed")  # on a slow machine the first deadlines have passed
            started = (await served.row(runs[0])).started_at
            assert started is not None
            await asyncio.sleep(max(0, started / 1e6 + 0.15 + offset - served.service.clock.now() / 1e6))
            await served.service.intake.send([Posted("note", {"key": "k", "n": 3})])
            return [await served.outcome(run_id) for run_id in runs]

    outcomes = run(scenario())
    assert {status for status, _ in outcomes} == {"completed"}
    assert {result for _, result in outcomes} <= {3, -1}


@pytest.mark.feature(2)
def test_a_wait_and_a_sleep_may_last_a_century_and_the_run_is_listed_meanwhile(run, log, each_url):
    async def scenario():
        async with engine(WAITS, each_url, skip_time=False) as served:
            run_id = await served.start("patient", key="k")
            await served.reaches(run_id, "waiting")
            rows, _ = await served.store.runs(status="waiting")
            listed = [row.id for row in rows]
        async with engine(WAITS, each_url) as served:
            return listed == [run_id], await served.outcome(run_id)

    assert run(scenario()) == (True, ("completed", 73_000))
