"""Many programs, as long as asked: the body of `python -m tests.differential` and of the long tier.

The seeds go on where the ledger of earlier programmes ends, so that what is counted there are different programs.
"""

from __future__ import annotations

import json
import platform
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.differential.compare import Counts, Difference, compare_program
from tests.differential.generator import generate
from tests.differential.minimise import report
from verification import ledger

KIND = "differential fuzzing"
CHUNK = 100
FIRST = 1_000_000
"""The first seed of long programmes: CI has those below."""


@dataclass
class Found:
    """What a number of programs came to. `different`: the reports of those that differ."""

    counts: Counts = field(default_factory=Counts)
    different: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Count what another process found."""
        mine, theirs = self.counts, other.counts
        mine.programs += theirs.programs
        mine.transitions += theirs.transitions
        mine.rebuilt += theirs.rebuilt
        mine.calls += theirs.calls
        mine.statuses += theirs.statuses
        self.different += other.different


def run_chunk(first: int, programs: int = CHUNK) -> Found:
    """Compare the programs of some seeds; each that differs is minimised."""
    found = Found()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        for seed in range(first, first + programs):
            program = generate(seed)
            try:
                compare_program(program, found.counts)
            except Difference as difference:
                found.different.append(_report(program, str(difference)))
    return found


def _report(program: Any, difference: str) -> str:
    try:
        return report(program, difference)
    except ValueError:
        return f"{difference}\n\n(it does not differ again: python -m tests.differential.compare {program.seed})"


def next_seed() -> int:
    """The first seed that no programme of the ledger has had."""
    entries = [json.loads(line) for line in ledger.LEDGER.read_text(encoding="utf-8").splitlines()]
    return max((entry["seed_from"] + entry["programs"] for entry in entries if entry["kind"] == KIND), default=FIRST)


def run(programs: int, first: int, jobs: int, seconds: float = float("inf")) -> Found:
    """Compare so many programs, or until the time is over, in several processes; prints how far it is, and what differs."""
    found, began = Found(), time.monotonic()
    chunks = _chunks(programs, first)
    with ProcessPoolExecutor(jobs) as pool:
        waiting: set[Future[Found]] = {pool.submit(run_chunk, *chunk) for _, chunk in zip(range(jobs * 2), chunks, strict=False)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for each in done:
                found.add(each.result())
                print("\n".join(each.result().different), end="", flush=True)
            if time.monotonic() - began < seconds:
                waiting |= {pool.submit(run_chunk, *chunk) for _, chunk in zip(range(len(done)), chunks, strict=False)}
            _progress(found, time.monotonic() - began)
    return found


def _chunks(programs: int, first: int) -> Iterator[tuple[int, int]]:
    for number in count():
        rest = programs - number * CHUNK
        if rest <= 0:
            return
        yield first + number * CHUNK, min(CHUNK, rest)


def _progress(found: Found, seconds: float) -> None:
    counts = found.counts
    total = counts.programs + len(found.different)
    print(
        f"{total:>8,} programs, {len(found.different)} differences, {total / seconds:.1f} programs/s", file=sys.stderr, flush=True
    )


def summary(found: Found, first: int, seconds: float) -> dict[str, Any]:
    """What the ledger keeps of a programme."""
    counts = found.counts
    return {
        "programs": counts.programs + len(found.different),
        "seed_from": first,
        "differences": len(found.different),
        "transitions": counts.transitions,
        "states_from_rows": counts.rebuilt,
        "step_calls": counts.calls,
        "statuses": dict(Counter(counts.statuses)),
        "python": platform.python_version(),
        "seconds": round(seconds, 1),
    }
