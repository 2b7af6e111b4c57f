"""Runs that are moved to changed programs go on as those programs would, and a proof with a fault in it is found out."""

from __future__ import annotations

import json
import random
import warnings

import pytest

from tests.differential.changes import CHANGES, changed
from tests.differential.deployed import Redeployed, Seen, series
from tests.differential.generator import generate
from tests.differential.planted_proofs import PLANTS, RECORDED, shows

SEEDS: dict[str, int] = json.loads(RECORDED.read_text(encoding="utf-8"))
AGAIN = "if the generator has changed, run `python -m tests.differential.planted_proofs 6000000 6002000`"


def test_what_a_moved_run_does_is_what_the_new_program_would_do() -> None:
    seen = series(range(6_000_000, 6_000_006))
    assert seen.alike >= 3
    assert seen.refused.total() >= 20


@pytest.mark.ci
@pytest.mark.parametrize("first", range(6_010_000, 6_010_090, 30))
def test_what_many_moved_runs_do_is_what_the_new_programs_would_do(first: int) -> None:
    seen = series(range(first, first + 30))
    assert seen.programs >= 12
    assert seen.alike >= 8
    assert seen.refused.total() >= 100


def test_each_kind_of_change_is_made() -> None:
    chance = random.Random(5)
    functions = "".join(generate(seed).functions for seed in range(6_020_000, 6_020_003))
    made = {name for _ in range(60) for name in changed(functions, chance)[0]}
    assert made == {change.__name__ for change in CHANGES}


def test_every_planted_fault_has_a_seed() -> None:
    assert [plant.__name__ for plant in PLANTS] == list(SEEDS), AGAIN


@pytest.mark.ci
@pytest.mark.parametrize("seed", sorted(set(SEEDS.values())))
def test_planted_faults_are_found(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of calls that are never awaited, and of what changed programs do
        pair = Redeployed(seed)
        pair.judge(Seen())
        for plant in PLANTS:
            if SEEDS[plant.__name__] == seed:
                assert shows(plant, pair), f"{plant.__name__}: {AGAIN}"
