"""Groups: order of results, the first failure, what becomes of the others (language page 3.4, rulings 22 and 48)."""

from __future__ import annotations

import pytest

from flowgraph_runtime.engine import commands as c
from tests.engine.driver import drive
from tests.engine.sources import Hand, calls_of, compiled

FLOWS = """
@subflow
async def slow(text: str) -> str:
    try:
        await sleep("1h")
        await note(f"{text} slept")
    finally:
        await note(f"{text} cleaned")
    return text

@subflow
async def working(text: str) -> str:
    try:
        await note(f"{text} works")
        await note(f"{text} works on")
    finally:
        await note(f"{text} cleaned")
    return text

@subflow
async def at_once(text: str) -> int:
    raise KeyError(text)

"""


@pytest.mark.feature(13)
@pytest.mark.parametrize("seed", range(6))
def test_results_come_in_argument_order(seed: int) -> None:
    group = "parallel(add(1), slow('a'), add(3), parallel(add(4), add(5)))"
    body = FLOWS + f"@workflow\nasync def flow() -> str:\n    return str(await {group})\n"
    assert drive(compiled(body), "flow", schedule_seed=seed).result == "(2, 'a', 4, (5, 6))"


def test_every_branch_begins_before_an_outcome_is_seen() -> None:
    body = FLOWS + "@workflow\nasync def flow() -> None:\n    await parallel(at_once('x'), add(1), parallel(add(2), add(3)))\n"
    hand = Hand(compiled(body))
    assert sorted(hand.steps()) == ["add", "add", "add"]
    assert [command.interrupt for command in hand.last.commands if isinstance(command, c.AbandonStep)] == [False] * 3


@pytest.mark.feature(13)
def test_the_failure_waits_for_running_attempts_whose_outcome_is_not_used() -> None:
    body = FLOWS + "@workflow\nasync def flow() -> None:\n    await parallel(fail('first'), flaky(3), add(1))\n"
    hand = Hand(compiled(body))
    assert hand.failed("fail", ValueError("first"), final=True).commands == [c.AbandonStep(3, False), c.AbandonStep(4, False)]
    assert not hand.failed("flaky", ValueError("again")).commands
    assert hand.last.site == "flow/flaky"
    hand.done("add", 2)
    (end,) = hand.last.commands
    assert isinstance(end, c.EndRun)
    assert (end.status, end.failed_step, end.attempts) == ("failed", "fail", 1)


@pytest.mark.feature(13)
def test_sleeping_branches_are_cancelled_and_clean_up_before_the_failure_is_raised() -> None:
    compilation = compiled(
        FLOWS
        + """
@workflow
async def flow() -> str:
    try:
        await parallel(slow("a"), fail("b"), slow("c"))
    except ValueError as error:
        return f"caught {error}"
    return "none"
"""
    )
    outcome = drive(compilation, "flow")
    assert outcome.result == "caught b"
    assert calls_of(compilation) == ["fail b", "a cleaned", "c cleaned"]
    assert outcome.inputs == {"failed": 1, "done": 2}


def test_a_branch_with_a_running_attempt_is_cancelled_when_it_ends() -> None:
    compilation = compiled(FLOWS + "@workflow\nasync def flow() -> None:\n    await parallel(working('a'), fail('b'))\n")
    hand = Hand(compilation)
    hand.failed("fail", ValueError("b"), final=True)
    hand.done("note", "a works")
    assert [command.arguments for command in hand.state.outstanding()] == [("a cleaned",)]
    hand.done("note", "a cleaned")
    assert hand.last.status == "failed"


def test_a_branch_in_backoff_is_treated_as_a_sleeping_one() -> None:
    hand = Hand(compiled("@workflow\nasync def flow() -> None:\n    await parallel(flaky(3), fail('b'))\n"))
    assert isinstance(hand.failed("flaky", ValueError("1")).commands[0], c.SetTimer)
    assert hand.failed("fail", ValueError("b"), final=True).commands[0] == c.ClearTimer(2)
    assert hand.last.status == "failed"


def test_the_other_failures_are_notes() -> None:
    body = (
        FLOWS
        + """
@subflow
async def breaks() -> int:
    try:
        await sleep("1h")
    finally:
        raise LookupError("clean-up")
    return 1

@workflow
async def flow() -> None:
    await parallel(at_once("first"), at_once("second"), breaks())
"""
    )
    outcome = drive(compiled(body), "flow")
    assert isinstance(outcome.error, KeyError)
    assert outcome.error.args == ("first",)
    assert outcome.error.__notes__ == ["also failed: KeyError: 'second'", "also failed: LookupError: clean-up"]


def test_a_nested_group_is_cancelled_from_the_inside() -> None:
    compilation = compiled(
        FLOWS
        + """
@subflow
async def outer() -> None:
    try:
        await parallel(slow("in 1"), slow("in 2"))
    finally:
        await note("outer cleaned")

@workflow
async def flow() -> None:
    await parallel(outer(), fail("x"))
"""
    )
    assert drive(compilation, "flow").status == "failed"
    assert calls_of(compilation) == ["fail x", "in 1 cleaned", "in 2 cleaned", "outer cleaned"]


def test_a_branch_in_its_finally_is_left_alone() -> None:
    compilation = compiled(
        """
@subflow
async def cleaning() -> None:
    try:
        await note("work")
    finally:
        await sleep("1h")
        await note("after the sleep of the clean-up")
    await note("never")

@workflow
async def flow() -> None:
    await parallel(cleaning(), failing_late())

@subflow
async def failing_late() -> None:
    await sleep("1m")
    await fail("late")
"""
    )
    assert drive(compilation, "flow").status == "failed"
    assert calls_of(compilation) == ["work", "fail late", "after the sleep of the clean-up"]


def test_arguments_are_evaluated_and_refused_in_the_parent() -> None:
    compilation = compiled(
        """
@workflow
async def flow() -> str:
    try:
        await parallel(add(1), note(chr(0xD800)))
    except ValueError:
        return "refused"
    return "accepted"
"""
    )
    assert drive(compilation, "flow").result == "refused"
    assert calls_of(compilation) == []
