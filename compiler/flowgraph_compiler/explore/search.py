"""Breadth-first search over the states of a workflow, so that the first trace that breaks an invariant is a shortest one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from flowgraph.invariants import History
from flowgraph_compiler.explore.choices import choices
from flowgraph_compiler.explore.monitors import (
    SAMPLES,
    AbstractHistory,
    Answers,
    Happening,
    Monitors,
    Status,
    known_questions,
)
from flowgraph_compiler.explore.plan import Place, Plan
from flowgraph_compiler.explore.tokens import Frame, Frozen, Run, Token, canonical, thawed
from flowgraph_compiler.explore.values import NO_FACTS, NONE
from flowgraph_compiler.explore.work import Bounds, Entry, NotUnderstood, Work

WAYS = 8
"""So many ways for each state that may be reached are followed, in all."""

Predicate = Callable[[History], bool]


@dataclass
class Verdict:
    """What came out about one invariant: `trace` breaks it; else `unknown` says why nothing is known; else it holds."""

    name: str
    trace: tuple[Entry, ...] | None = None
    unknown: str | None = None

    @property
    def word(self) -> str:
        """`broken`, `unknown` or `holds`."""
        return "broken" if self.trace is not None else "unknown" if self.unknown is not None else "holds"


@dataclass
class Outcome:
    """What the search came to: `states` reached, a verdict for each invariant, `unknown`: why it is not all there is."""

    states: int
    verdicts: tuple[Verdict, ...]
    unknown: tuple[str, ...] = ()


@dataclass(eq=False)
class _Node:
    """A state that was reached, and how."""

    state: Frozen
    before: _Node | None = None
    entry: Entry | None = None

    def trace(self) -> Iterator[Entry]:
        """The way to it."""
        if self.before is not None:
            yield from self.before.trace()
        if self.entry is not None:
            yield self.entry


class _NewQuestion(Exception):
    """A predicate has asked what is not kept yet: begin again."""


def search(plan: Plan, invariants: dict[str, Predicate], names: frozenset[str], bounds: Bounds) -> Outcome:
    """Explore one workflow. `names`: the steps and events that invariants may ask about."""
    monitors = Monitors()
    while True:
        try:
            return _Search(plan, invariants, names, bounds, monitors).outcome()
        except _NewQuestion:
            continue


@dataclass(eq=False)
class _Search:
    plan: Plan
    invariants: dict[str, Predicate]
    names: frozenset[str]
    bounds: Bounds
    monitors: Monitors
    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    unknown: list[str] = field(default_factory=list[str])
    _asked: set[tuple[Answers, Status]] = field(default_factory=set[tuple[Answers, Status]])
    _seen: set[Frozen] = field(default_factory=set[Frozen])
    _followed: int = 0
    _waiting: deque[_Node] = field(default_factory=deque[_Node])

    def outcome(self) -> Outcome:
        self.verdicts = {name: Verdict(name) for name in self.invariants}
        if self.plan.machine.timeout is not None:
            self.unknown.append("the timeout of the whole run is not known to exploration")
        self._begin()
        while self._waiting:
            if len(self._seen) > self.bounds.states or self._followed > self.bounds.states * WAYS:
                self.unknown.append(f"stopped after {len(self._seen):,} states")
                break
            self._expand(self._waiting.popleft())
        reasons = tuple(dict.fromkeys(self.unknown))
        for verdict in self.verdicts.values():
            if reasons and verdict.trace is None:
                verdict.unknown = "; ".join(filter(None, (verdict.unknown, *reasons)))
        return Outcome(len(self._seen), tuple(self.verdicts.values()), reasons)

    def _expand(self, node: _Node) -> None:
        ways = len(choices(self._work(node.state)))
        for number in range(ways):
            self._follow(node, number)

    def _follow(self, node: _Node, number: int) -> None:
        """Take one way, and go on to the next choice."""
        self._followed += 1
        work = self._work(node.state)
        way = choices(work)[number]
        reached = _Node((), node, way.entry)
        self._to_choice(reached, work, way.take)

    def _begin(self) -> None:
        run = begun(self.plan, self.monitors)
        self._judge(_Node(()), None, run)
        self._to_choice(_Node(()), self._work(run.frozen()), lambda: None)
        never = Run(Token(done=(True, NONE)), run.answers, cancelled=True)
        main = self.plan.machine.functions[0]
        places = [self.plan.place(main.name, number) for number in range(len(main.blocks))]
        place = next((place for place in places if place.line), places[0])
        early = _Node((), None, Entry(place, "the run is cancelled before it starts", outcome="cancel"))
        self._to_choice(early, self._work(never.frozen()), lambda: None)

    def _to_choice(self, reached: _Node, work: Work, take: Callable[[], None]) -> None:
        work.listen = lambda happened, place: self._judge(reached, (happened, place), work.run)
        try:
            take()
            choices(work)
        except NotUnderstood as why:
            self.unknown.append(f"{why} (line {why.place.line})" if why.place.line else str(why))
            return
        reached.state = work.run.frozen()
        key = canonical(reached.state)
        if key not in self._seen:
            self._seen.add(key)
            self._waiting.append(reached)

    def _work(self, state: Frozen) -> Work:
        return Work(self.plan, self.monitors, self.bounds, thawed(state), lambda _happened, _place: None)

    # --- invariants

    def _judge(self, node: _Node, last: tuple[Happening, Place] | None, run: Run) -> None:
        """Ask the invariants about a history that has not been seen before."""
        if (run.answers, run.status) in self._asked:
            return
        self._asked.add((run.answers, run.status))
        for name, predicate in self.invariants.items():
            verdict = self.verdicts[name]
            if verdict.trace is None and self._holds(verdict, predicate, run) is False:
                verdict.trace = tuple(_told([*node.trace()], last))

    def _holds(self, verdict: Verdict, predicate: Predicate, run: Run) -> bool | None:
        """What the predicate says; None: it says both, or nothing."""
        answers = set[bool]()
        for sample in SAMPLES:
            history = AbstractHistory(self.plan.machine.workflow, run.status, self.monitors, run.answers, self.names, sample)
            try:
                answers.add(bool(predicate(history)))
            except Exception as error:  # the predicate is the author's
                verdict.unknown = f"the invariant raised {type(error).__name__}: {error}"
                return None
            if not known_questions(history.asked, self.monitors):
                raise _NewQuestion
            if not history.saturated:
                break
        if len(answers) == 2:
            verdict.unknown = f"it depends on how many more than {SAMPLES[0] - 1} there are"
        return answers.pop() if len(answers) == 1 else None


def begun(plan: Plan, monitors: Monitors) -> Run:
    """A run that is about to begin."""
    return Run(Token([Frame(plan.machine.functions[0].name, 0, NO_FACTS)]), monitors.first())


def _told(trace: list[Entry], last: tuple[Happening, Place] | None) -> Iterator[Entry]:
    """The trace with what has broken the invariant at its end, unless that is what its last line says."""
    yield from trace
    if last is None:
        return
    happened, place = last
    if happened.kind == "ended":
        yield Entry(trace[-1].place if trace else place, f"the run ends: {happened.name}")
    elif happened.kind == "started":
        yield Entry(place, f"step '{happened.name}' is called")
    elif happened.kind == "sent":
        yield Entry(place, f"'{happened.name}' is sent")
