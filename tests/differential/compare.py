"""One program, run natively and by its machine, and compared.

python -m tests.differential.compare SEED [LAST]      # prints what differs; exit code 1 when anything does
"""

from __future__ import annotations

import asyncio
import gc
import linecache
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from flowgraph_compiler.diagnostics import Level
from flowgraph_compiler.pipeline import Compilation, compile_application
from flowgraph_compiler.source import from_text
from tests.differential.generator import generate
from tests.differential.native import Observed, Singled, describe_error, ping, run_native, single_out
from tests.differential.programs import APART, FEATURES, Program
from tests.differential.rows import Database, Kept
from tests.engine.driver import Programs, drive, registry_of

LIMIT = 3_000
"""Transitions of a program: one that takes more does not end."""


class Difference(AssertionError):
    """The machine did something else than Python."""


@dataclass
class Counts:
    """What a series of programs contained: a comparison of trivial programs proves little."""

    programs: int = 0
    transitions: int = 0
    rebuilt: int = 0
    calls: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)

    def add(self, program: Program, observed: Observed, transitions: int, rebuilt: int) -> None:
        """Count one program."""
        self.programs += 1
        self.transitions += transitions
        self.rebuilt += rebuilt
        self.calls += sum(observed.calls.values())
        self.statuses[observed.status] += 1
        self.features.update(program.features)


def compiled(program: Program) -> Compilation:
    """Compile a program; that it is refused is a difference too."""
    compilation = compile_application((from_text(program.text, program.module),))
    errors = [found for found in compilation.diagnostics if found.severity is Level.ERROR]
    if errors:
        raise Difference(
            f"{program.name} refused: " + "; ".join(f"{d.rule.code} line {d.span.line}: {d.message}" for d in errors)
        )
    return compilation


class Comparison:
    """One program, compiled and run as ordinary Python, once as it is and once without its cancel."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.compilation = compiled(program)
        self.namespace: dict[str, Any] = vars(self.compilation.application.modules[0].module)
        variants = [program, *([replace(program, cancel_after=None, cancel_during=None)] if program.is_cancelled else [])]
        self.rebuilt = 0
        self._natives = [(each, *self._native(each)) for each in variants]

    @property
    def observed(self) -> Observed:
        """What the program came to in Python."""
        return self._natives[0][2]

    def _native(self, program: Program) -> tuple[Singled | None, Observed]:
        singled = single_out(program, self.namespace)
        return singled, run_native(program, self.namespace, singled)

    def check(self, compilation: Compilation | None = None) -> int:
        """Run the machine from memory in order, and from stored states in a random order; answer the number of transitions.

        `compilation`: another one of the same text. Raises `Difference`."""
        compilation = compilation or self.compilation
        machines = Programs(compilation.machines, registry_of(compilation.application))
        transitions = 0
        for program, singled, native in self._natives:
            for schedule in (None, program.seed):
                kept = None
                if schedule is not None and is_kept(program):
                    kept = Kept(database(), machines.of("flow"), schedule)
                observed, taken = self._run_machine(program, singled, schedule, compilation, machines, kept)
                self.rebuilt += 0 if kept is None else kept.rebuilt
                if observed != native:
                    raise Difference(_explain(program, native, observed))
                transitions += taken
        return transitions

    def _run_machine(
        self,
        program: Program,
        singled: Singled | None,
        schedule: int | None,
        compilation: Compilation,
        machines: Programs,
        kept: Kept | None,
    ) -> tuple[Observed, int]:
        calls = self.namespace["CALLS"]
        calls.clear()
        outcome = drive(
            compilation,
            "flow",
            [program.argument if program.trigger is None else ping(self.namespace, *program.trigger)],
            schedule_seed=schedule,
            in_memory=schedule is None,
            in_time=True,
            events=[
                *(ping(self.namespace, n, text) for n, text in program.events),
                *((delay, ping(self.namespace, n, text)) for delay, n, text in program.late),
            ],
            cancel_after=program.cancel_after,
            cancel_during=None if singled is None else lambda: singled.is_last(calls),
            limit=LIMIT,
            programs=machines,
            keeper=kept,
        )
        value = outcome.payload if outcome.error is None else describe_error(outcome.error)
        return Observed(outcome.status, value, Counter(map(repr, calls))), len(outcome.journal)


def is_kept(program: Program) -> bool:
    """Whether the program is one of those, one of ten, whose state is built anew from database rows."""
    return program.seed % 10 == 3


@cache
def database() -> Database:
    """The database of this process."""
    return Database()


@contextmanager
def prepared(program: Program) -> Iterator[Comparison]:
    """The comparison of a program, whose module is gone afterwards."""
    try:
        yield Comparison(program)
    finally:
        sys.modules.pop(program.module, None)
        linecache.cache.pop(f"{program.module}.py", None)


def compare(seed: int, counts: Counts | None = None) -> None:
    """Run the program of a seed both ways. Raises `Difference` with all that is needed to look into it."""
    compare_program(generate(seed), counts)


def compare_program(program: Program, counts: Counts | None = None) -> Observed:
    """Run a program both ways and return what both came to."""
    try:
        with prepared(program) as comparison:
            transitions = comparison.check()
    except Difference:
        raise
    except Exception as error:
        raise Difference(f"{program.name}: {type(error).__name__}: {error}") from error
    if counts is not None:
        counts.add(program, comparison.observed, transitions, comparison.rebuilt)
    return comparison.observed


def _explain(program: Program, native: Observed, machine: Observed) -> str:
    more, fewer = machine.calls - native.calls, native.calls - machine.calls
    return (
        f"{program.name} (`python -m tests.differential.compare SEED` runs it, `... .generator SEED` prints it)\n"
        f"  Python:  {native.status} {native.value[:600]}\n  machine: {machine.status} {machine.value[:600]}\n"
        f"  calls only in the machine: {dict(more)}\n  calls only in Python: {dict(fewer)}"
    )


def main() -> None:
    first, last = int(sys.argv[1]), int(sys.argv[-1]) if len(sys.argv) > 2 else int(sys.argv[1])
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    counts, different = Counts(), 0
    for seed in range(first, last + 1):
        try:
            compare(seed, counts)
        except Difference as difference:
            different += 1
            print(difference, flush=True)
    print(
        f"{counts.programs + different} programs, {different} differences, {counts.transitions} transitions, "
        f"{counts.rebuilt} states built from rows, "
        f"{counts.calls} step calls, {dict(counts.statuses)}, {time.process_time():.0f} s of CPU"
    )
    if counts.programs > 300 and (missing := [name for name in (*FEATURES, *APART) if not counts.features[name]]):
        print(f"features never on: {missing}")
    gc.collect()
    asyncio.set_event_loop(None)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
