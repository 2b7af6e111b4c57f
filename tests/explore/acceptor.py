"""Whether exploration knows what a concrete run has done: a path of abstract states with the same outcomes of steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from flowgraph_compiler.explore.choices import choices
from flowgraph_compiler.explore.monitors import Monitors
from flowgraph_compiler.explore.plan import Plan
from flowgraph_compiler.explore.search import begun
from flowgraph_compiler.explore.tokens import Frozen, thawed
from flowgraph_compiler.explore.work import Bounds, Entry, Work
from flowgraph_compiler.machine import CallStep, Machine
from flowgraph_compiler.traversal import is_tuple, parts
from tests.engine.driver import Outcome

BOUNDS = Bounds(own_errors=True, apart=True)
MOST = 2_000
"""States that are looked at for one outcome."""


class TooMany(Exception):
    """The run could have been in too many states."""


@dataclass(frozen=True)
class Observed:
    """What became of a step: `completed`, `failed` for good."""

    site: str
    outcome: str


def observations(machine: Machine, outcome: Outcome) -> list[Observed]:
    """The outcomes of a run's steps in the order of its journal, without attempts that were made again."""
    retries = {step.site: step.policy.retries or 0 for step in _steps(machine)}
    found = list[Observed]()
    for row in outcome.journal:
        if row.kind == "done" and row.site is not None:
            found.append(Observed(row.site, "completed"))
        elif row.kind == "failed" and row.site is not None and row.attempt is not None:
            final = row.payload.split(",", 2)[1] == "true"
            if final or row.attempt > retries[row.site]:
                found.append(Observed(row.site, "failed"))
    return found


def _steps(tree: object) -> Iterator[CallStep]:
    if isinstance(tree, CallStep):
        yield tree
        if tree.compensation is not None:
            undo = tree.compensation
            yield CallStep(undo.site, undo.step, (), (), undo.policy)
    if is_tuple(tree):
        for item in tree:  # type: ignore[attr-defined]
            yield from _steps(item)
    elif hasattr(tree, "__dataclass_fields__"):
        for part in parts(tree):
            yield from _steps(part)


def accepts(plan: Plan, seen: Sequence[Observed], status: str, cancelled: bool, *, bounds: Bounds) -> bool:
    """Whether some abstract path has these outcomes and this end. Raises `TooMany`."""
    follower = _Follower(plan, bounds, cancelled)
    states = follower.closure([begun(plan, follower.monitors).frozen()])
    for observed in seen:
        states = follower.closure(follower.after(states, observed))
        if not states:
            return False
    return any(thawed(state).status == status for state in states)


@dataclass(eq=False)
class _Follower:
    plan: Plan
    bounds: Bounds
    cancelled: bool
    monitors: Monitors = field(default_factory=Monitors)

    def closure(self, states: Iterable[Frozen]) -> set[Frozen]:
        """The states, and those that are reached from them without the outcome of a step."""
        waiting = list(states)
        found = set(waiting)
        while waiting:
            for reached in self._ways(waiting.pop(), None):
                if reached not in found:
                    found.add(reached)
                    waiting.append(reached)
            if len(found) > MOST:
                raise TooMany
        return found

    def after(self, states: Iterable[Frozen], observed: Observed) -> set[Frozen]:
        """The states in which the outcome leaves them."""
        return {reached for state in states for reached in self._ways(state, observed)}

    def _ways(self, state: Frozen, observed: Observed | None) -> Iterator[Frozen]:
        for number, way in enumerate(choices(self._work(state))):
            if self._fits(way.entry, observed):
                work = self._work(state)
                choices(work)[number].take()
                choices(work)
                yield work.run.frozen()

    def _fits(self, entry: Entry | None, observed: Observed | None) -> bool:
        outcome = "" if entry is None else entry.outcome
        if observed is None:
            return outcome not in ("completed", "failed") and (outcome != "cancel" or self.cancelled)
        stopped = outcome == "stopped" and observed.outcome == "failed"  # its last attempt had failed when nobody wanted it
        return entry is not None and entry.site == observed.site and (outcome == observed.outcome or stopped)

    def _work(self, state: Frozen) -> Work:
        return Work(self.plan, self.monitors, self.bounds, thawed(state), lambda _happened, _place: None)
