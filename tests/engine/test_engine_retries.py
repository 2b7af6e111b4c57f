"""Attempts: delays, jitter, `RetryAfter`, what is final, what the failure says about itself."""

from __future__ import annotations

import pytest

from flowgraph.errors import FailureInfo
from flowgraph_compiler.machine import Policy
from flowgraph_runtime.engine import commands as c
from flowgraph_runtime.engine.retrying import delay_before
from tests.engine.driver import drive
from tests.engine.sources import Hand, calls_of, compiled

ONE = "@workflow\nasync def flow() -> int:\n    return await flaky(9)\n"


@pytest.mark.parametrize(
    ("kind", "delays"),
    [("exponential", [1, 2, 4, 8, 10, 10]), ("linear", [1, 2, 3, 4, 5, 6]), ("fixed", [1, 1, 1, 1, 1, 1])],
)
def test_delays_grow_by_the_policy_up_to_its_maximum(kind: str, delays: list[float]) -> None:
    policy = Policy(9, kind, 1.0, 2.0, 10.0, 0.0, None)
    assert [delay_before(policy, retry, 0.3) for retry in range(1, 7)] == delays


def test_jitter_spreads_a_delay_on_both_sides_and_never_beyond_the_maximum() -> None:
    policy = Policy(9, "fixed", 10.0, 2.0, 10.5, 0.1, None)
    assert [delay_before(policy, 1, chance) for chance in (0.0, 0.5, 1.0)] == [9.0, 10.0, 10.5]


def test_a_huge_number_of_retries_has_a_delay() -> None:
    assert delay_before(Policy(9, "exponential", 1.0, 10.0, 3600.0, 0.0, None), 5000, 0.5) == 3600.0


def test_a_failed_attempt_is_made_again_after_its_delay_under_the_same_identity() -> None:
    hand = Hand(compiled(ONE))
    first = hand.running("flaky")
    (timer,) = hand.failed("flaky", ValueError("1")).commands
    assert isinstance(timer, c.SetTimer)
    assert (timer.serial, timer.kind) == (first.serial, "backoff")
    assert 900_000 <= timer.due - (hand.at - 1_000_000) <= 1_100_000
    assert (hand.last.status, hand.last.parked) == ("running", True)
    (again,) = hand.fire("backoff").commands
    assert again == c.RunStep(first.serial, 0, first.site, "flaky", first.visit, 2, (9,), {}, None)


def test_retries_count_the_attempts_after_the_first() -> None:
    compilation = compiled(ONE)
    outcome = drive(compilation, "flow")
    assert calls_of(compilation) == ["flaky 1", "flaky 2", "flaky 3"]
    assert (outcome.status, str(outcome.error), outcome.failed_step, outcome.attempts) == ("failed", "attempt 3", "flaky", 3)


def test_a_final_failure_is_not_retried() -> None:
    hand = Hand(compiled(ONE))
    assert hand.failed("flaky", ValueError("1"), final=True).status == "failed"


def test_retry_after_names_the_moment() -> None:
    hand = Hand(compiled(ONE))
    later, earlier = hand.at + 77_000_000, 5
    assert hand.failed("flaky", ValueError("1"), retry_at=later).commands == [c.SetTimer(1, later, "backoff")]
    hand.fire("backoff")
    now = hand.at
    assert hand.failed("flaky", ValueError("2"), retry_at=earlier).commands == [c.SetTimer(1, now, "backoff")]


def test_each_attempt_gets_its_own_arguments() -> None:
    body = """
@step(retries=2)
async def greedy(xs: list[int]) -> list[int]:
    xs.append(step_context().attempt)
    if step_context().attempt < 3:
        raise ValueError("again")
    return xs

@workflow
async def flow() -> list[list[int]]:
    xs = [0]
    return [await greedy(xs), xs]
"""
    assert drive(compiled(body), "flow").result == [[0, 3], [0]]


def test_an_error_knows_its_step_and_attempts_also_as_the_cause_of_another() -> None:
    body = """
@workflow
async def flow() -> None:
    await flaky(9)
"""
    outcome = drive(compiled(body), "flow")
    assert vars(outcome.error)["flowgraph"] == FailureInfo("flaky", 3, "run_01DRIVEN")


def test_a_caught_failure_lets_the_run_go_on() -> None:
    body = """
@workflow
async def flow() -> str:
    try:
        await flaky(9)
    except ValueError as error:
        return f"gave up: {error}"
    return "done"
"""
    assert drive(compiled(body), "flow").result == "gave up: attempt 3"
