"""What a `match` does to the environment: each case sees what the cases before it have left of the subject's type."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from flowgraph_compiler.expressions import Const
from flowgraph_compiler.flow import Forward
from flowgraph_compiler.graph import Case, Match
from flowgraph_compiler.infer.environment import Env
from flowgraph_compiler.infer.exhaustion import is_closed, left_out
from flowgraph_compiler.infer.expressions import Evaluator
from flowgraph_compiler.infer.matching import bind_all, matched, narrowed
from flowgraph_compiler.types import NEVER, UNKNOWN


class MatchTypes(Forward[Env]):
    """The part of the inference that is about `match`. `taken` are the (id, number) of the cases that some value gets to; `open`
    the ids of the matches after which no case may have been taken."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: set[tuple[str, int]] = set()
        self.open: set[str] = set()
        self._subjects: dict[str, Any] = {}

    def mark(self) -> Callable[[], None]:
        """Which cases are taken, and where none may be."""
        kept = (set(self.taken), set(self.open))

        def take_back() -> None:
            self.taken, self.open = kept

        return take_back

    @property
    def closed(self) -> set[str]:
        """The ids of the matches whose cases take every value."""
        return self._subjects.keys() - self.open

    @abstractmethod
    def evaluator(self, env: Env) -> Evaluator:
        """An evaluator at a place."""

    @abstractmethod
    def see(self, env: Env | None) -> None:
        """Note the types that variables have at a place."""

    def subject(self, node: Match, state: Env) -> Env:
        """Evaluated once: what is left of its type for the next case is kept under the node's id."""
        evaluator = self.evaluator(state)
        tp = evaluator.of(node.subject)
        self._subjects[node.id] = UNKNOWN if tp == NEVER else tp
        return evaluator.env.narrowed(_left(node), self._subjects[node.id])

    def case(self, node: Match, case: Case, state: Env) -> tuple[Env | None, Env | None]:
        """Narrowed by the pattern and by the guard."""
        before = state.types[_left(node)]
        evaluator = self.evaluator(state)
        found = matched(evaluator, case.pattern, before)
        left = None if found.left == NEVER else self._remaining(node, state, found.left)
        if found.taken == NEVER:
            return None, left
        self.taken.add((node.id, next(number for number, each in enumerate(node.cases) if each is case)))
        evaluator.env = self._remaining(node, state, found.taken)
        bind_all(evaluator, found.bound)
        self.see(evaluator.env)
        if case.guard is None:
            return evaluator.env, left
        holds, fails = evaluator.split(case.guard)
        return holds, self.either(left, fails)

    def _remaining(self, node: Match, state: Env, tp: Any) -> Env:
        return narrowed(state, node.subject, tp).narrowed(_left(node), tp)

    def exhausted(self, node: Match, state: Env | None) -> Env | None:
        """Nothing goes on where the cases take every value of a closed type."""
        if state is None or self.missing(node, state) == []:
            return None
        self.open.add(node.id)
        return state

    def subject_type(self, node: Match) -> Any:
        """The type of what a `match` that is reached matches."""
        return self._subjects.get(node.id, UNKNOWN)

    def missing(self, node: Match, state: Env) -> list[str] | None:
        """The values of a closed type that no case takes for certain; None where the type is not closed."""
        tp = self.subject_type(node)
        patterns = [case.pattern for case in node.cases if case.guard is None or case.guard == Const(True)]
        return left_out(self.evaluator(state).quiet(state), tp, patterns) if is_closed(tp) else None


def _left(node: Match) -> str:
    return f"^{node.id}"
