"""Records, for each bug planted into the engine, the first seed that finds it: `python -m tests.simulation.record [NAME ...]`.

Run it when the simulator draws other loads or faults: CI replays what is recorded, the long tier searches anew.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from tests.simulation.limits_watch import LIMITED_SEEDS
from tests.simulation.planted import LIMITED, PLANTS
from tests.simulation.simulator import Simulation, Violation

RECORDED = Path(__file__).with_name("planted_seeds.json")
MOST = 3_000
"""Seeds that are tried."""


def shows(seed: int, name: str) -> bool:
    """Whether the simulation of a seed finds the planted bug."""
    with pytest.MonkeyPatch.context() as patch:
        PLANTS[name](patch)
        try:
            Simulation(seed).run()
        except Violation:
            return True
        except Exception as error:  # breaks the simulator, which proves nothing
            print(f"{name}, seed {seed}: {error!r}")
    return False


def search(name: str, most: int = MOST) -> int | None:
    """The first seed that finds the bug."""
    seeds = range(LIMITED_SEEDS, most, 3) if name in LIMITED else range(most)
    return next((seed for seed in seeds if shows(seed, name)), None)


def main() -> None:
    """Search for all of them, or those named; each is written when it is found."""
    logging.disable(logging.CRITICAL)
    known: dict[str, int | None] = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    for name in sys.argv[1:] or PLANTS:
        known[name] = search(name)
        print(name, known[name], flush=True)
        found = {each: known[each] for each in PLANTS if each in known}
        RECORDED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
