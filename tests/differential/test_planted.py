"""The comparison with CPython finds each planted miscompilation: by its recorded seed, and in the long tier by searching."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.differential import planted_scopes
from tests.differential.planted import PLANTS
from tests.differential.record import RECORDED, finder

NAMES = [plant.__name__ for plant in PLANTS]
SEEDS: dict[str, int] = json.loads(RECORDED.read_text(encoding="utf-8"))
AGAIN = "if the generator has changed, run `python -m tests.differential.record`"


def test_every_planted_miscompilation_has_a_seed() -> None:
    assert SEEDS.keys() == set(NAMES), AGAIN
    assert None not in SEEDS.values(), AGAIN


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_miscompilation_is_found(name: str) -> None:
    assert finder(name, (SEEDS[name],)) == SEEDS[name], AGAIN


@pytest.mark.verify
@pytest.mark.parametrize("name", NAMES)
def test_a_planted_miscompilation_is_found_by_searching(name: str) -> None:
    assert finder(name) is not None


@pytest.mark.parametrize("plant", planted_scopes.PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_of_the_scopes_is_found(plant: Callable[[pytest.MonkeyPatch], None]) -> None:
    seed = planted_scopes.PLANTS[plant]
    assert planted_scopes.shows(plant, (seed,)) == seed
