"""The two workflows: process a booking, and wait for its payment."""

from datetime import UTC, datetime, time
from typing import Literal

from pydantic import BaseModel

from flowgraph import parallel, send, wait_for, workflow

from .events import BookingApproved, BookingCancelled, BookingConfirmed, BookingCreated, PaymentCompleted
from .steps import (
    cancel_booking,
    check_availability,
    confirm_booking,
    notify_guest,
    notify_host,
    process_payment,
    report_failure,
    validate_booking,
)


class Receipt(BaseModel):
    """How a booking ended."""

    booking_id: str
    status: Literal["confirmed", "unavailable"]
    nights: int
    payment_id: str | None = None
    confirmation: str | None = None


class Outcome(BaseModel):
    """How the wait for a payment ended."""

    booking_id: str
    status: Literal["confirmed", "cancelled"]
    payment_id: str | None = None
    confirmation: str | None = None


@workflow(on=BookingCreated, retries=3, on_failure=report_failure)
async def process_booking(event: BookingCreated) -> Receipt:
    """Validate, look for the dates, take the money, confirm, tell both sides."""
    nights = await validate_booking(event)
    if not await check_availability(event.property_id, event.check_in, nights):
        await notify_guest(event.guest_id, "dates_taken")
        return Receipt(booking_id=event.booking_id, status="unavailable", nights=nights)
    payment = await process_payment(event.booking_id, event.total_amount)
    confirmation = await confirm_booking(event.booking_id, payment.id)
    await parallel(
        notify_guest(event.guest_id, "booking_confirmed"),
        notify_host(event.property_id, "new_booking"),
    )
    check_in_at = datetime.combine(event.check_in, time(15), tzinfo=UTC)
    await send(BookingConfirmed(booking_id=event.booking_id, guest_id=event.guest_id, check_in_at=check_in_at))
    return Receipt(
        booking_id=event.booking_id, status="confirmed", nights=nights, payment_id=payment.id, confirmation=confirmation
    )


@workflow(on=BookingApproved)
async def await_payment(event: BookingApproved) -> Outcome:
    """Give the guest 24 hours to pay for this booking."""
    paid = await wait_for(PaymentCompleted, where=lambda paid: paid.booking_id == event.booking_id, timeout="24h")
    if paid is None:
        await cancel_booking(event.booking_id, "payment_timeout")
        await send(BookingCancelled(booking_id=event.booking_id, reason="payment_timeout"))
        await notify_guest(event.guest_id, "booking_cancelled")
        return Outcome(booking_id=event.booking_id, status="cancelled")
    confirmation = await confirm_booking(event.booking_id, paid.payment_id)
    return Outcome(booking_id=event.booking_id, status="confirmed", payment_id=paid.payment_id, confirmation=confirmation)
