"""Each commit of a scenario refused, applied with its answer lost, or the last that the process lives to see."""

from __future__ import annotations

import logging

import pytest

from flowgraph_runtime.storage.writer import Fate
from tests.simulation.crash_points import FATES, LONG, SCENARIOS, SHORT, CrashPoint, commits
from tests.simulation.planted import PLANTS
from tests.simulation.simulator import Violation


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.mark.parametrize("scenario", SHORT)
def test_each_commit_may_have_one_of_the_fates(scenario: str) -> None:
    for at in range(1, commits(scenario) + 1):
        CrashPoint(scenario, at, FATES[at % len(FATES)]).run()


@pytest.mark.ci
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_commit_may_have_another_of_the_fates(scenario: str) -> None:
    """The next one in turn, so that with the fast tests each commit of the short scenarios has two of them."""
    for at in range(1, commits(scenario) + 1):
        CrashPoint(scenario, at, FATES[(at + 1) % len(FATES)]).run()


@pytest.mark.verify
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_commit_may_have_every_fate(scenario: str) -> None:
    for at in range(1, commits(scenario) + 1):
        for fate in FATES:
            CrashPoint(scenario, at, fate).run()


def test_there_are_enough_scenarios_of_enough_commits() -> None:
    assert (len(SHORT), len(SCENARIOS), len(LONG)) >= (10, 40, 29)
    assert commits("steps with retries") > 20, "one for each outcome and each timer"


def test_a_run_that_is_claimed_before_the_answer_to_its_parking_comes_is_not_lost() -> None:
    CrashPoint("children", 7, Fate.APPLIED_ERROR).run()


def test_a_start_whose_answer_is_lost_would_be_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash point whose commit is never made would prove nothing."""
    PLANTS["requests_are_new_each_time"](monkeypatch)
    found: list[str] = []
    for at in range(1, 5):
        try:
            CrashPoint("a sleep", at, Fate.APPLIED_ERROR).run()
        except Violation as violation:
            found.append(str(violation))
    assert any("runs that nobody was told of" in text for text in found)
    assert all("tests.simulation.crash_points 'a sleep'" in text for text in found), "it says how to run it again"
