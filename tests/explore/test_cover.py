"""Exploration leaves nothing out: every run of a random program, with steps that fail at random, is one of its paths."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flowgraph_compiler.declarations import StepDecl
from flowgraph_compiler.explore.plan import Plan
from tests.compiler.compiled import checked
from tests.differential.compare import compiled
from tests.differential.generator import generate
from tests.differential.native import ping
from tests.differential.programs import Program
from tests.engine.driver import Outcome, Stuck, drive_machine, registry_of
from tests.explore.acceptor import BOUNDS, Observed, TooMany, accepts, observations

STRAIGHT = """\
from flowgraph import step, workflow

@step
async def one(n: int) -> None: ...
@step
async def two(n: int) -> None: ...
@step
async def three(n: int) -> None: ...

@workflow
async def flow(n: int) -> None:
    await one(n)
    try:
        await two(n)
    except Exception:
        await three(n)
"""
CHUNK = 10
FAST = 10
CI = 250
SIZES = [replace(BOUNDS, branches=branches) for branches in (2, 4, 12)]
"""How many elements a fan-out may have: more of them mean more states."""


def failing(step: StepDecl, chance: random.Random) -> Callable[..., Any]:
    """The step's function, or an error, one time in six."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        if chance.random() < 1 / 6:
            raise chance.choice((RuntimeError, ValueError, TimeoutError, KeyError))("planned")
        return step.step.fn(*arguments, **keywords)

    return call


def run(program: Program, plan: Plan, compilation: Any, seed: int) -> Outcome:
    """One run of the machine with failures that the seed decides."""
    app = compilation.application
    namespace = vars(app.modules[0].module)
    chance = random.Random(seed)
    steps = {name: failing(step, chance) for step in app.steps.values() for name in (step.name, *step.aliases)}
    return drive_machine(
        plan.machine,
        registry_of(app),
        steps,
        [program.argument if program.trigger is None else ping(namespace, *program.trigger)],
        schedule_seed=seed,
        events=[
            *(ping(namespace, n, text) for n, text in program.events),
            *((delay, ping(namespace, n, text)) for delay, n, text in program.late),
        ],
        cancel_at=chance.randint(0, 20) if chance.random() < 0.3 else None,
        others=compilation.machines,
    )


def covered(seed: int) -> bool:
    """Whether a run of the program was followed; False where it ends never or could be in too many states."""
    program = generate(seed)
    compilation = compiled(program)
    plan = Plan(compilation.machines["flow"], compilation.application.classes)
    try:
        outcome = run(program, plan, compilation, seed)
        seen = observations(plan.machine, outcome)
        cancelled = outcome.inputs["cancel"] > 0
        if not any(accepts(plan, seen, outcome.status, cancelled, bounds=bounds) for bounds in SIZES):
            raise AssertionError(f"seed {seed}: {outcome.status}, {seen}")
    except (Stuck, TooMany):
        return False
    finally:
        sys.modules.pop(program.module, None)
    return True


def test_what_a_run_cannot_have_done_is_no_path() -> None:
    """The comparison is no formality: one outcome more, fewer or another one is refused."""
    plan = Plan(checked(STRAIGHT)[1])
    done = [Observed("flow/one", "completed"), Observed("flow/two", "failed"), Observed("flow/three", "completed")]
    strict = replace(BOUNDS, own_errors=False)
    assert accepts(plan, done, "completed", False, bounds=strict)
    assert not accepts(plan, done, "failed", False, bounds=strict)
    assert not accepts(plan, done[:2], "completed", False, bounds=strict)
    assert not accepts(plan, [done[0], *done], "completed", False, bounds=strict)
    assert not accepts(plan, done[::-1], "completed", False, bounds=strict)
    assert not accepts(plan, [done[0], Observed("flow/two", "completed"), done[2]], "completed", False, bounds=strict)


def cover_chunk(first: int) -> None:
    followed = sum(covered(seed) for seed in range(first, first + CHUNK))
    assert followed >= CHUNK // 2


@pytest.mark.parametrize("first", range(0, FAST, CHUNK))
def test_every_run_is_a_path_of_exploration(first: int) -> None:
    cover_chunk(first)


@pytest.mark.ci
@pytest.mark.parametrize("first", range(FAST, CI, CHUNK))
def test_every_run_is_a_path_of_exploration_at_length(first: int) -> None:
    cover_chunk(first)
