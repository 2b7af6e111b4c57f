"""Races, settled groups, fan-outs and child runs on machines by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flowgraph.codec import dumps
from flowgraph.errors import Cancelled, LimitExceeded, error_names
from flowgraph.fan_outs import FAN_OUT_LIMIT
from flowgraph.outcomes import Err, Ok
from flowgraph.registry import TypeRegistry
from flowgraph_compiler.expressions import Binary, Bound, Clause, Const, Expr, New
from flowgraph_compiler.machine import Action, CallChild, FanOutGroup, Group, SleepFor, StartRun
from flowgraph_runtime.engine import commands as c
from flowgraph_runtime.engine.decide import decide
from flowgraph_runtime.engine.inputs import CancelAsked, ChildEnded, Started, TimerFired
from flowgraph_runtime.engine.state import RunState, restore, snapshot
from tests.engine.driver import Outcome, drive_machine
from tests.engine.machines import awaits, call, loaded, step

NOTED: list[str] = []


async def note(text: str) -> None:
    NOTED.append(text)


def double(n: int) -> int:
    return 2 * n


def fail(n: int) -> int:
    raise ValueError(n)


STEPS: dict[str, Callable[..., Any]] = {"note": note, "double": double, "fail": fail}


def outcome_of(action: Action, seed: int | None = None, cancel_at: int | None = None) -> Outcome:
    NOTED.clear()
    types = TypeRegistry(Ok, Err)
    return drive_machine(awaits(action), types, STEPS, schedule_seed=seed, cancel_at=cancel_at)


def test_the_first_branch_of_a_race_that_ends_decides_and_the_losers_clean_up() -> None:
    race = Group("flow/race", "race", (call("slow", "2h"), call("quick", "1m"), SleepFor("flow/sleep", Const("3h"))))
    outcome = outcome_of(race)
    assert outcome.result == "quick"
    assert NOTED == ["quick", "slow"]


def test_a_race_is_lost_by_the_first_that_fails_too() -> None:
    outcome = outcome_of(Group("flow/race", "race", (call("slow", "2h"), step("fail", Const(1)))))
    assert isinstance(outcome.error, ValueError)
    assert NOTED == ["slow"]


def test_the_loser_of_a_race_is_interrupted() -> None:
    program = loaded(awaits(Group("flow/race", "race", (step("double", Const(1)), SleepFor("flow/sleep", Const("1h"))))))
    state = RunState.new("run_1")
    decide(program, state, Started("[]"), 0)
    assert decide(program, state, TimerFired(3), 5).commands[0] == c.AbandonStep(2, True)
    assert state.status == "completed"


def test_a_settled_group_collects_every_outcome() -> None:
    outcome = outcome_of(Group("flow/settle", "settle", (step("double", Const(4)), step("fail", Const(5)))))
    first, second = outcome.result
    assert first == Ok(8)
    assert isinstance(second, Err)
    assert second.error.args == (5,)


def fan_out(kind: str, branch: str, numbers: Expr, limit: int | None) -> FanOutGroup:
    clause = Clause(Bound("n"), numbers, ())
    size = None if limit is None else Const(limit)
    return FanOutGroup("flow/fan_out", kind, (clause,), step(branch, Binary("+", Bound("n"), Const(1))), size)


@pytest.mark.parametrize("limit", [None, 1, 3, 50])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_a_fan_out_gives_its_results_in_order(limit: int | None, seed: int | None) -> None:
    assert outcome_of(fan_out("fan_out", "double", New("range", (Const(7),)), limit), seed).result == [2, 4, 6, 8, 10, 12, 14]


def test_a_limit_holds_branches_back() -> None:
    program = loaded(awaits(fan_out("fan_out", "double", New("range", (Const(7),)), 2)))
    state = RunState.new("run_1")
    assert len(decide(program, state, Started("[]"), 0).commands) == 2
    text = snapshot(state, program)
    assert snapshot(restore(text, program), program) == text


def test_the_failure_of_a_fan_out_drops_what_has_not_started() -> None:
    outcome = outcome_of(fan_out("fan_out", "fail", New("range", (Const(7),)), 2))
    assert isinstance(outcome.error, ValueError)
    assert sum(outcome.step_calls.values()) == 2


def test_a_fan_out_of_nothing_is_an_empty_list() -> None:
    assert outcome_of(fan_out("fan_out", "double", New("list", ()), None)).result == []


@pytest.mark.parametrize("size", [0, 3])
def test_a_limit_must_be_positive(size: int) -> None:
    assert "limit=0" in str(outcome_of(fan_out("fan_out", "double", New("range", (Const(size),)), 0)).error)


def test_a_fan_out_has_a_largest_size() -> None:
    outcome = outcome_of(fan_out("fan_out", "double", New("range", (Const(FAN_OUT_LIMIT + 1),)), 1))
    assert isinstance(outcome.error, LimitExceeded)
    assert (outcome.error.allowed, outcome.error.found) == (FAN_OUT_LIMIT, FAN_OUT_LIMIT + 1)
    assert not outcome.step_calls


def test_fan_outs_in_fan_outs_share_the_operation_budget() -> None:
    thousand = New("range", (Const(1_100),))
    inner = fan_out("fan_out", "double", thousand, 1)
    outer = FanOutGroup("flow/outer", "fan_out", (Clause(Bound("m"), thousand, ()),), inner, Const(1))
    outcome = outcome_of(outer)
    assert error_names(outcome.error)[0] == "TransitionTooLong"
    assert not outcome.step_calls


@pytest.mark.parametrize(
    ("status", "payload", "ends"), [("completed", "5", "completed"), ("failed", dumps(ValueError("x")), "failed")]
)
def test_a_child_run_is_started_and_its_end_is_the_result(status: str, payload: str, ends: str) -> None:
    program = loaded(awaits(CallChild("flow/child", "other", (Const(3),), ())))
    state = RunState.new("run_1")
    (start,) = decide(program, state, Started("[]"), 0).commands
    assert isinstance(start, c.StartRun)
    assert (start.workflow, start.payload, start.serial) == ("other", "[3]", 1)
    assert state.status == "waiting"
    assert decide(program, state, ChildEnded(1, status, payload), 5).status == ends


def test_a_cancel_goes_to_the_child_first() -> None:
    program = loaded(awaits(CallChild("flow/child", "other", (), ())))
    state = RunState.new("run_1")
    (start,) = decide(program, state, Started("[]"), 0).commands
    assert isinstance(start, c.StartRun)
    assert decide(program, state, CancelAsked("enough"), 5).commands == [c.CancelRun(start.run_id, "enough")]
    state = restore(snapshot(state, program), program)
    assert decide(program, state, ChildEnded(1, "cancelled", dumps(Cancelled())), 9).status == "cancelled"


def test_a_run_that_nobody_waits_for_is_started_at_once() -> None:
    program = loaded(awaits(StartRun("flow/start", "other", (), ())))
    state = RunState.new("run_1")
    start, end = decide(program, state, Started("[]"), 0).commands
    assert isinstance(start, c.StartRun)
    assert isinstance(end, c.EndRun)
    assert start.serial is None
    assert end.payload == f'"{start.run_id}"'
