"""Histories that are finite: for each question that an invariant has asked, what its answer depends on.

The questions are not known beforehand: a predicate that asks a new one has it remembered, and exploration begins again with
the question among those that states tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

MANY = 4
"""Counts stop here; and are then asked as each of `SAMPLES`."""
SAMPLES = (MANY, MANY + 1, 1_000)

Status: TypeAlias = Literal["running", "completed", "failed", "cancelled"]
Answers: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that histories tell of: `kind` is `started`, `completed`, `failed` or `sent`; `times` more than one: often."""

    kind: str
    name: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Question:
    """`kind`: that of a `Happening` for a count, `answered`, `after completed` or `after failed`; `other`: a second step."""

    kind: str
    name: str
    other: str = ""

    @property
    def first(self) -> int:
        """What is kept of a history in which nothing has happened."""
        return 1 if self.kind == "answered" else 0

    def after(self, kept: int, happened: Happening) -> int:
        """What is kept after one more happening."""
        if self.kind == "answered":
            return self._answered(kept, happened)
        if self.kind.startswith("after "):
            return self._after(kept, happened)
        same = happened.kind == self.kind and happened.name == self.name
        return min(kept + happened.times, MANY) if same else kept

    def _answered(self, kept: int, happened: Happening) -> int:
        if happened.kind in ("completed", "failed") and happened.name == self.other:
            return 1
        return 0 if happened.kind == "completed" and happened.name == self.name else kept

    def _after(self, kept: int, happened: Happening) -> int:
        """0: the earlier one has not happened; 1: it has; 2: and then the later one was called."""
        if kept == 0:
            return int(happened == Happening(self.kind.removeprefix("after "), self.other, happened.times))
        return 2 if happened.kind == "started" and happened.name == self.name else kept


@dataclass(eq=False)
class Monitors:
    """The questions asked so far, and the names that they are about."""

    questions: list[Question] = field(default_factory=list[Question])

    @property
    def names(self) -> frozenset[str]:
        """Steps and events that some question is about."""
        return frozenset(name for question in self.questions for name in (question.name, question.other) if name)

    def concerns(self, names: frozenset[str]) -> bool:
        """Whether some question is about one of the names; `*` is any event."""
        return not names.isdisjoint(self.names) or ("*" in names and any(one.kind == "sent" for one in self.questions))

    @property
    def counted(self) -> frozenset[str]:
        """Those that are counted."""
        return frozenset(question.name for question in self.questions if not question.other)

    def first(self) -> Answers:
        """The empty history."""
        return tuple(question.first for question in self.questions)

    def after(self, answers: Answers, happened: Happening) -> Answers:
        """The history with one more happening."""
        return tuple(question.after(kept, happened) for question, kept in zip(self.questions, answers, strict=False))


class UnknownName(LookupError):
    """An invariant asks about what the modules do not have."""


class AbstractHistory:
    """Answers an invariant from what is kept; see `flowgraph.invariants.History`."""

    def __init__(
        self, workflow: str, status: Status, monitors: Monitors, answers: Answers, names: frozenset[str], sample: int = MANY
    ) -> None:
        self.workflow = workflow
        self.status: Status = status
        self.saturated = False
        self.asked: list[Question] = []
        self._monitors = monitors
        self._answers = answers
        self._names = names
        self._sample = sample

    def started(self, step: Any, /) -> int:
        """How often the step was called."""
        return self._count("started", step)

    def completed(self, step: Any, /) -> int:
        """How often it completed."""
        return self._count("completed", step)

    def failed(self, step: Any, /) -> int:
        """How often it failed for good."""
        return self._count("failed", step)

    def sent(self, event: Any, /) -> int:
        """How many events of the class were sent."""
        return self._count("sent", event)

    def started_after(self, later: Any, earlier: Any, outcome: str = "completed", /) -> bool:
        """Whether `later` was called after `earlier` had completed or failed."""
        if outcome not in ("completed", "failed"):
            raise ValueError(f"'{outcome}' is no outcome of a step: 'completed' or 'failed'")
        return self._kept(Question(f"after {outcome}", self._name(later), self._name(earlier))) == 2

    def answered(self, step: Any, by: Any, /) -> bool:
        """Whether each completion of `step` was followed by a call of `by` that ended."""
        return self._kept(Question("answered", self._name(step), self._name(by))) == 1

    def _count(self, kind: str, named: Any) -> int:
        kept = self._kept(Question(kind, self._name(named)))
        self.saturated = self.saturated or kept == MANY
        return self._sample if kept == MANY else kept

    def _kept(self, question: Question) -> int:
        if question in self._monitors.questions:
            return self._answers[self._monitors.questions.index(question)]
        self.asked.append(question)
        return question.first

    def _name(self, named: Any) -> str:
        name = named if isinstance(named, str) else named.__name__ if isinstance(named, type) else getattr(named, "name", None)
        if name not in self._names:
            raise UnknownName(f"no step or event {name or named!r} in the modules")
        return str(name)


def known_questions(questions: Sequence[Question], monitors: Monitors) -> bool:
    """Adds the questions to those that are kept; whether all of them were there."""
    new = [question for question in dict.fromkeys(questions) if question not in monitors.questions]
    monitors.questions += new
    return not new
