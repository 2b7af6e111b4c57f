"""Runs that go wrong inside the engine's own rules: too long a transition, a stored value that cannot be read."""

from __future__ import annotations

from flowgraph_runtime.engine import commands as c
from flowgraph_runtime.engine.inputs import StepDone
from tests.engine.driver import drive
from tests.engine.sources import Hand, calls_of, compiled

ENDLESS = """
@subflow
async def endless(n: int) -> int:
    try:
        await add(n)
        while n >= 0:
            n += 1
        return n
    finally:
        await note("never")

@subflow
async def asleep() -> None:
    try:
        await sleep("1h")
    finally:
        await note("never either")
"""


def test_a_transition_that_is_too_long_ends_the_run_and_takes_everything_back() -> None:
    body = ENDLESS + "@workflow\nasync def flow() -> None:\n    await parallel(endless(1), asleep(), note('x'))\n"
    hand = Hand(compiled(body))
    hand.done("add", 2)
    timer, abandoned, end = hand.last.commands
    assert timer == c.ClearTimer(3)
    assert abandoned == c.AbandonStep(4, True)
    assert isinstance(end, c.EndRun)
    assert end.status == "failed"
    assert "TransitionTooLong" in end.payload
    assert not hand.state.pending


def test_its_failure_handler_still_runs() -> None:
    compilation = compiled(
        ENDLESS
        + """
@subflow
async def tell(trigger: dict[str, int], error: Exception) -> None:
    await note(f"{error}"[:31])

@workflow(on_failure=tell)
async def flow() -> None:
    await endless(1)
"""
    )
    assert drive(compilation, "flow").status == "failed"
    assert calls_of(compilation) == ["add 1 1", "the code between two suspensions"[:31]]


def test_a_result_whose_class_is_gone_is_an_error_of_the_call() -> None:
    hand = Hand(
        compiled(
            """
@workflow
async def flow() -> str:
    try:
        await add(1)
    except ValueError as error:
        return str(error)
    return "read"
"""
        )
    )
    hand.give(StepDone(1, 1, '{"$model":"Gone","v":{}}'))
    (end,) = hand.last.commands
    assert isinstance(end, c.EndRun)
    assert "class 'Gone' of a stored value is not known" in end.payload
