"""Many seeds, as long as asked: the body of `python -m tests.simulation` and of the long tier."""

from __future__ import annotations

import json
import logging
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tests.simulation.simulator import Simulation, Violation
from verification import ledger

KIND = "engine simulation"
CHUNK = 20
FIRST = 1_000_000
"""The first seed of long programmes: CI has those below."""
FAULTS = ("rejected", "applied-error", "crash-before", "crash-after", "crashes", "zombies")


@dataclass
class Found:
    """What a number of seeds came to. `violations`: the texts of those that broke a promise."""

    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Count what another process found."""
        self.seeds += other.seeds
        self.counts += other.counts
        self.violations += other.violations


def run_chunk(first: int, seeds: int = CHUNK) -> Found:
    """Simulate some seeds."""
    logging.disable(logging.CRITICAL)
    found = Found()
    for seed in range(first, first + seeds):
        found.seeds += 1
        try:
            found.counts += Simulation(seed).run().counts
        except Violation as violation:
            found.violations.append(str(violation))
        except Exception as error:
            found.violations.append(f"seed {seed}: {error!r}")
    return found


def next_seed() -> int:
    """The first seed that no programme of the ledger has had."""
    entries = [json.loads(line) for line in ledger.LEDGER.read_text(encoding="utf-8").splitlines()]
    return max((entry["seed_from"] + entry["seeds"] for entry in entries if entry["kind"] == KIND), default=FIRST)


def run(seeds: int, first: int, jobs: int, seconds: float = float("inf")) -> Found:
    """Simulate so many seeds, or until the time is over, in several processes; prints how far it is, and what was violated."""
    found, began = Found(), time.monotonic()
    chunks = _chunks(seeds, first)
    with ProcessPoolExecutor(jobs) as pool:
        waiting: set[Future[Found]] = {pool.submit(run_chunk, *chunk) for chunk in islice(chunks, jobs * 2)}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for each in done:
                found.add(each.result())
                print("\n".join(each.result().violations), end="", flush=True)
            if time.monotonic() - began < seconds:
                waiting |= {pool.submit(run_chunk, *chunk) for chunk in islice(chunks, len(done))}
            rate = found.seeds / (time.monotonic() - began)
            print(f"{found.seeds:>7,} seeds, {len(found.violations)} violations, {rate:.1f} seeds/s", file=sys.stderr, flush=True)
    return found


def _chunks(seeds: int, first: int) -> Iterator[tuple[int, int]]:
    for begin in range(first, first + seeds, CHUNK):
        yield begin, min(CHUNK, first + seeds - begin)


def summary(found: Found, first: int, seconds: float) -> dict[str, Any]:
    """What the ledger keeps of a programme."""
    counts = found.counts
    return {
        "seeds": found.seeds,
        "seed_from": first,
        "violations": len(found.violations),
        "faults": {name: counts[name] for name in FAULTS},
        "attempts": counts["attempts"],
        "attempts_again": counts["repeated attempts"],
        "workers": counts["workers"],
        "ended": {name: counts[name] for name in ("completed", "failed", "cancelled", "crashed")},
        "ticks": counts["ticks"],
        "python": platform.python_version(),
        "seconds": round(seconds, 1),
    }
