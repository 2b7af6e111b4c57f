"""Waits: which event is taken, by whom, when (language page 3.8)."""

from __future__ import annotations

from flowgraph_runtime.engine import commands as c
from tests.engine.driver import drive
from tests.engine.sources import Hand, compiled, members

ONE = """
@workflow
async def flow(n: int) -> str:
    wanted = [n]
    got = await wait_for(Ping, where=lambda p: p.n == n and p.text > "b" and p.n in wanted, timeout="1h")
    return "timeout" if got is None else got.text + got.meta.name
"""


def test_equalities_are_keys_and_the_rest_is_evaluated_by_the_engine() -> None:
    hand = Hand(compiled(ONE), args=[4])
    opened, deadline = hand.last.commands
    assert opened == c.OpenWait(1, ("ping",), (("n", "n:4"),), True)
    assert deadline == c.SetTimer(1, hand.at - 1_000_000 + 3_600_000_000, "deadline")


def test_the_earliest_event_that_fits_is_taken() -> None:
    compilation = compiled(ONE)
    ping = members(compilation)["Ping"]
    events = [ping(n=4, text="a"), ping(n=5, text="z"), ping(n=4, text="c"), ping(n=4, text="d")]
    outcome = drive(compilation, "flow", [4], events=events)
    assert outcome.result == "cping"
    assert outcome.inputs == {"event": 1}, "an event that nobody takes leaves no trace in the journal"


def test_an_event_that_comes_in_time_is_taken_and_a_later_one_is_not() -> None:
    compilation = compiled(ONE)
    ping = members(compilation)["Ping"]
    assert drive(compilation, "flow", [4], events=[(3599.0, ping(n=4, text="c"))]).result == "cping"
    assert drive(compilation, "flow", [4], events=[(3601.0, ping(n=4, text="c"))]).result == "timeout"


def test_an_event_ends_one_wait_the_older_first() -> None:
    body = """
@subflow
async def one(name: str) -> str:
    got = await wait_for(Ping, timeout="1h")
    return f"{name}: {got.n if got is not None else None}"

@workflow
async def flow() -> str:
    return " ".join(await parallel(one("a"), one("b"), one("c")))
"""
    compilation = compiled(body)
    ping = members(compilation)["Ping"]
    assert drive(compilation, "flow", events=[ping(n=1), ping(n=2)]).result == "a: 1 b: 2 c: None"
    assert drive(compilation, "flow", events=[(1.0, ping(n=1)), (2.0, ping(n=2))]).result == "a: 1 b: 2 c: None"


def test_an_error_of_where_is_raised_at_the_wait_and_the_event_stays() -> None:
    body = """
@workflow
async def flow() -> str:
    try:
        await wait_for(Ping, where=lambda p: 10 // p.n > 1, timeout="1h")
    except ZeroDivisionError:
        got = await wait_for(Ping, timeout="1h")
        return f"second wait: {got.n if got is not None else None}"
    return "none"
"""
    compilation = compiled(body)
    assert drive(compilation, "flow", events=[members(compilation)["Ping"](n=0)]).result == "second wait: 0"


def test_a_run_can_take_its_own_event_and_gets_a_copy() -> None:
    body = """
@workflow
async def flow() -> str:
    ping = Ping(n=1)
    await send(ping)
    ping.n = 2
    got = await wait_for(Ping, timeout=None)
    return f"{got.n} {ping.n}"
"""
    outcome = drive(compiled(body), "flow")
    assert outcome.result == "1 2"
    assert [event.event_name for event in outcome.sent] == ["ping"]


def test_events_of_a_run_have_ids_that_repeat() -> None:
    compilation = compiled("@workflow\nasync def flow() -> None:\n    await send(Ping(n=1))\n    await send(Ping(n=2))\n")
    first, second = Hand(compilation), Hand(compilation)
    ids = [command.event_id for command in first.commands if isinstance(command, c.EmitEvent)]
    assert ids == [command.event_id for command in second.commands if isinstance(command, c.EmitEvent)]
    assert len(set(ids)) == 2
    assert all(len(event_id) == 30 and event_id.startswith("evt_") for event_id in ids)


def test_since_now_is_passed_on() -> None:
    hand = Hand(compiled("@workflow\nasync def flow() -> None:\n    await wait_for(Ping, timeout=None, since='now')\n"))
    assert hand.last.commands == [c.OpenWait(1, ("ping",), (), False)]
