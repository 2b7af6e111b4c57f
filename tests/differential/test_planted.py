"""The comparison with CPython finds each planted miscompilation: by its recorded seed, and in the long tier by searching."""

from __future__ import annotations

import json

import pytest

from tests.differential.planted import PLANTS
from tests.differential.record import RECORDED, search

NAMES = [plant.__name__ for plant in PLANTS]
SEEDS: dict[str, int | None] = json.loads(RECORDED.read_text(encoding="utf-8"))
FOUND = {name: seed for name, seed in SEEDS.items() if seed is not None}
AGAIN = "if the generator has changed, run `python -m tests.differential.record`"


def test_at_least_95_of_100_planted_miscompilations_have_a_seed() -> None:
    assert SEEDS.keys() == set(NAMES), AGAIN
    assert len(NAMES) >= 60
    assert len(FOUND) >= 0.95 * len(NAMES), AGAIN


@pytest.mark.ci
@pytest.mark.parametrize("seed", sorted(set(FOUND.values())))
def test_planted_miscompilations_are_found(seed: int) -> None:
    names = [name for name in FOUND if FOUND[name] == seed]
    assert search(names, (seed,)) == dict.fromkeys(names, seed), AGAIN


@pytest.mark.verify
@pytest.mark.parametrize("name", FOUND)
def test_a_planted_miscompilation_is_found_by_searching(name: str) -> None:
    assert search([name])[name] is not None
