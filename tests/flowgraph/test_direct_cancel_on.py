"""`cancel_on=` in a direct run: an event cancels the runs that it is about, as the machine does it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowgraph import Cancelled, Event, on, sleep, step, wait_for, workflow
from flowgraph.direct import direct_run
from flowgraph.virtual import run_virtual

CALLS: list[str] = []


class Booked(Event, name="booked"):
    id: str


class CalledOff(Event, name="called.off"):
    id: str
    parts: int = 1


@step
async def note(text: str) -> None:
    CALLS.append(text)


@step
async def undo(trigger: Booked) -> None:
    CALLS.append(f"undo {trigger.id}")


@workflow(on=Booked, on_cancel=undo, cancel_on=[on(CalledOff, where=lambda b, e: b.id == e.id and 4 // e.parts > 1)])
async def remind(event: Booked) -> str:
    await note("begin")
    try:
        await sleep("30d")
    finally:
        await note("end")
    late = await wait_for(CalledOff, timeout="1d")
    return "none" if late is None else late.id


def outcome(*events: Event, later: dict[int, Event]) -> Any:
    """Run it with events in the stream, and others that come after so many seconds."""
    CALLS.clear()

    async def run() -> Any:
        async with direct_run(events=events) as world:
            for seconds, event in later.items():
                asyncio.get_running_loop().call_later(seconds, world.publish, event)
            return await remind(Booked(id="1"))

    return run_virtual(run())


def test_an_event_about_the_run_cancels_it() -> None:
    with pytest.raises(Cancelled):
        outcome(later={60: CalledOff(id="2"), 120: CalledOff(id="1")})
    assert CALLS == ["begin", "end", "undo 1"]


def test_one_that_has_come_before_keeps_the_body_from_beginning() -> None:
    with pytest.raises(Cancelled):
        outcome(CalledOff(id="1"), later={})
    assert CALLS == ["undo 1"]


def test_what_is_not_about_the_run_or_cannot_be_compared_is_left_to_its_waits() -> None:
    assert outcome(later={60: CalledOff(id="1", parts=3), 120: CalledOff(id="1", parts=0)}) == "1"
    assert CALLS == ["begin", "end"]
