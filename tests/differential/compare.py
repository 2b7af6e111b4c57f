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
from dataclasses import dataclass, field

from flowgraph_compiler.diagnostics import Level, has_errors
from flowgraph_compiler.pipeline import Compilation, compile_application
from flowgraph_compiler.source import from_text
from tests.differential.generator import FEATURES, Program, generate
from tests.differential.native import Observed, describe_error, pings, run_native
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
    """Compile a generated program; that it is refused is a difference too."""
    compilation = compile_application((from_text(program.text, f"generated_{program.seed}"),))
    if has_errors(compilation.diagnostics):
        raise Difference(
            f"seed {program.seed} refused: "
            + "; ".join(
                f"{d.rule.code} line {d.span.line}: {d.message}" for d in compilation.diagnostics if d.severity is Level.ERROR
            )
        )
    return compilation


def compare(seed: int, counts: Counts | None = None) -> None:
    """Run the program of a seed both ways. Raises `Difference` with all that is needed to look into it."""
    program = generate(seed)
    compilation = compiled(program)
    namespace = vars(compilation.application.modules[0].module)
    try:
        native = run_native(program, namespace)
        machine, transitions = _run_machine(program, compilation, namespace)
    except Difference:
        raise
    except Exception as error:
        raise Difference(f"seed {seed}: {type(error).__name__}: {error} (python -m tests.differential.compare {seed})") from error
    finally:
        sys.modules.pop(f"generated_{seed}", None)
    if machine != native:
        raise Difference(_explain(program, native, machine))
    if counts is not None:
        counts.add(program, native, transitions)


def _run_machine(program: Program, compilation: Compilation, namespace: dict[str, object]) -> tuple[Observed, int]:
    calls = namespace["CALLS"]
    assert isinstance(calls, list)
    calls.clear()
    outcome = drive(compilation, "flow", [program.argument], schedule_seed=program.seed, events=pings(program, namespace))
    value = outcome.payload if outcome.error is None else describe_error(outcome.error)
    return Observed(outcome.status, value, Counter(map(repr, calls))), len(outcome.journal)


def _explain(program: Program, native: Observed, machine: Observed) -> str:
    more, fewer = machine.calls - native.calls, native.calls - machine.calls
    return (
        f"seed {program.seed} (python -m tests.differential.compare {program.seed}; "
        f"python -m tests.differential.generator {program.seed} prints it)\n"
        f"  Python:  {native.status} {native.value[:600]}\n  machine: {machine.status} {machine.value[:600]}\n"
        f"  calls only in the machine: {dict(more)}\n  calls only in Python: {dict(fewer)}"
    )


def main() -> None:
    first, last = int(sys.argv[1]), int(sys.argv[-1]) if len(sys.argv) > 2 else int(sys.argv[1])
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    counts, different, started = Counts(), 0, time.monotonic()
    for seed in range(first, last + 1):
        try:
            compare(seed, counts)
        except Difference as difference:
            different += 1
            print(difference)
    missing = [name for name in FEATURES if not counts.features[name]]
    print(
        f"{counts.programs + different} programs, {different} differences, {counts.transitions} transitions, {counts.calls} step calls,"
        f" {dict(counts.statuses)}, {time.monotonic() - started:.0f} s" + (f"; features never on: {missing}" if missing else "")
    )
    gc.collect()
    asyncio.set_event_loop(None)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
