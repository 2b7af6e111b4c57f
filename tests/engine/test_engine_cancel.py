"""Cancellation of a run: where `Cancelled` is raised, what is shielded, how the run ends (language page 3.7)."""

from __future__ import annotations

import pytest

from flowgraph.errors import Cancelled
from flowgraph_runtime.engine import commands as c
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.inputs import CancelAsked, StepDone
from flowgraph_runtime.engine.state import RunState
from tests.engine.driver import drive
from tests.engine.sources import Hand, calls_of, compiled

CLEANING = """
@workflow
async def flow() -> None:
    try:
        {wait}
    finally:
        await note("cleaned")
    await note("never")
"""


@pytest.mark.parametrize(
    ("wait", "taken_back"),
    [
        ("await add(1)", [c.AbandonStep(1, True)]),
        ("await sleep('1h')", [c.ClearTimer(1)]),
        ("await wait_for(Ping, timeout='1h')", [c.CloseWait(1), c.ClearTimer(1)]),
        ("await wait_for(Ping, timeout=None)", [c.CloseWait(1)]),
        ("await parallel(sleep('1h'), add(1))", [c.ClearTimer(2), c.AbandonStep(3, True)]),
    ],
)
def test_a_cancel_takes_back_what_the_run_waits_for_and_cleans_up(wait: str, taken_back: list[c.Command]) -> None:
    hand = Hand(compiled(CLEANING.format(wait=wait)))
    decision = hand.give(CancelAsked("enough"))
    assert decision.commands[: len(taken_back)] == taken_back
    assert [command.arguments for command in hand.state.outstanding()] == [("cleaned",)]
    assert decision.status == "cancelling"
    assert hand.give(CancelAsked("again")).ignored
    hand.done("note", "cleaned")
    (end,) = hand.last.commands
    assert isinstance(end, c.EndRun)
    assert end.status == hand.last.status == "cancelled"


def test_the_late_result_of_an_interrupted_step_is_discarded() -> None:
    hand = Hand(compiled(CLEANING.format(wait="await add(1)")))
    command = hand.running("add")
    hand.give(CancelAsked("enough"))
    assert hand.give(StepDone(command.serial, 1, "2")).ignored


def test_a_retry_that_waits_is_cancelled() -> None:
    hand = Hand(compiled("@workflow\nasync def flow() -> None:\n    await flaky(3)\n"))
    hand.failed("flaky", ValueError("1"))
    assert hand.give(CancelAsked("enough")).commands[0] == c.ClearTimer(1)
    assert hand.last.status == "cancelled"


def test_a_run_in_its_finally_is_shielded_until_outside_of_it() -> None:
    compilation = compiled(
        """
@workflow
async def flow() -> None:
    try:
        await add(1)
    finally:
        await note("clean 1")
        await parallel(note("clean 2"), sleep("1h"))
    await send(Ping(n=1))
    await note("never")
"""
    )
    outcome = drive(compilation, "flow", cancel_at=1)
    assert outcome.status == "cancelled"
    assert calls_of(compilation) == ["add 1 1", "clean 1", "clean 2"]
    assert len(outcome.sent) == 1, "sending is no wait, so the cancel comes after it"


def test_branches_are_cancelled_before_their_parent() -> None:
    compilation = compiled(
        """
@subflow
async def branch(text: str) -> None:
    try:
        await sleep("1h")
    finally:
        await note(text)

@workflow
async def flow() -> None:
    try:
        await parallel(branch("first"), branch("second"))
    finally:
        await note("parent")
"""
    )
    assert drive(compilation, "flow", cancel_at=0).status == "cancelled"
    assert calls_of(compilation) == ["first", "second", "parent"]


def test_frames_are_left_from_the_innermost() -> None:
    compilation = compiled(
        """
@subflow
async def inner() -> None:
    try:
        await sleep("1h")
    except Cancelled:
        await note("inner")
        raise

@workflow
async def flow() -> None:
    try:
        await inner()
    except Cancelled:
        await note("outer")
        raise
"""
    )
    outcome = drive(compilation, "flow", cancel_at=0)
    assert isinstance(outcome.error, Cancelled)
    assert calls_of(compilation) == ["inner", "outer"]


def test_a_cancel_during_the_failure_of_a_group_interrupts_what_was_let_run() -> None:
    hand = Hand(compiled("@workflow\nasync def flow() -> None:\n    await parallel(fail('x'), add(1))\n"))
    hand.failed("fail", ValueError("x"), final=True)
    assert hand.last.commands == [c.AbandonStep(3, False)]
    assert hand.give(CancelAsked("enough")).commands[0] == c.AbandonStep(3, True)
    assert hand.last.status == "cancelled"


def test_on_cancel_runs_after_the_clean_up_with_what_the_workflow_received() -> None:
    compilation = compiled(
        """
@subflow
async def undo(trigger: Ping) -> None:
    await note(f"undo {trigger.n}")

@workflow(on=Ping, on_cancel=undo)
async def flow(event: Ping) -> None:
    try:
        event.n += 1
        await sleep("1h")
    finally:
        await note("cleaned")
"""
    )
    ping = vars(compilation.application.modules[0].module)["Ping"](n=7)
    outcome = drive(compilation, "flow", [ping], cancel_at=0)
    assert outcome.status == "cancelled"
    assert calls_of(compilation) == ["cleaned", "undo 7"]


def test_a_run_that_is_cancelled_before_it_starts_runs_nothing() -> None:
    program = Hand(compiled(CLEANING.format(wait="await add(1)"))).program
    decision = decide(program, RunState.new("run_01"), CancelAsked("at once"), 1)
    (end,) = decision.commands
    assert isinstance(end, c.EndRun)
    assert end.status == "cancelled"


def test_an_error_of_the_clean_up_is_kept_and_the_run_still_ends_cancelled() -> None:
    outcome = drive(
        compiled(
            """
@workflow
async def flow() -> None:
    try:
        await sleep("1h")
    finally:
        await fail("broken clean-up")
"""
        ),
        "flow",
        cancel_at=0,
    )
    assert outcome.status == "cancelled"
    assert str(outcome.error) == "broken clean-up"
