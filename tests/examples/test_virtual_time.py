"""The examples on the engine in memory: what an author's own tests look like."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from approval import approval
from approval.approval import ExpenseDecided, ExpenseSubmitted, approve_expense
from booking.events import BookingApproved, PaymentCompleted
from booking.steps import cancel_booking, confirm_booking, notify_guest
from booking.workflows import Outcome, await_payment

from flowgraph_runtime import testing

BOOKING = BookingApproved(booking_id="b-1", guest_id="g-1")
EXPENSE = ExpenseSubmitted(expense_id="e-1", employee="ada", manager="grace", amount=Decimal(640))


def test_a_payment_confirms_the_booking_that_it_is_for() -> None:
    payments = [PaymentCompleted(booking_id=id, payment_id=f"pay-{id}") for id in ("b-2", "b-1")]
    outcome = testing.run(await_payment, BOOKING, events=payments, steps={confirm_booking: "conf-1"})
    assert outcome == Outcome(booking_id="b-1", status="confirmed", payment_id="pay-b-1", confirmation="conf-1")


def test_a_booking_is_given_up_a_day_after_its_approval_and_not_before() -> None:
    async def scenario() -> None:
        async with testing.engine(await_payment, steps={cancel_booking: None, notify_guest: None}) as app:
            (run,) = await app.send(BOOKING)
            await app.advance("23h59m59s")
            assert (await run.status(), app.calls(cancel_booking)) == ("waiting", [])
            await app.advance("1s")
            assert (await run.result()).status == "cancelled"
            assert app.calls(cancel_booking) == [("b-1", "payment_timeout")]
            assert app.calls(notify_guest) == [("g-1", "booking_cancelled")]

    asyncio.run(scenario())


def test_an_expense_is_decided_after_two_reminders() -> None:
    async def scenario() -> None:
        async with testing.engine(approval) as app:
            run = await app.start(approve_expense, EXPENSE)
            await app.advance("5d")
            await app.send(ExpenseDecided(expense_id="e-1", approved=True, by="grace"))
            decision = await run.result()
            assert (decision.approved, decision.by, decision.reminders) == (True, "grace", 2)

    asyncio.run(scenario())
