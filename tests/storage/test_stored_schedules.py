"""Schedules are rows: a tick has one run whoever fires it, a deployment keeps or retires them, what is skipped is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from flowgraph_runtime.clock import ManualClock, SystemClock
from flowgraph_runtime.moments import microseconds
from flowgraph_runtime.records import Transition
from flowgraph_runtime.schedules import CATCH_UP_LIMIT, Schedule
from flowgraph_runtime.storage import StorageError, Store, UnknownMachine
from flowgraph_runtime.storage.schedules import ScheduleRow
from tests.storage.site import SECOND, Site

MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
START = microseconds(datetime(2027, 3, 1, 8, 30, tzinfo=UTC))
NINE = START + HOUR // 2
HOURLY = Schedule("pay", "0 * * * *", "UTC")
_TICKS = text("SELECT r.id, r.scheduled_at, r.created_at FROM fg_run r WHERE r.schedule IS NOT NULL ORDER BY r.number")


@pytest.fixture
def site(site: Site) -> Site:
    """It is half past eight."""
    site.clock.set(START)
    return site


def serve(site: Site, *schedules: Schedule) -> list[int]:
    return site.run(site.store.schedules.serve("pay", "m_1", schedules))


def fire(site: Site, numbers: Sequence[int], at: int | None = None) -> int:
    if at is not None:
        site.clock.set(at)
    return site.run(site.store.schedules.fire(numbers))


def rows(site: Site) -> list[ScheduleRow]:
    return site.run(site.store.schedules.of_workflow("pay"))


def ticks(site: Site) -> list[int]:
    """Scheduled times of the runs, as hours after nine."""
    return [(at - NINE) // HOUR for _, at, _ in site.store.read(lambda connection: connection.execute(_TICKS).all())]


def test_a_schedule_begins_with_the_first_tick_after_the_deployment(site: Site) -> None:
    numbers = serve(site, HOURLY)
    assert [(row.schedule, row.next_at, row.due, row.last_at, row.skipped) for row in rows(site)] == [
        (HOURLY, NINE, NINE, None, ())
    ]
    assert site.run(site.store.schedules.next_due(numbers)) == NINE
    assert site.run(site.store.schedules.next_due([])) is None
    assert fire(site, numbers, NINE - 1) == 0
    assert ticks(site) == []


def test_a_due_tick_starts_a_run_that_can_be_claimed(site: Site) -> None:
    numbers = serve(site, replace(HOURLY, takes_time=True))
    assert fire(site, numbers, NINE + 7) == 1
    assert fire(site, numbers) == 0
    (run,) = site.run(site.store.claim(site.epoch, 10))
    assert (run.id, run.workflow, run.machine) == (HOURLY.run_id(NINE), "pay", "m_1")
    assert run.input == '[{"$datetime":"2027-03-01T09:00:00+00:00","zone":"UTC"}]'
    assert (run.created_at, run.received_at) == (NINE + 7, NINE + 7)
    assert [(news.created, news.ready) for news in site.news if news.created] == [([run.id], [run.id])]
    (row,) = rows(site)
    assert (row.last_at, row.next_at) == (NINE, NINE + HOUR)


def test_only_the_schedules_given_are_fired(site: Site) -> None:
    numbers = serve(site, HOURLY, replace(HOURLY, zone="Europe/Paris"))
    assert fire(site, numbers[:1], NINE) == 1
    assert fire(site, [], NINE + 5 * HOUR) == 0
    assert ticks(site) == [0]


def test_a_deployment_of_the_same_schedule_keeps_its_place_and_takes_new_options(site: Site) -> None:
    first = serve(site, HOURLY)
    site.clock.set(NINE + HOUR + MINUTE)
    assert serve(site, replace(HOURLY, catch_up="all", overlap="skip", jitter=5)) == first
    (row,) = rows(site)
    assert (row.next_at, row.schedule.catch_up, row.schedule.overlap, row.schedule.jitter) == (NINE, "all", "skip", 5)


def test_a_changed_expression_begins_now_and_the_old_one_is_retired(site: Site) -> None:
    old = serve(site, HOURLY)
    site.clock.set(NINE + HOUR + MINUTE)
    half = replace(HOURLY, expression="30 * * * *")
    new = serve(site, half)
    assert new != old
    assert [(row.schedule, row.next_at) for row in rows(site)] == [(half, NINE + HOUR + HOUR // 2)]
    assert site.run(site.store.schedules.next_due([*old, *new])) == NINE + HOUR + HOUR // 2
    assert fire(site, old, NINE + 9 * HOUR) == 0
    assert ticks(site) == []


def test_a_schedule_that_comes_back_begins_now(site: Site) -> None:
    numbers = serve(site, HOURLY)
    serve(site)
    assert rows(site) == []
    site.clock.set(NINE + 3 * HOUR + MINUTE)
    assert serve(site, HOURLY) == numbers
    (row,) = rows(site)
    assert (row.next_at, row.last_at) == (NINE + 4 * HOUR, None)


def test_schedules_of_one_workflow_do_not_retire_those_of_another(site: Site) -> None:
    numbers = serve(site, HOURLY)
    site.run(site.store.save_machine("m_2", "mail", "{}", "{}"))
    other = replace(HOURLY, workflow="mail")
    numbers += site.run(site.store.schedules.serve("mail", "m_2", [other]))
    assert fire(site, numbers, NINE) == 2
    assert sorted(run.workflow for run in site.run(site.store.claim(site.epoch, 10))) == ["mail", "pay"]


def test_a_machine_that_is_not_stored_is_refused(site: Site) -> None:
    with pytest.raises(UnknownMachine):
        site.run(site.store.schedules.serve("pay", "m_nowhere", [HOURLY]))
    assert rows(site) == []


@pytest.mark.parametrize(
    ("catch_up", "expected", "skipped"),
    [("skip", [], [(0, 5, 6)]), ("latest", [5], [(0, 4, 5)]), ("all", [0, 1, 2, 3, 4, 5], [])],
)
def test_ticks_that_were_missed_while_nobody_was_there(
    site: Site, catch_up: str, expected: list[int], skipped: list[tuple[int, int, int]]
) -> None:
    numbers = serve(site, replace(HOURLY, catch_up=catch_up))
    assert fire(site, numbers, NINE + 5 * HOUR + 2 * MINUTE) == 1
    assert ticks(site) == expected
    (row,) = rows(site)
    assert [((skip.first - NINE) // HOUR, (skip.last - NINE) // HOUR, skip.count) for skip in row.skipped] == skipped
    assert all("missed" in skip.reason for skip in row.skipped)
    assert fire(site, numbers, NINE + 6 * HOUR) == 1
    assert ticks(site) == [*expected, 6]


def test_catching_up_has_a_limit_and_the_rest_is_recorded(site: Site) -> None:
    numbers = serve(site, replace(HOURLY, catch_up="all"))
    fire(site, numbers, NINE + 300 * HOUR - MINUTE - 1)
    assert ticks(site) == list(range(300 - CATCH_UP_LIMIT, 300))
    (row,) = rows(site)
    assert [skip.count for skip in row.skipped] == [300 - CATCH_UP_LIMIT]


def test_a_tick_is_skipped_while_an_earlier_run_is_not_over(site: Site) -> None:
    numbers = serve(site, replace(HOURLY, overlap="skip"))
    fire(site, numbers, NINE)
    (run,) = site.run(site.store.claim(site.epoch, 10))
    fire(site, numbers, NINE + HOUR)
    assert ticks(site) == [0]
    (row,) = rows(site)
    (skip,) = row.skipped
    assert (skip.first, skip.last, skip.count) == (NINE + HOUR, NINE + HOUR, 1)
    assert run.id in skip.reason
    site.commit(Transition(run.id, status="completed", result="null"))
    fire(site, numbers, NINE + 2 * HOUR)
    assert ticks(site) == [0, 2]


def test_a_tick_cancels_the_earlier_run(site: Site) -> None:
    numbers = serve(site, replace(HOURLY, overlap="cancel_old"))
    fire(site, numbers, NINE)
    (run,) = site.run(site.store.claim(site.epoch, 10))
    fire(site, numbers, NINE + HOUR)
    fire(site, numbers, NINE + 2 * HOUR)
    assert ticks(site) == [0, 1, 2]
    assert [(row.kind, row.payload) for row in site.run(site.store.inbox([run.id]))] == [
        ("cancel", "a later tick of its schedule has started a run")
    ]
    statuses = {row.id: row.status for row in site.run(site.store.runs())[0]}
    assert [statuses[HOURLY.run_id(NINE + hours * HOUR)] for hours in (1, 2)] == ["cancelling", "queued"]


def test_the_jitter_delays_the_run_and_not_its_scheduled_time(site: Site) -> None:
    schedule = replace(HOURLY, jitter=20 * MINUTE)
    numbers = serve(site, schedule)
    due = schedule.due(NINE)
    assert NINE < due < NINE + 20 * MINUTE
    assert site.run(site.store.schedules.next_due(numbers)) == due
    assert fire(site, numbers, due - 1) == 0
    assert fire(site, numbers, due) == 1
    assert ticks(site) == [0]
    assert rows(site)[0].due == schedule.due(NINE + HOUR)


def test_a_clock_that_goes_back_fires_no_tick_again(site: Site) -> None:
    numbers = serve(site, HOURLY)
    fire(site, numbers, NINE + 2 * HOUR)
    site.store.close()
    site.clock = ManualClock(NINE - 5 * MINUTE)
    site.store = site.another()
    assert fire(site, numbers) == 0
    serve(site)
    assert serve(site, HOURLY) == numbers  # retired and back again, by this clock before the ticks that it has had
    assert rows(site)[0].next_at == NINE + 3 * HOUR
    assert ticks(site) == [2]


def test_many_schedules_that_are_due_together(site: Site) -> None:
    schedules = [replace(HOURLY, expression=f"{number % 60} {number // 60} * * *") for number in range(250)]
    numbers = serve(site, *schedules)
    site.clock.set(NINE + 24 * HOUR)
    fired = 0
    while handled := fire(site, numbers):
        fired += handled
    assert fired == 250
    assert len(ticks(site)) == 250


@pytest.mark.postgres
def test_no_tick_is_early_by_the_clock_of_the_database(emptied_url: str, runner: asyncio.Runner) -> None:
    """A process whose own clock is years ahead."""

    class Ahead(SystemClock):
        def now(self) -> int:
            return super().now() + 3 * 366 * 24 * HOUR

    store = Store.open(emptied_url, clock=Ahead())
    try:
        runner.run(store.save_machine("m_1", "pay", "{}", "{}"))
        numbers = runner.run(store.schedules.serve("pay", "m_1", [replace(HOURLY, expression="0 0 1 1 *")]))
        assert runner.run(store.schedules.next_due(numbers)) < store.clock.now()
        assert runner.run(store.schedules.fire(numbers)) == 0
    finally:
        store.close()


@pytest.mark.postgres
def test_two_processes_fire_each_tick_once(shared_site: Site) -> None:
    site, other = shared_site, shared_site.another()
    site.clock.set(START)
    schedules = [HOURLY, *(replace(HOURLY, zone=zone) for zone in ("Etc/GMT+1", "Etc/GMT+2", "Etc/GMT+3"))]
    numbers = serve(site, *schedules)

    async def round_() -> int:
        return sum(await asyncio.gather(*(store.schedules.fire(numbers) for store in (site.store, other) * 2)))

    for hours in range(25):
        site.clock.set(NINE + hours * HOUR)
        assert site.run(round_()) == len(schedules)
    assert ticks(site) == sorted(list(range(25)) * len(schedules))


@pytest.mark.postgres
def test_two_processes_that_deploy_together_have_the_same_schedules(shared_site: Site) -> None:
    site, other = shared_site, shared_site.another()
    site.clock.set(START)

    async def round_(schedules: list[Schedule]) -> list[list[int] | StorageError]:
        return list(await asyncio.gather(*(store.schedules.serve("pay", "m_1", schedules) for store in (site.store, other))))

    for number in range(25):
        one, two = site.run(round_([HOURLY, replace(HOURLY, expression=f"{number} 1 * * *")]))
        assert one == two
        assert len(rows(site)) == 2
