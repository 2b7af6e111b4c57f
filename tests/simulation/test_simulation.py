"""The real worker, engine and storage under seeded faults; and bugs planted into them, which the same simulation must find."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter

import pytest

from tests.simulation import at_length
from tests.simulation.planted import PLANTS
from tests.simulation.record import RECORDED, search
from tests.simulation.simulator import Simulation, Violation
from verification import ledger

CHUNK = 10
FAST = 40
CI = 600
FAULTS = ("rejected", "applied-error", "crash-before", "crash-after", "crashes", "zombies", "repeated")
SEEDS: dict[str, int | None] = json.loads(RECORDED.read_text(encoding="utf-8"))
FOUND = {name: seed for name, seed in SEEDS.items() if seed is not None}
AGAIN = "if the simulator has changed, run `python -m tests.simulation.record`"


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def simulate_chunk(first: int) -> Counter[str]:
    happened: Counter[str] = Counter()
    for seed in range(first, first + CHUNK):
        happened += Simulation(seed).run().counts
    assert happened["completed"] > CHUNK
    return happened


@pytest.mark.parametrize("first", range(0, FAST, CHUNK))
def test_nothing_is_lost_or_stuck_under_faults(first: int) -> None:
    simulate_chunk(first)


def test_the_faults_do_happen() -> None:
    happened = simulate_chunk(CHUNK)
    assert [fault for fault in FAULTS if not happened[fault]] == []
    assert happened["repeated attempts"] > 0
    assert happened["cancelled"] > 0
    assert happened["ticks"] > 10
    assert happened["skipped"] > 0
    assert happened["chores"] > 10
    assert happened["owned from the start"] > 10


@pytest.mark.ci
@pytest.mark.parametrize("first", range(FAST, CI, CHUNK))
def test_nothing_is_lost_or_stuck_under_many_faults(first: int) -> None:
    simulate_chunk(first)


@pytest.mark.verify
def test_nothing_is_lost_or_stuck_for_long() -> None:
    """As many seeds as `FLOWGRAPH_SEEDS` says, from where the ledger ends; entered into it."""
    seeds, first, began = int(os.environ.get("FLOWGRAPH_SEEDS", "20000")), at_length.next_seed(), time.monotonic()
    found = at_length.run(seeds, first, jobs=2)
    ledger.enter(at_length.KIND, at_length.summary(found, first, time.monotonic() - began))
    assert found.violations == []


def test_each_of_the_planted_bugs_has_a_seed() -> None:
    assert SEEDS.keys() == PLANTS.keys(), AGAIN
    assert len(FOUND) >= 25
    assert len(FOUND) == len(SEEDS), AGAIN


@pytest.mark.ci
@pytest.mark.parametrize("name", FOUND)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTS[name](monkeypatch)
    with pytest.raises(Violation):
        Simulation(FOUND[name]).run()


@pytest.mark.verify
@pytest.mark.parametrize("name", FOUND)
def test_a_planted_bug_is_found_by_searching(name: str) -> None:
    assert search(name) is not None


def test_a_seed_is_the_same_simulation_every_time() -> None:
    assert Simulation(3).run().counts == Simulation(3).run().counts


def test_a_second_run_of_a_tick_breaks_the_invariant_about_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTS["ticks_are_advanced_apart"](monkeypatch)
    with pytest.raises(Violation, match="a cron tick has one run"):
        Simulation(4).run()
