"""The comparison with CPython finds each planted miscompilation."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest

from tests.differential.compare import Difference, compare
from tests.differential.planted import PLANTS, QUICK

SEEDS = 250
Plant = Callable[[pytest.MonkeyPatch], None]


def first_difference(plant: Plant) -> str | None:
    """What the first program that shows the bug says; a program that is refused, or a crash of the compiler, shows nothing."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        plant(patch)
        for seed in range(SEEDS):
            try:
                compare(seed)
            except Difference as difference:
                if " refused: " not in str(difference):
                    return str(difference)
    return None


def is_quick(plant: Plant) -> bool:
    return plant in QUICK


@pytest.mark.parametrize(
    "plant",
    [pytest.param(plant, id=plant.__name__, marks=() if is_quick(plant) else pytest.mark.ci) for plant in PLANTS],
)
def test_a_planted_miscompilation_is_found(plant: Plant) -> None:
    assert first_difference(plant) is not None
