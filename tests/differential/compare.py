"""One program, run natively and by its machine, and compared.

python -m tests.differential.compare SEED [LAST]      # prints what differs; exit code 1 when anything does
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from flowgraph_compiler.diagnostics import Level
from flowgraph_compiler.pipeline import Compilation, compile_application
from flowgraph_compiler.source import from_text
from tests.differential.generator import generate
from tests.differential.native import Observed, Singled, describe_error, ping, run_native, single_out
from tests.differential.programs import FEATURES, SCOPE_FEATURES, SCOPED, Program
from tests.engine.driver import drive


class Difference(AssertionError):
    """The machine did something else than Python."""


@dataclass
class Counts:
    """What a series of programs contained: a comparison of trivial programs proves little."""

    programs: int = 0
    transitions: int = 0
    calls: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)

    def add(self, program: Program, observed: Observed, transitions: int) -> None:
        """Count one program."""
        self.programs += 1
        self.transitions += transitions
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


def compare(seed: int, counts: Counts | None = None) -> None:
    """Run the program of a seed both ways. Raises `Difference` with all that is needed to look into it."""
    compare_program(generate(seed), counts)


def compare_program(program: Program, counts: Counts | None = None) -> Observed:
    """Run a program both ways and return what both came to."""
    compilation = compiled(program)
    namespace = vars(compilation.application.modules[0].module)
    try:
        observed, transitions = _both_ways(program, compilation, namespace)
        if program.is_cancelled:
            _both_ways(replace(program, cancel_after=None, cancel_during=None), compilation, namespace)
    except Difference:
        raise
    except Exception as error:
        raise Difference(f"{program.name}: {type(error).__name__}: {error}") from error
    finally:
        sys.modules.pop(program.module, None)
    if counts is not None:
        counts.add(program, observed, transitions)
    return observed


def _both_ways(program: Program, compilation: Compilation, namespace: dict[str, Any]) -> tuple[Observed, int]:
    """Run it once natively, and its machine from memory in order, and from stored states in a random order."""
    singled = single_out(program, namespace)
    native = run_native(program, namespace, singled)
    transitions = 0
    for schedule in (None, program.seed):
        machine, taken = _run_machine(program, compilation, namespace, singled, schedule)
        if machine != native:
            raise Difference(_explain(program, native, machine))
        transitions += taken
    return native, transitions


def _run_machine(
    program: Program, compilation: Compilation, namespace: dict[str, Any], singled: Singled | None, schedule: int | None
) -> tuple[Observed, int]:
    calls = namespace["CALLS"]
    calls.clear()
    outcome = drive(
        compilation,
        "flow",
        [program.argument if program.trigger is None else ping(namespace, *program.trigger)],
        schedule_seed=schedule,
        in_memory=schedule is None,
        in_time=True,
        events=[
            *(ping(namespace, n, text) for n, text in program.events),
            *((delay, ping(namespace, n, text)) for delay, n, text in program.late),
        ],
        cancel_after=program.cancel_after,
        cancel_during=None if singled is None else lambda: singled.is_last(calls),
    )
    value = outcome.payload if outcome.error is None else describe_error(outcome.error)
    return Observed(outcome.status, value, Counter(map(repr, calls))), len(outcome.journal)


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
        f"{counts.calls} step calls, {dict(counts.statuses)}, {time.process_time():.0f} s of CPU"
    )
    expected = (*FEATURES, *SCOPE_FEATURES) if last >= SCOPED else FEATURES
    if missing := [name for name in expected if not counts.features[name]]:
        print(f"features never on: {missing}")
    gc.collect()
    asyncio.set_event_loop(None)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
