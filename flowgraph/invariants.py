"""What must hold in every run of a workflow, for `flowgraph check --explore`: predicates over what has happened so far.

An invariant is a module-level function marked with `@invariant`, or one of the ready-made ones below in a module-level variable;
it is about every workflow of its module. It is asked after each thing that happens in a run and once more at its end, about
histories in which steps complete, fail and time out and runs are cancelled in every order that the workflow allows::

    @invariant
    def receipt_needs_payment(history: History) -> bool:
        return not history.started(send_receipt) or history.completed(charge) > 0

    charged_once = at_most_once(charge)
    money_back = always_compensated(charge, by=refund)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias

from flowgraph.decorators import Step, invariant
from flowgraph.events import Event

AnyStep: TypeAlias = Step[..., Any] | str
"""A step, or its name."""


class History(Protocol):
    """What an invariant may ask about a run. It must depend on nothing else, and give the same answer to the same history.

    Attempts are not told apart: a step has `failed` when its last retry has. A result that came too late for its group counts
    as completed. Counts of four and more are asked as 4, 5 and 1,000; where the answers differ, the outcome is unknown."""

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        ...

    @property
    def status(self) -> Literal["running", "completed", "failed", "cancelled"]:
        """`running` until the run has ended, its clean-up and handlers included."""
        ...

    def started(self, step: AnyStep, /) -> int:
        """How often the step was called."""
        ...

    def completed(self, step: AnyStep, /) -> int:
        """How often it completed."""
        ...

    def failed(self, step: AnyStep, /) -> int:
        """How often it failed for good or timed out for good."""
        ...

    def started_after(self, later: AnyStep, earlier: AnyStep, outcome: Literal["completed", "failed"] = "completed", /) -> bool:
        """Whether `later` was ever called after `earlier` had completed, or failed for good."""
        ...

    def answered(self, step: AnyStep, by: AnyStep, /) -> bool:
        """Whether each completion of `step` so far was followed by a call of `by` that completed or failed for good; true as long
        as `step` has not completed."""
        ...

    def sent(self, event: type[Event] | str, /) -> int:
        """How many events of the class (or of that bare name of a class) the run has sent."""
        ...


Invariant: TypeAlias = Callable[[History], bool]


def at_most_once(step: AnyStep) -> Invariant:
    """The step completes at most once in a run."""

    def holds(history: History) -> bool:
        return history.completed(step) <= 1

    return invariant(holds)


def never_after(step: AnyStep, other: AnyStep, outcome: Literal["completed", "failed"] = "completed") -> Invariant:
    """The step is never called after the other one has completed, or failed for good."""

    def holds(history: History) -> bool:
        return not history.started_after(step, other, outcome)

    return invariant(holds)


def always_compensated(step: AnyStep, *, by: AnyStep) -> Invariant:
    """When the step has completed and the run fails or is cancelled, `by` was called after it and has completed or failed for
    good (else no workflow could keep it): what was interrupted does not count."""

    def holds(history: History) -> bool:
        return history.status not in ("failed", "cancelled") or history.answered(step, by)

    return invariant(holds)
