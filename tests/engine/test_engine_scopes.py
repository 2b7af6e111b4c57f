"""Timeouts and sagas in the engine: the commands they lead to, and what the state holds meanwhile (language page 3.4)."""

from __future__ import annotations

import json
from typing import Any

from flowgraph.codec import loads
from flowgraph_runtime.engine import commands as c
from flowgraph_runtime.engine.inputs import StepDone, TimerFired
from flowgraph_runtime.engine.state import snapshot
from tests.engine.driver import START, drive
from tests.engine.sources import Hand, calls_of, compiled

UNDOING = """
@step
async def undo(text: str) -> None:
    CALLS.append(f"undo {text}")

@step(compensate=undo)
async def do(text: str) -> str:
    CALLS.append(f"do {text}")
    return "x" * 5000
"""


def test_a_block_that_ends_in_time_takes_its_timer_back() -> None:
    hand = Hand(compiled('@workflow\nasync def flow() -> int:\n    async with timeout("1h"):\n        return await add(1)\n'))
    assert c.SetTimer(1, START + 3_600_000_000, "deadline") in hand.commands
    hand.done("add", 2)
    assert hand.last.commands == [c.ClearTimer(1), c.EndRun("completed", "2")]


def test_a_deadline_abandons_the_attempt_and_its_late_result_is_discarded() -> None:
    hand = Hand(
        compiled(
            """
@workflow
async def flow() -> int:
    try:
        async with timeout("1h"):
            return await add(1)
    except TimeoutError:
        return await add(7)
"""
        )
    )
    first = hand.running("add")
    decision = hand.give(TimerFired(1))
    assert decision.commands[0] == c.AbandonStep(first.serial, True)
    assert hand.give(StepDone(first.serial, 1, "2")).ignored
    assert hand.give(TimerFired(1)).ignored
    hand.done("add", 8)
    assert hand.last.commands == [c.EndRun("completed", "8")]


def test_a_result_that_was_committed_first_wins() -> None:
    hand = Hand(compiled('@workflow\nasync def flow() -> int:\n    async with timeout("1h"):\n        return await add(1)\n'))
    hand.done("add", 2)
    assert hand.give(TimerFired(1)).ignored
    assert hand.last.status == "completed"


def test_a_run_that_is_given_up_takes_its_deadlines_back() -> None:
    body = "async with timeout('1h'):\n        await add(1)\n        for i in range(10**9):\n            n = i\n    return n"
    hand = Hand(compiled(f"@workflow\nasync def flow(n: int) -> int:\n    {body}\n"), args=[1])
    assert hand.state.timeouts.keys() == {1}
    hand.done("add", 2)
    assert hand.last.status == "failed"
    assert c.ClearTimer(1) in hand.last.commands
    assert not hand.state.timeouts


def test_the_state_of_a_saga_grows_with_what_it_may_have_to_undo_and_nothing_else() -> None:
    compilation = compiled(
        UNDOING
        + """
@workflow
async def flow(n: int) -> int:
    async with saga():
        for i in range(n):
            await add(i)
            if i % 10 == 0:
                await do(str(i))
        await fail("end")
    return n
"""
    )
    outcome = drive(compilation, "flow", [60])
    assert outcome.status == "failed"
    assert [call for call in calls_of(compilation) if call[:4] == "undo"] == [f"undo {i}" for i in (50, 40, 30, 20, 10, 0)]
    sizes = [len(text) for text in outcome.snapshots]
    assert max(sizes) < 2_000, "neither results nor other calls are kept"
    halfway = [json.loads(text)["main"].get("scopes", []) for text in outcome.snapshots]
    assert max(len(scopes[0][1]) for scopes in halfway if scopes) == 6


def test_compensations_are_calls_of_their_own_in_the_order_of_their_visits() -> None:
    hand = Hand(
        compiled(
            UNDOING
            + """
@workflow
async def flow() -> None:
    async with saga():
        for text in ("a", "b"):
            await do(text)
        raise ValueError("end")
"""
        )
    )
    hand.done("do", "1")
    hand.done("do", "2")
    first = hand.running("undo")
    assert (first.site, first.visit, first.arguments) == ("flow/do/$undo", 1, ("b",))
    stored: dict[str, Any] = json.loads(snapshot(hand.state, hand.program))
    assert stored["main"]["wait"][0] == "group"
    hand.done("undo", None)
    second = hand.running("undo")
    assert (second.site, second.visit, second.arguments) == ("flow/do/$undo", 2, ("a",))
    hand.done("undo", None)
    (end,) = hand.last.commands
    assert isinstance(end, c.EndRun)
    assert repr(loads(end.payload, hand.program.types)) == "ValueError('end')"
