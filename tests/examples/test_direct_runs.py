"""The examples under plain asyncio: ordinary functions, tested without a database."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from approval.approval import ExpenseDecided, ExpenseSubmitted, approve_expense
from booking import services
from booking.events import BookingApproved, BookingCreated, PaymentCompleted
from booking.workflows import Outcome, Receipt, await_payment, process_booking
from hello.hello import hello

from flowgraph import NonRetriable
from flowgraph.direct import direct_run
from flowgraph.virtual import run_virtual


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOKING_PACE", "0")


def booking(**changes: object) -> BookingCreated:
    data = {
        "booking_id": "b-1",
        "property_id": "p-1",
        "guest_id": "g-1",
        "check_in": date(2030, 6, 1),
        "check_out": date(2030, 6, 4),
        "total_amount": Decimal("420.00"),
    }
    return BookingCreated.model_validate(data | changes)


def test_hello_sleeps_for_three_days_in_no_time() -> None:
    assert run_virtual(hello("Ada")) == "Hello, Ada! Still there?"


def test_a_booking_is_confirmed() -> None:
    receipt: Receipt = run_virtual(process_booking(booking()))
    assert (receipt.status, receipt.nights) == ("confirmed", 3)
    assert receipt.payment_id
    assert receipt.confirmation


def test_taken_dates_cost_nothing() -> None:
    receipt: Receipt = run_virtual(process_booking(booking(property_id=services.FULL_HOUSE)))
    assert receipt == Receipt(booking_id="b-1", status="unavailable", nights=3)


def test_a_declined_card_fails_the_booking_at_once() -> None:
    with pytest.raises(NonRetriable, match="card declined for booking b-1"):
        run_virtual(process_booking(booking(total_amount=Decimal(0))))


def test_services_fail_by_seed_and_the_retries_hide_it(monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[str] = []

    class Counting(services.ServiceUnavailable):
        def __init__(self, text: str) -> None:
            failures.append(text)
            super().__init__(text)

    monkeypatch.setattr(services, "ServiceUnavailable", Counting)
    for seed in range(20):
        monkeypatch.setenv("BOOKING_SEED", str(seed))
        assert run_virtual(process_booking(booking())).status == "confirmed"
    assert len(failures) > 5


async def wait_with(*events: PaymentCompleted) -> Outcome:
    async with direct_run(events=events):
        return await await_payment(BookingApproved(booking_id="b-1", guest_id="g-1"))


def test_a_payment_confirms_the_booking_that_it_is_for() -> None:
    other = PaymentCompleted(booking_id="b-2", payment_id="pay-2")
    mine = PaymentCompleted(booking_id="b-1", payment_id="pay-1")
    assert run_virtual(wait_with(other, mine)).payment_id == "pay-1"


def test_without_a_payment_the_booking_is_cancelled_after_a_day() -> None:
    assert run_virtual(wait_with()) == Outcome(booking_id="b-1", status="cancelled")


def test_an_expense_is_reminded_of_until_somebody_decides() -> None:
    expense = ExpenseSubmitted(expense_id="e-1", employee="ada", manager="grace", amount=Decimal(640))

    async def submit(*events: ExpenseDecided) -> tuple[bool, str, int]:
        async with direct_run(events=events):
            decision = await approve_expense(expense)
            return decision.approved, decision.by, decision.reminders

    decided = ExpenseDecided(expense_id="e-1", approved=True, by="grace")
    assert run_virtual(submit(decided)) == (True, "grace", 0)
    assert run_virtual(submit()) == (False, "nobody", 4)
