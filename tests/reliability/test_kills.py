"""kill -9 of a real server under load loses nothing: a few kills in the CI tier, more in the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgraph.virtual import run_virtual
from verification.kill_workload import Job, handle
from verification.kills import expected, programme, sound
from verification.ledger import enter


@pytest.mark.ci
def test_two_kills(tmp_path: Path):
    report = programme(f"sqlite:///{tmp_path}/kills.db", 2, 1, tmp_path)
    assert sound(report), report


@pytest.mark.ci
def test_kills_of_forked_servers(tmp_path: Path):
    report = programme(f"sqlite:///{tmp_path}/kills.db", 3, 4, tmp_path, fork=True)
    assert sound(report), report
    assert report["stopped_with"] == 0


@pytest.mark.ci
def test_ten_kills(empty_url: str, tmp_path: Path):
    report = programme(empty_url, 10, 2, tmp_path)
    assert sound(report), report
    assert report["acked_events"] > 100, "the server was under load"


@pytest.mark.verify
def test_fifty_kills(empty_url: str, tmp_path: Path):
    report = programme(empty_url, 50, 3, tmp_path)
    enter("kill -9", report)
    assert sound(report), report


_REPORT = {
    "acked_events": 3, "lost_events": 0, "stuck": 0, "wrong_results": 0, "violations": [], "steps": 10, "steps_missing": 0,
    "runs": 2, "statuses": {"completed": 2},
}  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [
        {"lost_events": 1},
        {"stuck": 1},
        {"wrong_results": 1},
        {"violations": ["a journal has no gap: [(1, 1)]"]},
        {"steps_missing": 1},
        {"statuses": {"completed": 1, "crashed": 1}},
        {"statuses": {"completed": 1}},
        {"acked_events": 0},
        {"steps": 0},
    ],
)
def test_the_programme_tells_a_fault(fault: dict[str, object]):
    assert sound(_REPORT)
    assert not sound({**_REPORT, **fault})


def test_the_programme_knows_the_results_of_its_workload():
    """The oracle is Python itself, where nothing is killed."""
    assert run_virtual(handle(Job(n=7))) == expected("handle", 7)
