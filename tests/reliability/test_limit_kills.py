"""Workers with limited steps and runs are killed; an outside watcher counts what executes at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from verification.ledger import enter
from verification.limit_kills import programme, sound, watch
from verification.limit_workload import IN_ALL, LIVE, PER_ORG


@pytest.mark.feature(17)
@pytest.mark.ci
def test_limits_hold_over_five_kills(tmp_path: Path):
    report = programme(f"sqlite:///{tmp_path}/limits.db", 5, 1, 1, tmp_path)
    assert sound(report), report


@pytest.mark.verify
def test_limits_hold_over_a_hundred_kills(empty_url: str, tmp_path: Path):
    report = programme(empty_url, 100, 3 if empty_url.startswith("postgres") else 1, 2, tmp_path)
    enter("kill -9 of limited steps", report)
    assert sound(report), report


def _lines(*lines: str) -> list[str]:
    return [f"{what} {process} {org} run{number}:x:1#1" for what, process, org, number in (line.split() for line in lines)]


def test_the_watcher_counts_what_executes_at_once():
    begun = [f"begin 1 a {number}" for number in range(PER_ORG)]
    assert watch(_lines(*begun))["over_the_limit"] == 0
    assert watch(_lines(*begun))["at_once_per_key"] == PER_ORG
    assert watch(_lines(*begun, "begin 1 b 9"))["over_the_limit"] == 0
    assert watch(_lines(*begun, "begin 1 a 9"))["over_the_limit"] == 1
    assert watch(_lines(*begun, "end 1 a 0", "begin 1 a 9"))["over_the_limit"] == 0
    assert watch([*_lines(*begun), "gone 1 - -", *_lines("begin 2 a 9")])["over_the_limit"] == 0
    assert watch([*_lines(*begun), "gone 2 - -", *_lines("begin 2 a 9")])["over_the_limit"] == 1
    assert watch(_lines(*(f"begin 1 {number} {number}" for number in range(IN_ALL + 1))))["over_the_limit"] == 1


def test_the_watcher_counts_runs_that_live_over_the_end_of_their_process():
    entered = [f"enter 1 a {number}" for number in range(LIVE)]
    assert watch([*_lines(*entered), "gone 1 - -", *_lines("enter 2 a 0")])["over_the_limit"] == 0
    assert watch([*_lines(*entered), "gone 1 - -", *_lines("enter 2 a 9")])["over_the_limit"] == 1
    assert watch(_lines(*entered, "leave 1 a 0", "enter 1 a 9"))["over_the_limit"] == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"over_the_limit": 1},
        {"leaked_slots": 1},
        {"stuck": 1},
        {"violations": ["a limit is not exceeded: [('w', 's:a', 4, 3)]"]},
        {"statuses": {"completed": 1, "failed": 1}},
        {"at_once_per_key": PER_ORG - 1},
        {"live_per_key": LIVE - 1},
    ],
)
def test_the_programme_tells_a_fault(fault: dict[str, object]):
    report: dict[str, object] = {
        "over_the_limit": 0, "leaked_slots": 0, "stuck": 0, "violations": [], "runs": 2, "statuses": {"completed": 2},
        "at_once_per_key": PER_ORG, "live_per_key": LIVE,
    }  # fmt: skip
    assert sound(report)
    assert not sound({**report, **fault})
