"""Records, for each planted miscompilation, the first seed whose program shows it: `python -m tests.differential.record`.

Run it whenever the generator draws other programs; CI replays what is recorded, and the long tier searches anew.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.differential.compare import Difference, compare
from tests.differential.planted import PLANTS

RECORDED = Path(__file__).with_name("planted_seeds.json")
MOST = 2_000
"""Seeds that are tried."""


def finder(name: str, seeds: Iterable[int] = range(MOST)) -> int | None:
    """The first of the seeds whose program shows the bug; one that is refused, or a crash of the compiler, shows nothing."""
    plant = next(plant for plant in PLANTS if plant.__name__ == name)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        plant(patch)
        for seed in seeds:
            try:
                compare(seed)
            except Difference as difference:
                if " refused: " not in str(difference):
                    return seed
    return None


def main() -> None:
    """Search for all of them, side by side, and write what was found."""
    names = [plant.__name__ for plant in PLANTS]
    with ProcessPoolExecutor() as pool:
        found = dict(zip(names, pool.map(finder, names), strict=True))
    RECORDED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{sum(seed is not None for seed in found.values())} of {len(found)} found")


if __name__ == "__main__":
    main()
