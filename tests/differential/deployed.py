"""Runs of random programs that are moved to changed programs, wherever that is proven, and what must come of them.

    old program   . . . . k |            moved: its past is the old program's, its future the new one's
    new program   . . . . k | . . . .    direct: run from its start, under the same events

Where both have had the same past (inputs, step calls and their order) and wait at the same place, the moved run must end as the
direct one. Where the pasts differ, each variable that is kept must be what the new program holds when it comes to that place as
often; that is looked at where nothing but the program decides what happens.
"""

from __future__ import annotations

import ast
import random
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from flowgraph.codec import dumps
from flowgraph_compiler import safe_points
from flowgraph_compiler.diagnostics import has_errors
from flowgraph_compiler.machine import Machine, Suspend
from flowgraph_compiler.pipeline import Compilation, compile_application
from flowgraph_compiler.safe_points import NotProven, Place, Position
from flowgraph_compiler.source import SourceError, from_text
from flowgraph_runtime.engine.commands import Decision
from flowgraph_runtime.engine.cursors import Cursor
from flowgraph_runtime.engine.moving import carry_over
from flowgraph_runtime.engine.program import Program as Loaded
from flowgraph_runtime.engine.run_state import ENDED, RunState
from flowgraph_runtime.engine.state import restore, snapshot
from flowgraph_runtime.positions import position_of
from flowgraph_runtime.records import JournalRow
from tests.differential.changes import changed, paused
from tests.differential.generator import generate
from tests.differential.native import describe_error, ping
from tests.differential.prelude import declarations
from tests.differential.programs import Program
from tests.differential.small_flows import small_program
from tests.engine.driver import Outcome, Programs, Stuck, drive, registry_of

LIMIT = 600
MOVES = 3
"""Places of one program at which a run is moved."""

LONG = 0.15
"""How many of the programs are those of the comparison with CPython, the others short ones."""

AROUND = (
    ("BASE = 7", "BASE = 8"),
    ('NAMES = ("ann", "bob", "cid")', 'NAMES = ("ann", "bo", "cid")'),
    ("PAUSE = timedelta(minutes=90)", "PAUSE = timedelta(minutes=80)"),
    ("async def add(a: int, b: int = 1) -> int:", "async def add(a: int, b: int = 1) -> bool:"),
    ("async def very(n: int) -> int:", "async def very(n: int) -> bool:"),
    ("async def label(n: int) -> str:", "async def label(n: int | str) -> str:"),
)
"""What changes around the functions: constants and signatures of steps."""

_OUTSIDE = re.compile(r"wait_for|now\(|uuid\(|run_info|race|sleep_until|kid\d|hurried|timeout\(|slow")
"""What makes a value depend on more than the program and its argument."""


class Difference(AssertionError):
    """A moved run did something else than was promised."""


@dataclass
class Seen:
    """What a series of programs came to."""

    programs: int = 0
    alike: int = 0  # moves that were compared with a direct run to its end
    kept: int = 0  # moves whose variables were compared
    unheld: int = 0  # moves of which only the end could be looked at
    refused: Counter[str] = field(default_factory=Counter[str])


@dataclass
class Version:
    """One text of the program, compiled."""

    functions: str
    compilation: Compilation
    loaded: Loaded
    programs: Programs

    @property
    def machine(self) -> Machine:
        return self.loaded.machine


@dataclass(frozen=True)
class Moment:
    """A run after one transition: the text of its state, where it stands, how often it has come to stand there, its past."""

    text: str
    position: Position | None
    standing: str
    visit: int
    past: tuple[str, ...]


class Recorder:
    """Notes the moments of a run."""

    def __init__(self, version: Version, calls: list[tuple[object, ...]]) -> None:
        self.program = version.loaded
        self.moments: list[Moment] = []
        self._calls = calls
        self._past: list[str] = []
        self._arrivals: dict[str, list[int]] = {}

    def begin(self, text: str, at: int) -> str:
        del text, at
        return "run_01MOVED"

    def keep(self, state: RunState, row: JournalRow | None, decision: Decision, at: int) -> RunState | None:
        del decision, at
        if row is not None:
            self._past.append(f"{row.kind} {row.site} {row.visit} {row.attempt} {row.at} {_told(row)}")
        self._note(state)
        return None

    def _note(self, state: RunState) -> None:
        text = snapshot(state, self.program)
        over = state.phase == ENDED or state.main.pending is None
        position = None if over else position_of(text)
        where = "over" if position is None else _standing(self.program.machine, position)
        arrivals = self._arrivals.setdefault(where, [])
        serial = -1 if state.main.pending is None else state.main.pending.serial
        if serial not in arrivals:
            arrivals.append(serial)
        past = (*self._past, *map(repr, self._calls))
        self.moments.append(Moment(text, position, where, len(arrivals), past))


class Deployment(Recorder):
    """Moves the run after its `number`-th transition, with all that it calls."""

    def __init__(self, old: Version, new: Version, calls: list[tuple[object, ...]], number: int, deployed: Programs) -> None:
        super().__init__(old, calls)
        self._new = new
        self._number = number
        self._deployed = deployed
        self._count = 0
        self.carried: list[dict[str, str]] = []

    def keep(self, state: RunState, row: JournalRow | None, decision: Decision, at: int) -> RunState | None:
        del row, decision, at
        self._count += 1
        if self._count != self._number + 1:
            return None
        carried = restore(snapshot(state, self.program), self.program)
        carry_over(carried, self._new.loaded)
        self.program = self._new.loaded
        vars(self._deployed).update(vars(self._new.programs))
        made = restore(snapshot(carried, self.program), self.program)
        self.carried = _variables(made)
        return made


def _told(row: JournalRow) -> str:
    """What came in, without what tells how it was stored."""
    return "" if row.kind == "timer" else _without_tracebacks(row.payload)


def _standing(machine: Machine, position: Position) -> str:
    return f"{position.phase} {position.cancelling} {_place(machine, position.main)}"


def _place(machine: Machine, place: Place) -> str:
    sites = []
    for call in place.frames:
        function = machine.functions[call.function]
        end = function.blocks[call.block].terminator
        assert isinstance(end, Suspend)
        sites.append(f"{function.name}:{end.action.site}")
    inner = sorted(_place(machine, branch) for branch in place.branches)
    return f"{place.index} {place.wait} {place.busy} {sites} {inner}"


# --- the two programs


def versions(seed: int, chance: random.Random) -> tuple[Program, Version, Version, str] | None:
    """A program, its machine, the machine of a changed text and what was changed; None where the language refuses the change."""
    if chance.random() < LONG:
        program = replace(generate(seed), cancel_after=None, cancel_during=None)
        before = paused(program.functions, chance)
    else:
        program = small_program(seed)
        before = f"{ast.unparse(ast.parse(program.functions))}\n"
    names, after = changed(before, chance)
    if chance.random() < 0.15:
        names, after = (), before
    trigger = "dict[str, int]" if program.trigger is None else "Ping"
    around = other = declarations(before + after, trigger)
    fitting = [pair for pair in AROUND if pair[0] in around]
    if fitting and (not names or chance.random() < 0.1):
        was, becomes = chance.choice(fitting)
        names, other = (*names, becomes), around.replace(was, becomes)
    old = _version(around, before, f"moved_{seed}_old")
    new = _version(other, after, f"moved_{seed}_new")
    if old is None or new is None or not names or old.loaded.fingerprint == new.loaded.fingerprint:
        return None
    for each in (old, new):
        _namespace(each)["CALLS"] = _namespace(old)["CALLS"]
    return program, old, new, ", ".join(names)


def _version(around: str, functions: str, name: str) -> Version | None:
    try:
        compilation = compile_application((from_text(around + functions, name),))
    except SourceError:
        return None
    if has_errors(compilation.diagnostics) or "flow" not in compilation.machines:
        return None
    programs = Programs(compilation.machines, registry_of(compilation.application))
    return Version(functions, compilation, programs.of("flow"), programs)


def _namespace(version: Version) -> dict[str, Any]:
    return vars(version.compilation.application.modules[0].module)


@dataclass(frozen=True)
class End:
    """What a run came to, as both sides must agree on it."""

    status: str
    value: str
    calls: tuple[str, ...]
    at: int


def _run(program: Program, version: Version, keeper: Recorder, deployed: Programs) -> End:
    namespace = _namespace(version)
    calls = namespace["CALLS"]
    calls.clear()
    try:
        outcome: Outcome = drive(
            version.compilation,
            "flow",
            [program.argument if program.trigger is None else ping(namespace, *program.trigger)],
            in_time=True,
            events=[
                *(ping(namespace, n, text) for n, text in program.events),
                *((delay, ping(namespace, n, text)) for delay, n, text in program.late),
            ],
            limit=LIMIT,
            programs=deployed,
            keeper=keeper,
        )
    except Stuck:
        return End("stuck", "", tuple(map(repr, calls)), 0)
    except AssertionError as error:
        if "has not ended" not in str(error):
            raise
        return End("endless", "", (), 0)
    return End(outcome.status, _value(outcome), tuple(map(repr, calls)), outcome.ended_at)


def _value(outcome: Outcome) -> str:
    return outcome.payload if outcome.error is None else describe_error(outcome.error)


# --- a run that is moved


class Redeployed:
    """A program and a change of it, each run from its start."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(f"change {seed}")
        self.seed = seed
        self._versions = versions(seed, chance)
        self._chance = chance.random()
        if self._versions is not None:
            program, old, new, self.what = self._versions
            self._calls = _namespace(old)["CALLS"]
            before, direct = Recorder(old, self._calls), Recorder(new, self._calls)
            _run(program, old, before, _copy(old.programs))
            self._end = _run(program, new, direct, _copy(new.programs))
            self._before, self._direct = before.moments, direct.moments

    def judge(self, seen: Seen) -> None:
        """Move the run at some of the places where that is proven. Raises `Difference`."""
        if self._versions is None:
            return
        program, old, new, _ = self._versions
        seen.programs += 1
        for number in self._places(old, new, seen):
            deployed = _copy(old.programs)
            keeper = Deployment(old, new, self._calls, number, deployed)
            moment = self._before[number]
            try:
                moved = _run(program, old, keeper, deployed)
            except Exception as error:
                raise self._difference(moment, f"{type(error).__name__}: {error}") from error
            problem = self._problem(number, moved, keeper.carried, seen)
            if problem is not None:
                raise self._difference(moment, problem)

    def _difference(self, moment: Moment, problem: str) -> Difference:
        return Difference(f"seed {self.seed} ({self.what}), moved at {moment.standing}: {problem}")

    def _places(self, old: Version, new: Version, seen: Seen) -> list[int]:
        """Numbers of transitions after which the run can move, one for each standing, a few of all."""
        chance = random.Random(self._chance)
        proven: dict[str, list[int]] = {}
        for number, moment in enumerate(self._before):
            if moment.position is not None:
                try:
                    safe_points.prove(old.machine, new.machine, moment.position)
                except NotProven as why:
                    seen.refused[str(why)] += 1
                else:
                    proven.setdefault(moment.standing, []).append(number)
        chosen = [chance.choice(numbers) for numbers in proven.values()]
        return sorted(chance.sample(chosen, min(MOVES, len(chosen))))

    def _problem(self, number: int, moved: End, held: list[dict[str, str]], seen: Seen) -> str | None:
        """What is not as promised; None: all is."""
        moment = self._before[number]
        if "UnboundLocalError" in moved.value or "NameError" in moved.value:
            return f"it ended {moved.status} with {moved.value}"
        other = self._direct[number] if number < len(self._direct) else None
        if other is not None and other.past == moment.past and other.standing == moment.standing:
            seen.alike += 1
            return None if moved == self._end else f"\n  moved:  {moved}\n  direct: {self._end}"
        return self._unlike(moment, held, seen)

    def _unlike(self, moment: Moment, held: list[dict[str, str]], seen: Seen) -> str | None:
        assert self._versions is not None
        _, old, new, _ = self._versions
        twin = next((one for one in self._direct if one.standing == moment.standing and one.visit == moment.visit), None)
        if twin is None or any(_OUTSIDE.search(version.functions) for version in (old, new)):
            seen.unheld += 1
            return None
        seen.kept += 1
        wanted = _variables(restore(twin.text, new.loaded))
        return None if held == wanted else f"\n  it holds:         {held}\n  the new one has: {wanted}"


def _copy(programs: Programs) -> Programs:
    """The same programs, which can become others."""
    made = Programs.__new__(Programs)
    vars(made).update(vars(programs))
    return made


def _variables(state: RunState) -> list[dict[str, str]]:
    return [
        {name: _shown(frame.variables[name]) for name in frame.current.live if name in frame.variables}
        for frame in state.main.frames
    ]


def _shown(value: Any) -> str:
    return f"{value.kind} {value.state()}" if isinstance(value, Cursor) else _without_tracebacks(dumps(value))


def _without_tracebacks(text: str) -> str:
    return re.sub(r',?"traceback":"(?:[^"\\]|\\.)*"', "", text)


def series(seeds: range, told: Callable[[str], None] | None = None) -> Seen:
    """Judge the programs of all seeds. Raises `Difference` at the first, or tells of each."""
    seen = Seen()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of calls that are never awaited, and of what changed programs do
        for seed in seeds:
            try:
                Redeployed(seed).judge(seen)
            except Difference as found:
                if told is None:
                    raise
                told(str(found))
    return seen


if __name__ == "__main__":
    print(series(range(int(sys.argv[1]), int(sys.argv[2])), print))
