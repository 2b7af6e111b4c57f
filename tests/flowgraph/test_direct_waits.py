"""The direct run: events waited for, early and late, and sleeping."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from flowgraph import Event, fan_out, now, parallel, send, sleep, sleep_until, step, wait_for, workflow
from flowgraph.direct import direct_run
from flowgraph.durations import DurationError
from flowgraph.virtual import run_virtual

START = datetime(2026, 3, 1, tzinfo=UTC)


class Happened(Event):
    n: int


class Paid(Happened, name="paid"):
    pass


class Shipped(Happened, name="shipped"):
    pass


def given(main: Coroutine[Any, Any, Any], *events: Event, later: dict[int, Event] | None = None) -> Any:
    """Run `main` with events in the stream, and others that come after so many seconds."""

    async def run() -> Any:
        async with direct_run(events=events) as world:
            loop = asyncio.get_running_loop()
            for seconds, event in (later or {}).items():
                loop.call_later(seconds, world.publish, event)
            return await main

    return run_virtual(run(), start=START)


@workflow
async def one(n: int) -> tuple[int | None, timedelta]:
    paid = await wait_for(Paid, where=lambda e: e.n == n, timeout="1h")
    return (None if paid is None else paid.n), now() - START


def test_a_late_event_an_early_one_and_none() -> None:
    assert given(one(1), later={5: Paid(n=2), 60: Paid(n=1)}) == (1, timedelta(minutes=1))
    assert given(one(1), Paid(n=2), Paid(n=1)) == (1, timedelta())
    assert given(one(1), Paid(n=2), Shipped(n=1), later={3601: Paid(n=1)}) == (None, timedelta(hours=1))


@workflow
async def two() -> list[int | None]:
    await sleep("10s")
    first = await wait_for(Paid, timeout="1m")
    second = await wait_for(Paid, timeout="1m")
    third = await wait_for(Paid, timeout="1m")
    return [e and e.n for e in (first, second, third)]


def test_a_run_takes_each_event_once_in_the_order_of_the_stream() -> None:
    assert given(two(), Paid(n=1), later={5: Paid(n=2)}) == [1, 2, None]


@workflow
async def only_now() -> int | None:
    await sleep("10s")
    paid = await wait_for(Paid, timeout="1m", since="now")
    return paid and paid.n


def test_since_now_sees_nothing_of_before() -> None:
    assert given(only_now(), Paid(n=1), later={5: Paid(n=2)}) is None
    assert given(only_now(), Paid(n=1), later={15: Paid(n=3)}) == 3


@workflow
async def rivals() -> tuple[Happened | None, Happened | None]:
    return await parallel(wait_for(Happened, timeout="1h"), wait_for(Paid, timeout="1h"))


def test_the_older_wait_takes_first_and_a_base_class_takes_all_its_events() -> None:
    assert given(rivals(), later={1: Paid(n=1), 2: Shipped(n=2), 3: Paid(n=3)}) == (Paid(n=1), Paid(n=3))


@workflow
async def each(numbers: list[int]) -> list[int]:
    found = await fan_out(wait_for(Paid, where=lambda e: e.n == n, timeout=None) for n in numbers)  # noqa: B023
    return [e.n for e in found]


def test_what_where_captures_is_as_it_was_at_the_call() -> None:
    assert given(each([1, 2, 3]), later={1: Paid(n=3), 2: Paid(n=1), 3: Paid(n=2)}) == [1, 2, 3]


@workflow
async def own() -> int | None:
    await send(Paid(n=4))
    paid = await wait_for(Paid, timeout="1s")
    return paid and paid.n


def test_a_run_may_take_what_it_sent_itself() -> None:
    assert run_virtual(own()) == 4


@workflow
async def sent_by_value() -> tuple[int, list[int]]:
    event = Paid(n=1)
    await send(event)
    event.n = 2
    paid = await wait_for(Paid, timeout=None)
    paid.n = 7
    return event.n, [paid.n]


def test_events_go_by_value() -> None:
    assert run_virtual(sent_by_value()) == (2, [7])


@workflow
async def child() -> int | None:
    paid = await wait_for(Paid, timeout="1m")
    return paid and paid.n


@workflow
async def parent() -> tuple[int | None, int | None]:
    await sleep("10s")
    mine = await wait_for(Paid, timeout="1m")
    return await child(), mine and mine.n


def test_a_child_sees_the_stream_from_its_own_start() -> None:
    assert given(parent(), Paid(n=1), Paid(n=2), later={20: Paid(n=3)}) == (3, 1)


@workflow
async def broken() -> str:
    try:
        await wait_for(Paid, where=lambda e: 1 // e.n > 0, timeout=None)
    except ZeroDivisionError:
        return "told"
    return "missed"


def test_an_error_in_where_is_raised_at_the_wait() -> None:
    assert given(broken(), Paid(n=0)) == "told"
    assert given(broken(), later={3: Paid(n=0)}) == "told"


@workflow
async def until(when: datetime) -> timedelta:
    await sleep_until(when)
    return now() - START


def test_sleep_until_needs_a_zone_and_passes_at_once_when_it_is_late() -> None:
    assert given(until(START + timedelta(days=3))) == timedelta(days=3)
    assert given(until(datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("Europe/Paris")))) == timedelta(hours=11)
    assert given(until(START - timedelta(days=3))) == timedelta()
    with pytest.raises(ValueError, match="no time zone: add tzinfo=UTC or"):
        given(until(datetime(2026, 3, 1)))


def test_a_bad_duration_is_refused() -> None:
    @workflow
    async def main() -> None:
        await sleep("soon")

    with pytest.raises(DurationError, match="'soon' is no duration"):
        run_virtual(main())


def test_the_clock_can_be_given() -> None:
    @step
    async def nothing() -> None: ...

    @workflow
    async def main() -> datetime:
        await nothing()
        return now()

    async def run() -> datetime:
        async with direct_run(clock=lambda: START):
            return await main()

    assert asyncio.run(run()) == START
