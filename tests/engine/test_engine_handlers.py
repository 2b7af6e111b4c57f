"""`on_failure`: what it is given, what becomes of the run."""

from __future__ import annotations

from flowgraph_runtime.engine.inputs import CancelAsked
from tests.engine.driver import drive
from tests.engine.sources import Hand, calls_of, compiled, members

EVENT = """
@subflow
async def tell(trigger: Ping, error: Exception) -> None:
    await note(f"{trigger.n}: {error}")

@workflow(on=Ping, on_failure=tell)
async def flow(event: Ping) -> None:
    event.n = 99
    await fail("broken")
"""


def test_it_gets_the_original_trigger_and_the_error_and_the_run_fails_with_that_error() -> None:
    compilation = compiled(EVENT)
    outcome = drive(compilation, "flow", [members(compilation)["Ping"](n=7)])
    assert calls_of(compilation) == ["fail broken", "7: broken"]
    assert (outcome.status, str(outcome.error), outcome.failed_step) == ("failed", "broken", "fail")


def test_the_run_is_running_while_it_runs() -> None:
    compilation = compiled(EVENT)
    hand = Hand(compilation, args=[members(compilation)["Ping"](n=7)])
    assert hand.failed("fail", ValueError("broken"), final=True).status == "running"


def test_it_can_ask_which_step_failed() -> None:
    compilation = compiled(
        """
@step
async def report(trigger: dict[str, int], error: Exception) -> None:
    info = error.flowgraph
    CALLS.append(f"{trigger} {info.step} {info.attempts} {info.run_id}")

@workflow(on_failure=report)
async def flow(n: int, m: int = 2) -> None:
    await flaky(9)
"""
    )
    drive(compilation, "flow", [5])
    assert calls_of(compilation)[-1] == "{'n': 5, 'm': 2} flaky 3 run_01DRIVEN"


def test_its_own_failure_is_a_note_on_the_error() -> None:
    outcome = drive(
        compiled(
            """
@step(retries=0)
async def report(trigger: dict[str, int], error: Exception) -> None:
    raise LookupError("no one to tell")

@workflow(on_failure=report)
async def flow() -> None:
    raise ValueError("broken")
"""
        ),
        "flow",
    )
    assert str(outcome.error) == "broken"
    assert outcome.error is not None
    assert outcome.error.__notes__ == ["handler failed: LookupError: no one to tell"]
    assert outcome.failed_step is None


def test_a_cancel_while_it_runs_lets_it_finish() -> None:
    compilation = compiled(EVENT)
    hand = Hand(compilation, args=[members(compilation)["Ping"](n=7)])
    hand.failed("fail", ValueError("broken"), final=True)
    assert hand.give(CancelAsked("enough")).status == "cancelling"
    assert hand.steps() == ["note"]
    assert hand.done("note", "x").status == "cancelled"
