"""One token: transitions, identities, statuses, what comes too late."""

from __future__ import annotations

import pytest

from flowgraph.errors import ForeignError
from flowgraph_runtime.engine import commands as c
from flowgraph_runtime.engine.inputs import CancelAsked, Started, StepDone, TimerFired
from tests.engine.driver import START, drive
from tests.engine.sources import Hand, calls_of, compiled


def test_a_transition_goes_from_one_suspension_to_the_next() -> None:
    hand = Hand(
        compiled("@workflow\nasync def flow(n: int) -> int:\n    a = await add(n)\n    return await add(a, b=2)\n"), args=[5]
    )
    assert hand.last.commands == [c.RunStep(1, 0, "flow/add", "add", 1, 1, (5,), {}, None)]
    assert hand.done("add", 6).commands == [c.RunStep(2, 0, "flow/add#2", "add", 1, 1, (6,), {"b": 2}, None)]
    assert hand.last.site == "flow/add"
    assert hand.last.visit == 1
    assert hand.done("add", 8).commands == [c.EndRun("completed", "8")]
    assert hand.last.status == "completed"


def test_an_outcome_that_nobody_waits_for_is_ignored() -> None:
    hand = Hand(compiled("@workflow\nasync def flow() -> int:\n    await add(1)\n    return await add(2)\n"))
    late = StepDone(1, 1, "2")
    hand.give(late)
    seq = hand.state.seq
    for given in (late, StepDone(2, 2, "3"), StepDone(9, 1, "3"), TimerFired(2), Started("[]")):
        assert hand.give(given).ignored
    assert hand.state.seq == seq
    hand.done("add", 3)
    assert hand.give(CancelAsked("too late")).ignored
    assert hand.last.status == "completed"


def test_a_step_in_a_loop_counts_its_visits_and_keeps_its_site() -> None:
    outcome = drive(compiled("@workflow\nasync def flow() -> None:\n    for i in range(3):\n        await add(i)\n"), "flow")
    assert [(row.site, row.visit) for row in outcome.journal] == [("flow/add", 1), ("flow/add", 2), ("flow/add", 3)]


@pytest.mark.parametrize(
    ("suspension", "status", "parked"),
    [
        ("await add(1)", "running", False),
        ("await sleep('1h')", "sleeping", True),
        ("await wait_for(Ping, timeout='1h')", "waiting", True),
        ("await parallel(sleep('1h'), wait_for(Ping, timeout=None))", "waiting", True),
        ("await parallel(sleep('1h'), add(1))", "running", False),
    ],
)
def test_the_status_is_what_the_tokens_wait_for(suspension: str, status: str, parked: bool) -> None:
    hand = Hand(compiled(f"@workflow\nasync def flow() -> None:\n    {suspension}\n"))
    assert (hand.last.status, hand.last.parked) == (status, parked)


@pytest.mark.feature(14)
def test_a_sleep_ends_at_its_moment_and_one_in_the_past_at_once() -> None:
    body = """
@workflow
async def flow() -> str:
    await sleep("1h30m")
    await sleep_until(datetime(2001, 1, 1, tzinfo=UTC))
    return now().isoformat()
"""
    hand = Hand(compiled(body))
    assert hand.last.commands == [c.SetTimer(1, START + 5_400_000_000, "sleep")]
    hand.fire("sleep")
    (timer,) = hand.last.commands
    assert isinstance(timer, c.SetTimer)
    assert timer.due < hand.at
    assert hand.fire("sleep").status == "completed"


@pytest.mark.feature(14)
def test_a_sleep_until_without_a_zone_fails_at_the_await() -> None:
    outcome = drive(
        compiled(
            """
@step(retries=0)
async def naive() -> datetime:
    return datetime(2030, 1, 1)

@workflow
async def flow() -> str:
    try:
        await sleep_until(await naive())
    except ValueError as error:
        return str(error)
    return "slept"
"""
        ),
        "flow",
    )
    assert "time zone" in outcome.result


def test_recorded_values_repeat_and_differ_from_call_to_call() -> None:
    body = """
@workflow
async def flow() -> list[str]:
    first = uuid()
    await add(1)
    return [str(first), str(uuid()), str(uuid())]
"""
    compilation = compiled(body)
    first, second = drive(compilation, "flow"), drive(compilation, "flow")
    assert first.result == second.result
    assert len(set(first.result)) == 3


def test_arguments_are_copies() -> None:
    body = """
@step
async def grow(xs: list[int]) -> list[int]:
    xs.append(9)
    return xs

@subflow
async def grow_here(xs: list[int]) -> list[int]:
    xs.append(7)
    await add(1)
    return xs

@workflow
async def flow() -> list[list[int]]:
    xs = [1]
    a = await grow(xs)
    b = await grow_here(xs)
    both = await parallel(grow(xs), grow(xs))
    return [xs, a, b, *both]
"""
    assert drive(compiled(body), "flow").result == [[1], [1, 9], [1, 7], [1, 9], [1, 9]]


def test_objects_of_one_body_stay_the_same_objects_across_suspensions() -> None:
    body = """
@workflow
async def flow() -> list[list[int]]:
    xs: list[int] = []
    ys = [xs, xs]
    await add(1)
    xs.append(1)
    await add(2)
    ys[1].append(2)
    return ys
"""
    assert drive(compiled(body), "flow").result == [[1, 2], [1, 2]]


def test_a_result_that_cannot_be_stored_fails_the_run() -> None:
    body = """
@step
async def half() -> str:
    return "ok"

@workflow
async def flow() -> str:
    return (await half()) + chr(0xD800)
"""
    outcome = drive(compiled(body), "flow")
    assert outcome.status == "failed"
    assert "surrogate" in str(outcome.error)


def test_an_error_whose_class_is_gone_still_matches_by_name() -> None:
    hand = Hand(
        compiled(
            """
@workflow
async def flow() -> str:
    try:
        await add(1)
    except LookupError:
        return "caught"
    return "done"
"""
        )
    )
    hand.failed("add", ForeignError("Gone", ("Gone", "LookupError", "Exception", "BaseException"), "away"), final=True)
    assert hand.last.commands == [c.EndRun("completed", '"caught"')]


def test_missing_and_unknown_arguments_fail_the_run_as_a_call_does() -> None:
    compilation = compiled("@workflow\nasync def flow(n: int, m: int = 3) -> int:\n    return n + m\n")
    assert drive(compilation, "flow", [1]).result == 4
    assert "missing a required argument: 'n'" in str(drive(compilation, "flow", []).error)
    assert "takes 2 positional arguments but 3 were given" in str(drive(compilation, "flow", [1, 2, 3]).error)


def test_the_traceback_of_an_error_of_the_body_names_the_workflow_and_no_engine_code() -> None:
    outcome = drive(compiled("@workflow\nasync def flow(n: int) -> float:\n    await add(1)\n    return 1 / n\n"), "flow", [0])
    text = vars(outcome.error)["__traceback_text__"]
    assert "in flow" in text
    assert "running.py" not in text


def test_the_traceback_of_a_step_survives_a_reraise() -> None:
    body = """
@workflow
async def flow() -> None:
    try:
        await fail("x")
    except ValueError:
        await add(1)
        raise
"""
    text = vars(drive(compiled(body), "flow").error)["__traceback_text__"]
    assert "in fail" in text


def test_calls_are_made_once() -> None:
    compilation = compiled("@workflow\nasync def flow() -> int:\n    return await add(1) + await add(2)\n")
    assert drive(compilation, "flow").result == 5
    assert calls_of(compilation) == ["add 1 1", "add 2 1"]
