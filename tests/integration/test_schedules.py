"""Workflows that a schedule starts, on the real service: in virtual time, over restarts, by two servers, and by hand."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from flowgraph_runtime.clock import SystemClock
from flowgraph_runtime.errors import InputRejected
from flowgraph_runtime.moments import microseconds, moment, rfc3339
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.timers import SkippingClock
from flowgraph_runtime.views import run_view
from tests.integration.harness import Engine, engine

DAY = 86_400_000_000
REPORTS = """
class Asked(Event, name="asked"):
    who: str

@step
async def send_report(text: str) -> str:
    LOG.enter("report")
    return text

@workflow(on=Cron("0 9 * * *", tz="Europe/Paris"))
async def daily(at: datetime) -> str:
    return await send_report(f"{at.hour} o'clock {at.tzname()}")

@workflow(on=(Asked, Cron("@weekly", catch_up="all")))
async def either(given: Asked | datetime) -> str:
    return await send_report(given.who if isinstance(given, Asked) else "the schedule")

@workflow
async def naps(days: int) -> int:
    await sleep(timedelta(days=days))
    return days
"""
HANGING = """
class Go(Event, name="go"):
    key: str

@workflow(on=Cron("0 * * * *", overlap="{overlap}", catch_up="all"))
async def hourly() -> str:
    go = await wait_for(Go, where=lambda g: g.key == "k", timeout=None)
    return go.key
"""


async def next_at(served: Engine, workflow: str) -> int:
    (row,) = await served.store.schedules.of_workflow(workflow)
    assert row.next_at is not None
    return row.next_at


async def skip_to(served: Engine, at: int) -> None:
    """Let it be `at`, and wait until everything that is due by then has been fired."""
    served.service.clock.skip_to(at)
    while True:
        due = [row.due for name in served.service.registry.current for row in await served.store.schedules.of_workflow(name)]
        if all(moment_ is None or moment_ > at for moment_ in due):
            return
        await asyncio.sleep(0.002)


async def runs_of(served: Engine, workflow: str) -> list[RunRow]:
    """The runs of a workflow, oldest first."""
    found, _ = await served.store.runs(workflow=workflow, limit=500)
    return found[::-1]


@pytest.mark.feature(18)
def test_a_tick_starts_a_run_with_its_time(run, log, each_url):
    async def scenario():
        async with engine(REPORTS, each_url) as served:
            at = await next_at(served, "daily")
            await skip_to(served, at)
            (row,) = await runs_of(served, "daily")
            ended = await served.ended(row.id)
            assert ended.received_at == ended.created_at >= at
            assert row.scheduled_at == at
            assert run_view(ended, served.service.registry.types).scheduled_at == rfc3339(at)
            assert await next_at(served, "daily") > at
            return ended.status, json.loads(ended.result)

    status, result = run(scenario())
    assert status == "completed"
    assert result in ("9 o'clock CET", "9 o'clock CEST")
    assert log.count("report") == 1


def test_schedules_go_on_while_a_run_sleeps_in_virtual_time(run, log, url):
    async def scenario():
        async with engine(REPORTS, url) as served:
            napping = await served.start("naps", days=15)
            assert await served.outcome(napping) == ("completed", 15)
            reports = await runs_of(served, "daily")
            scheduled = [datetime.fromisoformat(json.loads(row.input)[0]["$datetime"]) for row in reports]
            weekly = await runs_of(served, "either")
            return scheduled, len(weekly)

    scheduled, weekly = run(scenario())
    assert len(scheduled) in (14, 15, 16)
    assert {b.date() - a.date() for a, b in pairwise(scheduled)} == {timedelta(days=1)}
    assert weekly in (2, 3)


def test_time_does_not_skip_for_schedules_alone(run, log, url):
    async def scenario():
        async with engine(REPORTS, url) as served:
            before = served.service.clock.now()
            assert await served.outcome(await served.start("naps", days=0)) == ("completed", 0)
            await asyncio.sleep(0.1)
            return served.service.clock.now() - before, await runs_of(served, "daily")

    passed, runs = run(scenario())
    assert passed < DAY
    assert runs == []


@pytest.mark.feature(18)
def test_a_server_that_was_away_catches_up_by_the_policies(run, log, each_url):
    async def first():
        async with engine(REPORTS, each_url) as served:
            return await next_at(served, "daily"), await next_at(served, "either")

    async def second(daily, weekly):
        clock = SkippingClock(SystemClock())
        clock.skip_to(max(daily, weekly) + 20 * DAY + 3_600_000_000)
        async with engine(REPORTS, each_url, clock=clock) as served:
            await skip_to(served, clock.now())
            (latest,) = await runs_of(served, "daily")
            every = await runs_of(served, "either")
            for row in [latest, *every]:
                assert (await served.ended(row.id)).status == "completed"
            (row,) = await served.store.schedules.of_workflow("daily")
            return json.loads(latest.input)[0]["$datetime"], row, len(every)

    daily, weekly = run(first())
    at, row, every = run(second(daily, weekly))
    (skip,) = row.skipped
    assert microseconds(datetime.fromisoformat(at)) == row.last_at
    assert (skip.first, skip.count >= 20, "missed" in skip.reason) == (daily, True, True)
    assert moment(skip.last) < moment(row.last_at) < moment(row.next_at)
    assert every in (3, 4, 5)


def test_what_started_a_run_of_both_kinds(run, log, url):
    async def scenario():
        async with engine(REPORTS, url) as served:
            (by_event,) = await served.send("asked", who="ada")
            await skip_to(served, await next_at(served, "either"))
            by_time = next(row.id for row in await runs_of(served, "either") if row.id != by_event)
            return await served.outcome(by_event), await served.outcome(by_time)

    assert run(scenario()) == (("completed", "ada"), ("completed", "the schedule"))


def test_a_start_by_hand_is_scheduled_for_now_and_takes_no_input(run, log, url):
    async def scenario():
        async with engine(REPORTS, url) as served:
            before = datetime.now(UTC)
            run_id, _ = await served.service.intake.start("daily", {})
            row = await served.ended(run_id)
            with pytest.raises(InputRejected, match="started by its schedule"):
                await served.service.intake.start("daily", {"at": "2027-01-01T09:00:00Z"})
            return before, datetime.fromisoformat(json.loads(row.input)[0]["$datetime"]), row.status

    before, given, status = run(scenario())
    assert status == "completed"
    assert timedelta(0) <= given - before < timedelta(minutes=5)


def test_a_schedules_handlers_get_the_scheduled_time_or_that_of_the_start(run, log, url):
    text = """
@step(retries=0)
async def refuse() -> None:
    raise ValueError("no")

@step
async def told(trigger: Any, error: Exception) -> None:
    LOG.note(trigger)

@workflow(on=Cron("0 9 * * *", tz="Asia/Tokyo"), on_failure=told)
async def timed(*, at: datetime) -> None:
    await refuse()

@workflow(on=Cron("0 9 29 2 *"), on_failure=told)
async def bare() -> None:
    await sleep("2h")
    await refuse()
"""

    async def scenario():
        async with engine(text, url) as served:
            await skip_to(served, await next_at(served, "timed"))
            timed = await served.ended((await runs_of(served, "timed"))[0].id)
            bare = await served.ended(await served.start("bare"))
            return timed, bare

    timed, bare = run(scenario())
    assert (timed.status, bare.status) == ("failed", "failed")
    assert [microseconds(trigger) for trigger in log.notes] == [timed.scheduled_at, bare.started_at]
    assert str(log.notes[0].tzinfo) == "Asia/Tokyo"


@pytest.mark.feature(18)
@pytest.mark.parametrize(
    ("overlap", "statuses"),
    [
        ("allow", ["completed", "completed", "completed"]),
        ("skip", ["completed"]),
        ("cancel_old", ["cancelled", "cancelled", "completed"]),
    ],
)
def test_overlap(run, log, url, overlap, statuses):
    async def scenario():
        async with engine(HANGING.format(overlap=overlap), url) as served:
            at = await next_at(served, "hourly")
            for hours in range(3):
                await skip_to(served, at + hours * 3_600_000_000)
                latest = (await runs_of(served, "hourly"))[-1]
                await served.reaches(latest.id, "waiting")
            await served.send("go", key="k")
            return [(await served.ended(row.id)).status for row in await runs_of(served, "hourly")]

    assert run(scenario()) == statuses


def test_a_wait_of_a_late_run_sees_events_from_its_creation_on(run, log, url):
    async def first():
        async with engine(HANGING.format(overlap="allow"), url) as served:
            return await next_at(served, "hourly")

    async def second(at):
        clock = SkippingClock(SystemClock())
        clock.skip_to(at + 1_000_000)
        async with engine(HANGING.format(overlap="allow"), url, worker=False, clock=clock) as served:
            await served.send("go", key="k")  # after the scheduled time, before there is a run
        clock.skip_to(at + 1_800_000_000)
        async with engine(HANGING.format(overlap="allow"), url, clock=clock) as served:
            await skip_to(served, clock.now())
            (row,) = await runs_of(served, "hourly")
            await served.reaches(row.id, "waiting")
            await served.send("go", key="k")
            return await served.outcome(row.id)

    assert run(second(run(first()))) == ("completed", "k")


class Shifted(SystemClock):
    """The computer's clock, put forward."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self._by = by

    def now(self) -> int:
        return super().now() + self._by


@pytest.mark.ci
def test_the_alarm_of_a_server_fires_at_the_minute(run, log, url):
    """Real time, by a clock that is put forward to just before the minute."""
    text = '@workflow(on=Cron("* * * * *"))\nasync def beat(at: datetime) -> str:\n    return at.isoformat()'
    now = SystemClock().now()
    clock = Shifted(58_500_000 - now % 60_000_000)

    async def scenario():
        async with engine(text, url, clock=clock) as served:
            rows = await runs_of(served, "beat")
            while not rows:
                await asyncio.sleep(0.02)
                rows = await runs_of(served, "beat")
            ended = await served.ended(rows[0].id)
            return ended.created_at, microseconds(datetime.fromisoformat(json.loads(ended.result)))

    created, scheduled = run(scenario())
    assert scheduled % 60_000_000 == 0
    assert 0 <= created - scheduled < 60_000_000


LEASE = 3_600.0 * 24 * 365
"""Seconds: the clock that both share jumps by a day, which must not look like a worker that fell silent."""


@pytest.mark.ci
@pytest.mark.postgres
def test_two_servers_with_the_same_code_start_one_run_a_tick(run, log, postgres_url):
    async def scenario():
        clock = SkippingClock(SystemClock())
        async with (
            engine(REPORTS, postgres_url, clock=clock, node="one", lease=LEASE) as one,
            engine(REPORTS, postgres_url, clock=clock, node="two", lease=LEASE) as two,
        ):
            for _ in range(10):
                await skip_to(one, await next_at(two, "daily"))
            rows = await runs_of(one, "daily")
            for row in rows:
                assert (await two.ended(row.id)).status == "completed"
            return len(rows)

    assert run(scenario()) == 10
