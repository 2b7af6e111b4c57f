"""A step's context is made when the step first asks for it, and only then."""

from __future__ import annotations

from contextvars import copy_context

import pytest

from flowgraph import StepContext, step_context
from flowgraph.context import current_step, enter_step, step_scope
from flowgraph.errors import NotInStep


def test_a_context_is_made_at_the_first_question_and_stays_the_same() -> None:
    made: list[StepContext] = []

    def describe(attempt: int, run_id: str) -> StepContext:
        made.append(StepContext(attempt, f"{run_id}:site:1", run_id, "pay"))
        return made[-1]

    def body() -> None:
        enter_step((describe, 2, "run"))
        assert made == []
        assert step_context() is step_context() is current_step() is made[0]
        assert (made[0].attempt, made[0].run_id) == (2, "run")
        assert len(made) == 1

    copy_context().run(body)
    with pytest.raises(NotInStep):
        step_context()


def test_a_scope_hides_the_context_of_the_step_around_it() -> None:
    outer, inner = StepContext(1, "a", "run", "outer"), StepContext(1, "b", "run", "inner")

    def body() -> None:
        enter_step((lambda: outer,))
        with step_scope(inner):
            assert step_context() is inner
        with step_scope(None):
            assert current_step() is None
        assert step_context() is outer

    copy_context().run(body)
