"""`cancel_on=`: an event cancels the runs that it is about, wherever they are and however early it comes."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_runtime.inspection import history_of
from tests.integration.harness import engine

BOOKINGS = """
from flowgraph import on

class Booked(Event, name="booked"):
    id: str
    nights: int = 1

class CalledOff(Event, name="called.off"):
    id: str
    until: int | None = None

class Blacklisted(Event, name="blacklisted"):
    ids: list[str]

class Go(Event, name="go"):
    id: str

@step
async def begun() -> None:
    LOG.enter("begun")

@step
async def remind(id: str) -> str:
    LOG.enter("remind")
    return id

@step
async def undo(event: Booked) -> None:
    LOG.enter("undo")

@step(retries=0)
async def work(id: str) -> str:
    LOG.enter("work")
    LOG.note(id)
    while "go" not in LOG.notes:
        await asyncio.sleep(0.005)
    return id

@workflow(on=Booked, on_cancel=undo, cancel_on=[
    on(CalledOff, where=lambda started, event: event.id == started.id and (event.until is None or event.until >= started.nights)),
    on(Blacklisted, where=lambda started, event: started.id in event.ids and 10 // len(event.ids) > 0),
])
async def remind_later(event: Booked) -> str:
    await begun()
    await sleep("30d")
    return await remind(event.id)

@workflow(on=Booked, cancel_on=[on(CalledOff, where=lambda b, e: e.id == b.id)])
async def working(event: Booked) -> str:
    return await work(event.id)

@workflow(on=Booked, cancel_on=[on(CalledOff, where=lambda b, e: e.id == b.id)])
async def waiting(event: Booked) -> str:
    go = await wait_for(Go, where=lambda g: g.id == event.id, timeout="1h")
    return "none" if go is None else go.id
"""


async def _booked(served, id, nights=1):
    return {(await served.row(run)).workflow: run for run in await served.send("booked", id=id, nights=nights)}


def test_an_event_cancels_the_runs_that_it_is_about(run, log, each_url):
    async def scenario():
        async with engine(BOOKINGS, each_url, skip_time=False) as served:
            one, other = await _booked(served, "1"), await _booked(served, "2")
            assert (await served.reaches(one["remind_later"], "sleeping")).status == "sleeping", (
                "the watch is no wait of the body"
            )
            for runs in (one, other):
                await served.reaches(runs["waiting"], "waiting")
                await served.until(lambda row: row.started_at is not None, runs["working"])
            await served.send("called.off", id="1")
            rows = [await served.ended(run_id) for run_id in one.values()]
            others = [await served.row(run_id) for run_id in other.values()]
            event = (await served.store.events(name="called.off"))[0][0]
            page = await served.store.event(event.id)
            await served.until(lambda _: log.count("begun") == 2, other["remind_later"])
            history = await history_of(await served.reaches(other["remind_later"], "sleeping"), served.service)
            assert history.current() == ["remind_later/sleep"]
            return rows, others, event, page

    rows, others, event, page = run(scenario())
    assert [row.status for row in rows] == ["cancelled"] * 3
    assert {row.reason for row in rows} == {f"event 'called.off' ({event.id})"}
    assert all(row.ended_at is None for row in others)
    assert (log.count("undo"), log.count("remind")) == (1, 0)
    assert {row.id for row in rows} <= set(page.taken_by)


def test_the_rest_of_the_predicate_is_looked_at(run, log, url):
    async def scenario():
        async with engine(BOOKINGS, url, skip_time=False) as served:
            run_id = (await _booked(served, "1", nights=5))["remind_later"]
            await served.reaches(run_id, "sleeping")
            await served.send("called.off", id="1", until=4)
            await served.send("blacklisted", ids=["2", "3"])
            await served.send("blacklisted", ids=[])
            await asyncio.sleep(0.2)
            assert (await served.row(run_id)).status == "sleeping", "none of them is about this run, and one cannot be asked"
            await served.send("blacklisted", ids=["1"])
            return await served.ended(run_id)

    assert run(scenario()).status == "cancelled"


def test_an_event_from_before_the_start_counts_and_one_from_before_the_trigger_does_not(run, log, each_url):
    async def scenario():
        async with engine(BOOKINGS, each_url, skip_time=False) as served:
            await served.send("called.off", id="1")
            runs = await _booked(served, "1")
            await served.reaches(runs["remind_later"], "sleeping")
        async with engine(BOOKINGS, each_url, skip_time=False, worker=False) as interface:
            early = await _booked(interface, "2")
            await interface.send("called.off", id="2")
        async with engine(BOOKINGS, each_url, skip_time=False) as served:
            ended = [await served.ended(run_id) for run_id in early.values()]
            assert (await served.row(runs["remind_later"])).status == "sleeping"
            return ended

    assert [row.status for row in run(scenario())] == ["cancelled"] * 3
    assert log.count("remind") == 0
    assert "2" not in log.notes, "a run that was cancelled before its start does nothing"


def test_a_run_that_has_left_memory_is_cancelled_too(run, log, each_url):
    async def scenario():
        async with engine(BOOKINGS, each_url, skip_time=False) as served:
            runs = await _booked(served, "1")
            await served.reaches(runs["remind_later"], "sleeping")
        async with engine(BOOKINGS, each_url, skip_time=False) as served:
            await served.send("called.off", id="1")
            return await served.ended(runs["remind_later"])

    assert run(scenario()).status == "cancelled"
    assert log.count("undo") == 1


def test_a_run_that_has_ended_watches_no_more(run, log, url):
    log.note("go")

    async def scenario():
        async with engine(BOOKINGS, url) as served:
            runs = await _booked(served, "1")
            row = await served.ended(runs["remind_later"])
            await served.send("called.off", id="1")
            history = await history_of(row, served.service)
            return row, history.statuses()

    row, statuses = run(scenario())
    assert (row.status, log.count("remind")) == ("completed", 1)
    assert statuses["$cancel_on_0/wait_for.CalledOff"] == "skipped"


LIMITED = """
from flowgraph import Concurrency, on

class Booked(Event, name="booked"):
    id: str
    nights: int = 1

class CalledOff(Event, name="called.off"):
    id: str

@step
async def arrive(id: str) -> None:
    LOG.enter("arrive")

@workflow(
    on=Booked,
    where=lambda e: e.nights > 1,
    concurrency=[Concurrency(1, key=lambda e: e.id), Concurrency(1, scope="run", key=lambda e: e.id)],
    cancel_on=[on(CalledOff, where=lambda started, event: event.id == started.id)],
)
async def stay(event: Booked) -> None:
    await arrive(event.id)
    await sleep("30d")
"""


def test_it_goes_together_with_a_predicate_and_with_limits(run, log, url):
    async def scenario():
        async with engine(LIMITED, url, skip_time=False) as served:
            assert await served.send("booked", id="1", nights=1) == []
            (first,) = await served.send("booked", id="1", nights=2)
            await served.until(lambda _: log.count("arrive") == 1, first)
            (second,) = await served.send("booked", id="1", nights=2)
            await served.send("called.off", id="1")
            return [(await served.ended(run_id)).status for run_id in (first, second)]

    assert run(scenario()) == ["cancelled", "cancelled"]
    assert log.count("arrive") == 1, "the second one was still waiting for its slot"


@pytest.mark.ci
def test_of_an_end_and_a_cancel_at_once_one_is_true(run, log, each_url):
    """Many runs whose last event and whose cancel are posted together: each is either completed or cancelled, none is stuck."""

    async def scenario():
        async with engine(BOOKINGS, each_url, skip_time=False) as served:
            runs = [(await _booked(served, str(number)))["waiting"] for number in range(40)]
            for run_id in runs:
                await served.reaches(run_id, "waiting")
            posts = [served.send(name, id=str(number)) for number in range(40) for name in ("go", "called.off")]
            await asyncio.gather(*posts)
            return [(await served.ended(run_id)).status for run_id in runs]

    assert set(run(scenario())) <= {"completed", "cancelled"}
