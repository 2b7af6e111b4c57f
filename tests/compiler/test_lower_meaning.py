"""Lowering means what CPython means: random control flow, run by the small interpreter and by CPython from the same source."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from flowgraph_compiler.serialize import from_json, to_json
from tests.compiler.compiled import PRELUDE, unchecked
from tests.compiler.control_flow import Writer
from tests.compiler.small_interpreter import Interpreter

ERRORS = (ValueError, KeyError, RuntimeError)
PROGRAMS = 60
PLANS = 12


class Plan:
    """A step that logs its calls and answers, or fails, as planned; afterwards it answers 0."""

    def __init__(self, answers: list[int]) -> None:
        self.answers = list(answers)
        self.calls: list[int] = []

    def __call__(self, n: int) -> int:
        self.calls.append(n)
        answer = self.answers.pop(0) if self.answers else 0
        if answer >= 10:
            raise ERRORS[answer % 3](answer)
        return answer


def outcome(plan: Plan, run: Callable[[], Any]) -> tuple[Any, ...]:
    try:
        return (run(), plan.calls)
    except ERRORS as error:
        return (type(error), error.args, plan.calls)


def natively(source: str, answers: list[int]) -> tuple[Any, ...]:
    plan = Plan(answers)

    async def f(n: int) -> int:
        return plan(n)

    namespace: dict[str, Any] = {"f": f, "workflow": lambda fn: fn}
    exec(source, namespace)
    return outcome(plan, lambda: asyncio.run(namespace["w"](1)))


def by_machine(machine: Any, answers: list[int]) -> tuple[Any, ...]:
    plan = Plan(answers)
    return outcome(plan, lambda: Interpreter(machine, {"f": plan}).run(1))


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_a_machine_does_what_its_source_does(seed: int) -> None:
    source = Writer(seed).function()
    _, machine = unchecked(PRELUDE + source, f"random_{seed}")
    read_back = from_json(to_json(machine))
    plans = random.Random(seed)
    for _ in range(PLANS):
        answers = [plans.choice([0, 0, 1, 2, 3, 10, 11, 12]) for _ in range(plans.randint(0, 12))]
        assert by_machine(read_back, answers) == natively(source, answers), f"{source}\nanswers {answers}"
