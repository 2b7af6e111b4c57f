"""What becomes of ticks that are due: on time or missed, one or many, with an earlier run still there or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

import pytest

from flowgraph.codec import TypeRegistry, loads
from flowgraph_runtime.moments import microseconds, moment
from flowgraph_runtime.schedules import CATCH_UP_LIMIT, ON_TIME, TICKS_AT_ONCE, Plan, Schedule, plan

SECOND = 1_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
NINE = microseconds(datetime(2027, 3, 1, 9, tzinfo=UTC))
HOURLY = Schedule("report", "0 * * * *", "UTC")


def counted(found: Plan) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Starts, and skips as (first, last, count), in hours after nine."""
    hours = [(at - NINE) // HOUR for at in found.starts]
    return hours, [((skip.first - NINE) // HOUR, (skip.last - NINE) // HOUR, skip.count) for skip in found.skips]


@pytest.mark.parametrize("catch_up", ["skip", "latest", "all"])
@pytest.mark.parametrize("late", [0, SECOND, ON_TIME])
def test_a_tick_that_is_fired_within_a_minute_is_on_time(catch_up: str, late: int) -> None:
    found = plan(replace(HOURLY, catch_up=catch_up), NINE, NINE + late, [])
    assert (found.next_at, found.last_at, counted(found)) == (NINE + HOUR, NINE, ([0], []))


@pytest.mark.parametrize(
    ("catch_up", "now", "starts", "skips"),
    [
        ("skip", 4.5, [], [(0, 4, 5)]),
        ("latest", 4.5, [4], [(0, 3, 4)]),
        ("all", 4.5, [0, 1, 2, 3, 4], []),
        ("skip", 4.0, [4], [(0, 3, 4)]),
        ("latest", 4.0, [4], [(0, 3, 4)]),
        ("all", 4.0, [0, 1, 2, 3, 4], []),
        ("latest", 0.5, [0], []),
        ("all", 149.5, list(range(50, 150)), [(0, 49, 50)]),
        ("latest", 149.5, [149], [(0, 148, 149)]),
    ],
)
def test_missed_ticks(catch_up: str, now: float, starts: list[int], skips: list[tuple[int, int, int]]) -> None:
    found = plan(replace(HOURLY, catch_up=catch_up), NINE, NINE + round(now * HOUR), [])
    assert counted(found) == (starts, skips)
    assert all(f'catch_up="{catch_up}"' in skip.reason and "missed" in skip.reason for skip in found.skips)
    assert found.last_at == NINE + int(now) * HOUR
    assert found.next_at == found.last_at + HOUR


def test_very_many_missed_ticks_take_several_transactions_and_none_is_forgotten() -> None:
    schedule = Schedule("beat", "* * * * *", "UTC", catch_up="all")
    ticks = 2 * TICKS_AT_ONCE + 500
    first, now, handled, transactions, starts = NINE, NINE + ticks * MINUTE - 1, 0, 0, []
    while schedule.due(first) <= now:
        transactions += 1
        found = plan(schedule, first, now, [])
        handled += len(found.starts) + sum(skip.count for skip in found.skips)
        starts += found.starts
        assert found.next_at == found.last_at + MINUTE
        first = found.next_at
    assert transactions == 3
    assert handled == ticks
    on_time = 1
    assert starts == [NINE + number * MINUTE for number in range(ticks - CATCH_UP_LIMIT - on_time, ticks)]


@pytest.mark.parametrize(
    ("overlap", "live", "starts", "skips", "cancels"),
    [
        ("allow", [], [0, 1, 2], [], []),
        ("allow", ["run_a"], [0, 1, 2], [], []),
        ("skip", [], [0], [(1, 2, 2)], []),
        ("skip", ["run_a"], [], [(0, 2, 3)], []),
        ("cancel_old", [], [2], [(0, 1, 2)], []),
        ("cancel_old", ["run_a", "run_b"], [2], [(0, 1, 2)], ["run_a", "run_b"]),
    ],
)
def test_overlap(overlap: str, live: list[str], starts: list[int], skips: list[tuple[int, int, int]], cancels: list[str]) -> None:
    found = plan(replace(HOURLY, catch_up="all", overlap=overlap), NINE, NINE + 2 * HOUR, live)
    assert counted(found) == (starts, skips)
    assert found.cancels == cancels
    assert all("overlap" in skip.reason for skip in found.skips)


def test_a_tick_that_is_not_caught_up_cancels_nothing() -> None:
    found = plan(replace(HOURLY, catch_up="skip", overlap="cancel_old"), NINE, NINE + HOUR // 2, ["run_a"])
    assert (found.starts, found.cancels) == ([], [])


def test_the_jitter_of_a_tick_is_the_same_everywhere_and_spreads() -> None:
    schedule = replace(HOURLY, jitter=10 * MINUTE)
    ticks = list(islice(schedule.after(NINE), 50))
    delays = [schedule.due(at) - at for at in ticks]
    assert delays == [replace(schedule).due(at) - at for at in ticks]
    assert all(0 <= delay < 10 * MINUTE for delay in delays)
    assert max(delays) - min(delays) > 5 * MINUTE
    assert len(set(delays)) == 50
    assert [replace(schedule, workflow="other").due(at) - at for at in ticks] != delays


def test_a_tick_is_not_fired_before_its_jitter_is_over() -> None:
    schedule = replace(HOURLY, jitter=10 * MINUTE, catch_up="skip")
    due = schedule.due(NINE)
    assert due > NINE
    assert plan(schedule, NINE, due, []).starts == [NINE]
    assert plan(schedule, NINE, due + ON_TIME, []).starts == [NINE]


def test_a_tick_with_jitter_that_is_longer_than_the_interval_waits_for_the_one_before_it() -> None:
    schedule = Schedule("beat", "* * * * *", "UTC", catch_up="all", jitter=10 * MINUTE)
    first, now, starts = NINE, NINE, []
    while now < NINE + 30 * MINUTE:
        now += 5 * SECOND
        if schedule.due(first) <= now:
            found = plan(schedule, first, now, [])
            starts += found.starts
            first = found.next_at
    assert starts == [NINE + number * MINUTE for number in range(len(starts))]
    assert len(starts) > 15


def test_a_run_gets_the_scheduled_time_in_the_zone_of_the_schedule() -> None:
    schedule = Schedule("report", "0 9 * * *", "Europe/Paris", takes_time=True)
    at = next(schedule.after(microseconds(datetime(2027, 7, 1, tzinfo=UTC))))
    (given,) = loads(schedule.input(at), TypeRegistry())
    assert given == moment(at)
    assert (given.hour, str(given.tzinfo)) == (9, "Europe/Paris")
    assert replace(schedule, takes_time=False).input(at) == "[]"


def test_ids_of_runs_are_those_of_their_ticks() -> None:
    ids = [HOURLY.run_id(NINE), HOURLY.run_id(NINE + HOUR), replace(HOURLY, zone="Etc/UTC").run_id(NINE)]
    assert len(set(ids)) == 3
    assert ids[0] == replace(HOURLY, overlap="skip", jitter=5).run_id(NINE)
    assert all(id.startswith("run_") and len(id) == 30 for id in ids)
    assert ids[0] < ids[1]


def test_a_schedule_of_leap_days() -> None:
    leap = Schedule("leap", "0 0 29 2 *", "UTC")
    at = next(leap.after(NINE))
    assert moment(at) == datetime(2028, 2, 29, tzinfo=UTC)
    assert plan(leap, at, at, []).next_at == microseconds(datetime(2032, 2, 29, tzinfo=UTC))
