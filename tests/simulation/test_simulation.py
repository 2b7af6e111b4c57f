"""The real worker, engine and storage under seeded faults; and bugs planted into them, which the same simulation must find."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.simulation.limits_watch import LIMITED_SEEDS
from tests.simulation.planted import LIMIT_PLANTS, PLANTS
from tests.simulation.simulator import Simulation, Violation

CHUNK = 10
FAST = 40
CI = 400
FAULTS = ("rejected", "applied-error", "crash-before", "crash-after", "crashes", "zombies", "repeated")
SEEDS = {
    "no_fence": 60,
    "early_events_are_lost": 120,
    "timers_fire_early": 20,
    "ticks_are_advanced_apart": 20,
    "ticks_fire_early": 20,
    "skipped_ticks_are_forgotten": 20,
    "acts_before_the_commit": 10,
}
"""How many seeds, from 0, each planted bug is given; it was found well before."""


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


def simulate_chunk(first: int) -> Counter[str]:
    happened: Counter[str] = Counter()
    for seed in range(first, first + CHUNK):
        happened += Simulation(seed).run().counts
    assert happened["completed"] > CHUNK
    return happened


def simulate_all(seeds: Iterable[int]) -> None:
    for seed in seeds:
        Simulation(seed).run()


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


@pytest.mark.ci
@pytest.mark.parametrize("first", range(FAST, CI, CHUNK))
def test_nothing_is_lost_or_stuck_under_many_faults(first: int) -> None:
    simulate_chunk(first)


@pytest.mark.ci
@pytest.mark.parametrize("name", sorted(PLANTS))
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTS[name](monkeypatch)
    with pytest.raises(Violation):
        simulate_all(range(SEEDS[name]))


@pytest.mark.ci
@pytest.mark.parametrize("name", sorted(LIMIT_PLANTS))
def test_a_bug_planted_into_limits_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    LIMIT_PLANTS[name](monkeypatch)
    with pytest.raises(Violation):
        simulate_all(range(LIMITED_SEEDS, 12, 3))


def test_a_seed_is_the_same_simulation_every_time() -> None:
    assert Simulation(3).run().counts == Simulation(3).run().counts


def test_a_second_run_of_a_tick_breaks_the_invariant_about_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTS["ticks_are_advanced_apart"](monkeypatch)
    with pytest.raises(Violation, match="a cron tick has one run"):
        Simulation(4).run()
