"""A long mixed load with kills: a minute of it in the CI tier, an hour in the long one; and what it takes for a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowgraph.virtual import run_virtual
from verification import soak_workload
from verification.ledger import enter
from verification.soak import ENDS, KINDS, RESULTS, Plan, Sample, calm_lateness, judge, memory, minutes_between, programme, sound


@pytest.mark.ci
def test_most_of_a_minute_of_everything(tmp_path: Path):
    report = programme(Plan(minutes=0.5, kill_every=0.15), f"sqlite:///{tmp_path}/soak.db", tmp_path)
    assert not report["faults"], report
    assert report["kills"] == 2
    assert report["statuses"].keys() == {"completed", "failed", "cancelled"}
    assert report["naps"] > 0


@pytest.mark.verify
def test_an_hour_of_everything(tmp_path: Path):
    report = programme(Plan(minutes=60), f"sqlite:///{tmp_path}/soak.db", tmp_path)
    enter("soak", report)
    assert sound(report), report


_REPORT: dict[str, Any] = {
    "statuses": {"completed": 5, "failed": 1, "cancelled": 1}, "events": 2, "ticks": 1, "faults": [], "wal_mb_max": 4.0,
    "lateness_s_p99": 0.1, "rss_mb_per_hour": 1.5, "rss_error": 0.4,
}  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [
        {"faults": ["chain(1) run_1 is gone"]},
        {"wal_mb_max": 64.0},
        {"lateness_s_p99": 1.0},
        {"lateness_s_p99": None},
        {"rss_mb_per_hour": 2.0},
        {"events": 0},
        {"ticks": 0},
        {"statuses": {"completed": 7}},
    ],
)
def test_the_soak_tells_a_fault(fault: dict[str, object]):
    assert sound(_REPORT)
    assert not sound({**_REPORT, **fault})


def test_the_slope_of_memory_is_that_inside_of_lives():
    lives = [
        Sample(life, at, rss=height + at / 3600 * 12 + (at % 7 - 3), wal=0, size=0)
        for life, height in enumerate((80, 95, 70))
        for at in range(600)
    ]
    found = memory(lives)
    assert abs(found["rss_mb_per_hour"] - 12) < 3 * found["rss_error"] < 5
    assert memory(lives[:130]) == {}, "too short to tell"


def test_naps_beside_a_restart_are_not_counted():
    log = "10.0 0.1\n20.0 3.0\n30.0 0.3\n40.0 9.0\n"
    assert calm_lateness(log, [(22.0, 25.0), (39.0, 45.0)]) == [0.1, 0.3]


def test_each_minute_is_wanted_once():
    assert list(minutes_between(0.5, 130.0)) == ["1970-01-01T00:01:00+00:00", "1970-01-01T00:02:00+00:00"]


@pytest.mark.parametrize("kind", RESULTS)
def test_the_soak_knows_the_results_of_its_workload(kind: str):
    """The oracle is Python itself; the order that waits for a payment is told by its name."""
    given = getattr(soak_workload, kind)
    wanted = "lost" if kind == "bought" else RESULTS[kind](7)
    assert run_virtual(given(soak_workload.Order(n=7) if kind == "bought" else 7)) == wanted


def test_each_kind_of_run_has_its_end():
    assert set(KINDS) == RESULTS.keys() | ENDS.keys()
    assert judge("chain", 1, {"id": "run_1", "status": "completed", "result": 8, "error": None})
    assert judge("doomed", 1, {"id": "run_1", "status": "completed", "result": 8, "error": None})
    assert not judge("chain", 1, {"id": "run_1", "status": "completed", "result": 7, "error": None})
