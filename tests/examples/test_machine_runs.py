"""The examples through compiler, renderer and engine: no finding, a diagram, and the same results as the direct run."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from forecast.forecast import forecast_season

from flowgraph_compiler.pipeline import Compilation, compile_targets
from flowgraph_compiler.render import diagram, dot, mermaid
from flowgraph_compiler.serialize import fingerprint, from_json, to_json
from flowgraph_runtime.pictures import png, svg
from tests.cli.program import Program

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))
BOOKING = {
    "booking_id": "b-1",
    "property_id": "p-1",
    "guest_id": "g-1",
    "check_in": "2030-06-01",
    "check_out": "2030-06-04",
    "total_amount": "420.00",
}
APPROVED = {"booking_id": "b-1", "guest_id": "g-1"}
EXPENSE = {"expense_id": "e-1", "employee": "ada", "manager": "grace", "amount": "640.00"}


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def compiled(request: pytest.FixtureRequest) -> Compilation:
    return compile_targets([str(request.param)])


@pytest.fixture
def program(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("BOOKING_PACE", "0")
    monkeypatch.setenv("NO_COLOR", "1")
    return Program(tmp_path, capfd)


def test_every_example_is_looked_at() -> None:
    assert {folder.name for folder in FOLDERS} == {"approval", "booking", "forecast", "hello", "shipping", "trips"}


def test_no_finding(compiled: Compilation) -> None:
    assert compiled.diagnostics == ()
    assert set(compiled.machines) == set(compiled.application.workflows)


def test_every_machine_survives_its_json(compiled: Compilation) -> None:
    for machine in compiled.machines.values():
        again = from_json(to_json(machine))
        assert (again, fingerprint(again)) == (machine, fingerprint(machine))


def test_every_diagram_names_its_steps(compiled: Compilation) -> None:
    for name, graph in compiled.graphs.items():
        steps = {node.name for node in compiled.machines[name].nodes if node.kind == "step"}
        for text in (dot(diagram(graph)), mermaid(diagram(graph)), dot(diagram(compiled.machines[name], "machine"))):
            assert all(step in text for step in steps)
        assert svg(dot(diagram(graph))).rstrip().endswith(b"</svg>")
        assert png(dot(diagram(graph))).startswith(b"\x89PNG")


def run(program: Program, target: str, given: object, *arguments: str) -> tuple[int, object, str]:
    done = program("run", EXAMPLES / target, "--input", json.dumps(given), "--skip-time", *arguments)
    return done.code, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_hello(program: Program) -> None:
    assert run(program, "hello:hello", {"name": "Ada"})[:2] == (0, "Hello, Ada! Still there?")


def test_a_forecast_is_worked_out_in_processes(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWGRAPH_STEP_PROCESSES", "1")
    code, result, log = run(program, "forecast:forecast_season", {"houses": 3, "seasons": 150})
    assert code == 0
    assert result == asyncio.run(forecast_season(3, 150)).model_dump(), "as under plain asyncio, in this process"
    assert "flowgraph.step.simulate: batch 101" in log


ORDER = {"order_id": "o-1", "parcels": [{"id": "p-1", "weight": 2}, {"id": "lost", "weight": 2}, {"id": "p-3", "weight": 40}]}
PROBLEMS = ["nobody has seen parcel lost for five days", "Swift takes nothing over 30 kg: p-3"]


def test_a_parcel_that_goes_wrong_does_not_hold_up_the_others(program: Program) -> None:
    code, result, log = run(program, "shipping:ship_order", ORDER)
    assert code == 0
    assert isinstance(result, dict)
    assert [delivery["label"] for delivery in result["delivered"]] == ["Swift-p-1"]
    assert result["problems"] == PROBLEMS
    assert result["claim"].startswith("run_")
    assert "child ship_parcel: failed" in log
    assert "start claim_losses: completed" in log


@pytest.mark.feature(12, 13)
def test_a_booking_is_confirmed_and_both_sides_hear_of_it(program: Program) -> None:
    code, result, log = run(program, "booking:process_booking", BOOKING)
    assert code == 0
    assert isinstance(result, dict)
    assert (result["status"], result["nights"]) == ("confirmed", 3)
    assert re.fullmatch(r"pay_[0-9a-f]{12}", result["payment_id"])
    assert "mail booking_confirmed to guest g-1" in log
    assert "mail new_booking to the host of p-1" in log


@pytest.mark.feature(12)
def test_taken_dates(program: Program) -> None:
    code, result, log = run(program, "booking:process_booking", BOOKING | {"property_id": "p-full"})
    assert (code, result) == (
        0,
        {"booking_id": "b-1", "status": "unavailable", "nights": 3, "payment_id": None, "confirmation": None},
    )
    assert "process_payment" not in log


@pytest.mark.feature(8)
def test_a_failed_booking_is_reported(program: Program) -> None:
    code, result, log = run(program, "booking:process_booking", BOOKING | {"total_amount": "0"})
    assert (code, result) == (1, None)
    assert "booking b-1 failed: card declined for booking b-1" in log
    error = json.loads(log.splitlines()[-1])
    assert (error["type"], error["step"]) == ("NonRetriable", "process_payment")
    assert error["attempt"] <= 3, "no service fails more than twice in a row, and a declined card is not tried again"


@pytest.mark.feature(15)
def test_a_payment_ends_the_wait(program: Program) -> None:
    paid = [f'--event=payment.completed={{"booking_id": "{id}", "payment_id": "pay-{id}"}}' for id in ("b-2", "b-1")]
    code, result, _ = run(program, "booking:await_payment", APPROVED, *paid)
    assert code == 0
    assert isinstance(result, dict)
    assert (result["status"], result["payment_id"]) == ("confirmed", "pay-b-1")


@pytest.mark.feature(15)
def test_without_a_payment_the_booking_is_cancelled_and_mailed_about(program: Program) -> None:
    code, result, log = run(program, "booking:await_payment", APPROVED)
    assert (code, result) == (0, {"booking_id": "b-1", "status": "cancelled", "payment_id": None, "confirmation": None})
    assert "booking b-1 is cancelled: payment_timeout" in log
    assert "mail booking_cancelled to guest g-1" in log


def test_an_expense_is_decided_or_runs_out_of_reminders(program: Program) -> None:
    decided = '--event=expense.decided={"expense_id": "e-1", "approved": true, "by": "grace"}'
    assert run(program, "approval:approve_expense", EXPENSE, decided)[1] == {"approved": True, "by": "grace", "reminders": 0}
    code, result, log = run(program, "approval:approve_expense", EXPENSE)
    assert (code, result) == (0, {"approved": False, "by": "nobody", "reminders": 4})
    assert "mail to grace's manager: expense e-1" in log
    small = run(program, "approval:approve_expense", EXPENSE | {"amount": "12"})
    assert small[:2] == (0, {"approved": True, "by": "policy", "reminders": 0})


CONFIRMED = {"booking_id": "b-1", "guest_id": "g-1", "check_in_at": "2099-06-01T15:00:00+02:00"}


@pytest.mark.feature(14)
def test_a_reminder_sleeps_until_the_day_before(program: Program) -> None:
    code, result, log = run(program, "booking:remind_of_check_in", CONFIRMED)
    assert (code, result) == (0, None)
    assert "mail check_in_tomorrow to guest g-1" in log


def test_a_reminder_is_cancelled_with_its_booking(program: Program) -> None:
    other, mine = (f'--event=booking.cancelled={{"booking_id": "{id}", "reason": "ill"}}' for id in ("b-2", "b-1"))
    assert run(program, "booking:remind_of_check_in", CONFIRMED, other)[0] == 0
    code, _, log = run(program, "booking:remind_of_check_in", CONFIRMED, mine)
    assert code == 1
    assert "booking b-1 was called off before its reminder" in log
    assert "check_in_tomorrow" not in log


@pytest.mark.feature(16)
def test_prices_of_many_properties_are_reviewed(program: Program) -> None:
    properties = [f"p-{number}" for number in range(60)]
    code, result, log = run(program, "booking:review_prices", {"organization_id": "org-1", "property_ids": properties})
    assert code == 0
    assert isinstance(result, dict)
    assert result["properties"] == 60
    assert "the market API is busy" in log, "some of the calls are answered with 429, and made again when it says"
    code, _, log = run(program, "booking:review_prices", {"organization_id": "org-1", "property_ids": ["p-1", "p-unknown"]})
    error = json.loads(log.splitlines()[-1])
    assert (code, error["type"], error["step"]) == (1, "NonRetriable", "propose_price")


@pytest.mark.parametrize(("workflow", "expected"), [("daily_report", {"bookings": 12, "confirmed": 9}), ("remind_of_expiry", 5)])
def test_what_the_clock_starts(program: Program, workflow: str, expected: object) -> None:
    assert run(program, f"booking:{workflow}", {})[:2] == (0, expected)


def test_the_monthly_clean_up_has_three_steps(program: Program) -> None:
    code, result, log = run(program, "booking:monthly_cleanup", {})
    assert (code, result) == (0, 47)
    assert "archive compacted after 40 new bookings" in log


def test_a_trip_that_nobody_confirms_is_given_back_after_an_hour(program: Program) -> None:
    code, result, log = run(program, "trips:book_trip", {"trip_id": "t-1", "traveller": "ada", "city": "Lisbon"})
    assert (code, result) == (0, {"flight": None, "hotel": None, "problem": "nobody has confirmed"})
    assert "compensation cancel_flight: completed" in log
    assert "hotel in Lisbon of t-1 cancelled" in log
