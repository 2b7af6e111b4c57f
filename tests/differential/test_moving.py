"""Runs of random programs that are moved again and again end as in Python: to and fro between their machine and the same one with
other numbers of blocks, at every place of which it is proven. What is refused there is refused for a reason."""

from __future__ import annotations

import gc
import re
import warnings
from collections import Counter
from dataclasses import replace

import pytest

from flowgraph_compiler.expressions import New
from flowgraph_compiler.lower.tidy import renumbered
from flowgraph_compiler.machine import Block, Fail, Function, Machine
from flowgraph_compiler.safe_points import NotProven, prove
from flowgraph_runtime.engine.commands import Decision
from flowgraph_runtime.engine.moving import carry_over
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.engine.run_state import ENDED, RunState
from flowgraph_runtime.engine.state import restore, snapshot
from flowgraph_runtime.positions import position_of
from flowgraph_runtime.records import JournalRow
from tests.differential.compare import LIMIT, prepared
from tests.differential.generator import generate
from tests.differential.native import Observed, describe_error, ping
from tests.engine.driver import Programs, drive, registry_of

GOOD_REASONS = re.compile(
    r"step '.*' is running|a step is running|what it does is being ended|a saga undoes|it waits for a run of another|"
    r"'.*' changed, and '.*' comes from it|"  # a subflow is not the same text with other numbers
    r"workflow '.*' may give something else now|it is on its way out of a block|it runs '|it is being cancelled"
)


def shifted(machine: Machine) -> Machine:
    """The machine with a block that nothing leads to, after the first block of each function."""
    return replace(machine, functions=tuple(_shifted(function) for function in machine.functions))


def _shifted(function: Function) -> Function:
    if function.kind == "pure":
        return function
    numbers = {number: number + (number > 0) for number in range(len(function.blocks))}
    first, *others = (_renumbered(block, numbers) for block in function.blocks)
    return replace(function, blocks=(first, Block((), Fail(New("ValueError", ()), None)), *others))


def _renumbered(block: Block, numbers: dict[int, int]) -> Block:
    handler = None if block.handler is None else numbers[block.handler]
    return replace(block, terminator=renumbered(block.terminator, numbers), handler=handler)


class Mover:
    """Moves the run after each transition where that is proven."""

    def __init__(self, program: Program, other: Program) -> None:
        self.program = program
        self._other = other
        self.moves = 0
        self.refused: Counter[str] = Counter()

    def begin(self, text: str, at: int) -> str:
        """The run's id."""
        del text, at
        return "run_01MOVED"

    def keep(self, state: RunState, row: JournalRow | None, decision: Decision, at: int) -> RunState | None:
        """Answers the state on the other machine."""
        del row, decision, at
        if state.phase == ENDED:
            return None
        text = snapshot(state, self.program)
        try:
            prove(self.program.machine, self._other.machine, position_of(text))
        except NotProven as why:
            self.refused[str(why)] += 1
            return None
        carried = restore(text, self.program)
        carry_over(carried, self._other)
        self.program, self._other = self._other, self.program
        self.moves += 1
        return restore(snapshot(carried, self.program), self.program)


def moved(seed: int) -> Mover | None:
    """Run the program of a seed with moves, and hold what it comes to against Python; None for one that is cancelled."""
    program = generate(seed)
    if program.is_cancelled:
        return None
    with prepared(program) as comparison:
        native, namespace = comparison.observed, comparison.namespace
        types = registry_of(comparison.compilation.application)
        machine = comparison.compilation.machines["flow"]
        programs = Programs(comparison.compilation.machines, types)
        mover = Mover(programs.of("flow"), Program.load(shifted(machine), types))
        calls = namespace["CALLS"]
        calls.clear()
        outcome = drive(
            comparison.compilation,
            "flow",
            [program.argument if program.trigger is None else ping(namespace, *program.trigger)],
            schedule_seed=seed,
            in_time=True,
            events=[
                *(ping(namespace, n, text) for n, text in program.events),
                *((delay, ping(namespace, n, text)) for delay, n, text in program.late),
            ],
            limit=LIMIT,
            programs=programs,
            keeper=mover,
        )
        value = outcome.payload if outcome.error is None else describe_error(outcome.error)
        assert Observed(outcome.status, value, Counter(map(repr, calls))) == native, f"seed {seed}"
    return mover


def run(seeds: range) -> int:
    """How often runs were moved."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")  # of calls that Python's run has cancelled
        movers = [mover for seed in seeds if (mover := moved(seed)) is not None]
        gc.collect()
    refused = sum((mover.refused for mover in movers), Counter[str]())
    assert [why for why in refused if not GOOD_REASONS.match(why)] == []
    return sum(mover.moves for mover in movers)


def test_moved_runs_end_as_in_python() -> None:
    assert run(range(5_000_000, 5_000_012)) >= 3


@pytest.mark.ci
@pytest.mark.parametrize(("first", "least"), [(5_001_000, 15), (5_001_050, 6), (5_001_100, 7), (5_001_150, 50)])
def test_more_moved_runs_end_as_in_python(first: int, least: int) -> None:
    assert run(range(first, first + 50)) >= least
