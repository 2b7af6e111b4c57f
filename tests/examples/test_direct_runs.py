"""The examples under plain asyncio: ordinary functions, tested without a database."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from approval.approval import ExpenseDecided, ExpenseSubmitted, approve_expense
from booking import services
from booking.events import BookingApproved, BookingConfirmed, BookingCreated, PaymentCompleted, PriceReview
from booking.prices import Summary, review_prices
from booking.reminders import remind_of_check_in
from booking.reports import Report, daily_report, monthly_cleanup, remind_of_expiry
from booking.workflows import Outcome, Receipt, await_payment, process_booking
from hello.hello import hello
from shipping.shipping import Parcel, ship_order

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


def test_a_parcel_that_goes_wrong_does_not_hold_up_the_others() -> None:
    parcels = [Parcel(id="p-1", weight=2), Parcel(id="lost", weight=2), Parcel(id="p-3", weight=40)]
    shipment = run_virtual(ship_order("o-1", parcels))
    assert [delivery.label for delivery in shipment.delivered] == ["Swift-p-1"]
    assert shipment.problems == ["nobody has seen parcel lost for five days", "Swift takes nothing over 30 kg: p-3"]


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


def confirmed(check_in_at: datetime) -> BookingConfirmed:
    return BookingConfirmed(booking_id="b-1", guest_id="g-1", check_in_at=check_in_at)


def test_a_reminder_comes_a_day_before_check_in(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def remind() -> datetime:
        async with direct_run() as world:
            await remind_of_check_in(confirmed(datetime(2030, 6, 1, 15, tzinfo=UTC)))
            return world.clock()

    reminded: datetime = run_virtual(remind(), start=datetime(2030, 3, 1, tzinfo=UTC))
    assert reminded == datetime(2030, 5, 31, 15, tzinfo=UTC)
    assert "mail check_in_tomorrow to guest g-1" in caplog.text


def test_prices_are_proposed_for_every_property_whatever_the_market_answers_first() -> None:
    properties = [f"p-{number}" for number in range(50)]
    summary: Summary = run_virtual(review_prices(PriceReview(organization_id="org-1", property_ids=properties)))
    assert (summary.organization_id, summary.properties) == ("org-1", 50)
    assert Decimal(80) < summary.average < Decimal(80 + 255)
    nothing: Summary = run_virtual(review_prices(PriceReview(organization_id="org-1", property_ids=[])))
    assert (nothing.properties, nothing.average) == (0, Decimal(0))


def test_a_property_that_the_market_does_not_know_fails_the_review() -> None:
    with pytest.raises(NonRetriable, match="does not know property p-unknown"):
        run_virtual(review_prices(PriceReview(organization_id="org-1", property_ids=["p-1", services.UNKNOWN_PROPERTY])))


def test_what_the_clock_starts() -> None:
    monday = datetime(2026, 3, 30, 8, tzinfo=UTC)
    assert run_virtual(daily_report()) == Report(bookings=12, confirmed=9)
    assert run_virtual(remind_of_expiry(monday)) == 5
    assert run_virtual(monthly_cleanup(monday)) == 47
