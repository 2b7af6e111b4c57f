"""A fleet of real processes is attacked: a little in the CI tier, more in the long one; and races on one database."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgraph_runtime.records import EventRow, InboxRow
from verification import fleet, races
from verification.fleet import Plan, programme, sound
from verification.ledger import enter
from verification.races import Round, judge

pytestmark = pytest.mark.postgres


@pytest.mark.ci
def test_a_fleet_survives_a_bit_of_everything(tmp_path: Path):
    report = programme(Plan(kills=4, zombies=2, stops=1, restarts=1, cuts=8), tmp_path)
    assert sound(report), report


@pytest.mark.ci
def test_orderly_stops_burn_no_attempt(tmp_path: Path):
    report = programme(Plan(stops=3), tmp_path)
    assert sound(report), report
    assert report["steps_run_again"] == 0


def test_fifty_races_of_event_wait_and_deadline(postgres_url: str):
    report = races.programme(postgres_url, 50, 1)
    assert not report["faults"], report
    assert not report["violations"], report


@pytest.mark.ci
def test_three_hundred_races_of_event_wait_and_deadline(postgres_url: str):
    report = races.programme(postgres_url, 300, 2)
    assert races.sound(report), report


@pytest.mark.verify
def test_a_fleet_survives_a_hundred_kills_and_more(tmp_path: Path):
    report = programme(Plan(kills=100, zombies=20, stops=20, restarts=10, cuts=100, seed=3), tmp_path)
    enter("fleet under attack", report)
    assert sound(report), report


@pytest.mark.verify
def test_two_thousand_races_of_event_wait_and_deadline(postgres_url: str):
    report = races.programme(postgres_url, 2000, 3)
    enter("event/wait/deadline races", report)
    assert races.sound(report), report


_REPORT = {
    "acked_events": 3, "lost_events": 0, "stuck": 0, "wrong_results": 0, "violations": [], "steps": 10, "steps_missing": 0,
    "runs": 2, "statuses": {"completed": 2}, "kills": 0, "zombies": 0, "stops": 1, "restarts": 0, "cuts": 0,
    "cut_before_commit": 0, "cut_after_commit": 0, "steps_run_again": 0, "later_attempts": 0,
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
        {"acked_events": 0},
        {"steps": 0},
        {"steps_run_again": 1},
        {"later_attempts": 1},
        {"cuts": 10, "cut_before_commit": 2, "cut_after_commit": 2},
    ],
)
def test_the_programme_tells_a_fault(fault: dict[str, object]):
    assert sound(_REPORT)
    assert not sound({**_REPORT, **fault})
    assert sound({**_REPORT, "kills": 1, "steps_run_again": 1}), "a kill may burn attempts"


def test_all_attacks_of_a_plan_are_made():
    plan = Plan(kills=2, cuts=3)
    order = plan.attacks(fleet.random.Random(1))
    assert sorted(order) == ["cuts"] * 3 + ["kills"] * 2


def _row(position: int, kind: str, at: int = 100) -> InboxRow:
    return InboxRow(position, "run", kind, kind, 1, "null", at)


@pytest.mark.parametrize(
    ("rows", "received_at", "faults"),
    [
        ([_row(1, "event"), _row(2, "timer")], 90, 0),
        ([_row(1, "timer"), _row(2, "event")], 101, 0),
        ([_row(1, "timer"), _row(2, "event")], 90, 1),
        ([_row(1, "timer")], 90, 1),
        ([_row(1, "event")], 90, 1),
        ([_row(1, "event"), _row(2, "event"), _row(3, "timer")], 90, 1),
        ([_row(1, "event"), _row(2, "timer", at=99)], 90, 1),
        ([], 90, 2),
    ],
)
def test_the_judge_of_races_tells_a_fault(rows: list[InboxRow], received_at: int, faults: int):
    event = EventRow("evt", "paid", "{}", "{}", 0, 0)
    assert len(judge(rows, Round("run", "k", event, 100, (0.0, 0.0, 0.0)), received_at)) == faults
