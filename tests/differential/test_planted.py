"""The comparison with CPython finds each planted miscompilation: by its recorded seed, and in the long tier by searching."""

from __future__ import annotations

import json

import pytest

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
