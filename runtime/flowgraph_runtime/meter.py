"""What a process counts of its own work: plain numbers, written in the loop's thread, so that counting costs next to nothing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from operator import sub
from time import perf_counter
from typing import TypeVar

G = TypeVar("G")
T = TypeVar("T")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
GATHERED = 1_000
"""Attempts of a step that are counted together: each alone would cost the loop as much as a tenth of what it does for a step."""
OTHER = "other"
"""Stands for every name that the served code does not have: labels stay few whatever old runs bring along."""


class Distribution:
    """A histogram: how many values fell below each bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_times(self, microseconds: list[int]) -> None:
        """Count many times, whose bounds are seconds: a tenth of the cost of one after the other. The list is sorted and emptied;
        what is below 0, by clocks that differ, counts as 0."""
        microseconds.sort()
        below = 0
        for index, bound in enumerate(self.bounds):
            reached = bisect_right(microseconds, bound * 1e6, below)
            self.counts[index] += reached - below
            below = reached
        self.counts[-1] += len(microseconds) - below
        self.total += sum(microseconds[bisect_left(microseconds, 0) :]) / 1e6
        microseconds.clear()


class Meter:
    """The counters of a process. `workflows` and `steps`: the names of the served code."""

    def __init__(self, workflows: Container[str] = (), steps: Container[str] = ()) -> None:
        self._workflows, self._steps = workflows, steps
        self.moves: Counter[tuple[str, str]] = Counter()
        self.events: Counter[str] = Counter()
        self.deleted: Counter[str] = Counter()
        self._attempts: Counter[tuple[str, str]] = Counter()
        self._durations: defaultdict[str, Distribution] = defaultdict(lambda: Distribution(SECONDS))
        self._delays: defaultdict[str, Distribution] = defaultdict(lambda: Distribution(SECONDS))
        self._new: tuple[defaultdict[str, list[int]], ...] = (defaultdict(list), defaultdict(list))
        self.batches = Distribution(SIZES)
        self.commits = Distribution(SECONDS)

    def attempted(self, step: str, completed: bool, queued: int, started: int, ended: int) -> None:
        """Count an attempt; times in microseconds."""
        times = self._new[completed][step]
        times += (queued, started, ended)
        if len(times) >= 3 * GATHERED:
            self._gather()

    def _gather(self) -> None:
        for outcome, by_step in zip(("failed", "completed"), self._new, strict=True):
            for step, times in by_step.items():
                queued, started, ended = times[0::3], times[1::3], times[2::3]
                times.clear()
                name = step if step in self._steps else OTHER
                if started:
                    self._attempts[name, outcome] += len(started)
                    self._delays[name].add_times(list(map(sub, started, queued)))
                    self._durations[name].add_times(list(map(sub, ended, started)))

    @property
    def attempts(self) -> Counter[tuple[str, str]]:
        """Attempts by step and outcome."""
        self._gather()
        return self._attempts

    @property
    def delays(self) -> dict[str, Distribution]:
        """Seconds that attempts waited for their start, by step."""
        self._gather()
        return self._delays

    @property
    def durations(self) -> dict[str, Distribution]:
        """Seconds that attempts ran, by step."""
        self._gather()
        return self._durations

    def moved(self, workflow: str, status: str) -> None:
        """Count a run's new status."""
        self.moves[workflow if workflow in self._workflows else OTHER, status] += 1

    def received(self, counts: Mapping[str, int]) -> None:
        """Count events that came in, by status."""
        self.events.update(counts)

    def timed(self, commit: Callable[[list[G]], Awaitable[T]]) -> Callable[[list[G]], Awaitable[T]]:
        """Return the same commit, measured."""

        async def measured(group: list[G]) -> T:
            begun = perf_counter()
            try:
                return await commit(group)
            finally:
                self.batches.add(len(group))
                self.commits.add(perf_counter() - begun)

        return measured
