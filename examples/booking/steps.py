"""The steps: ordinary functions with effects, each with its own retries."""

from datetime import date
from decimal import Decimal

from pydantic import BaseModel

from flowgraph import Backoff, NonRetriable, step, step_context

from . import services
from .events import BookingCreated


class Payment(BaseModel):
    """What the payment provider answers."""

    id: str
    amount: Decimal


@step(retries=0)
async def validate_booking(event: BookingCreated) -> int:
    """Check the request and count its nights."""
    nights = (event.check_out - event.check_in).days
    if nights < 1:
        raise NonRetriable(f"check-out {event.check_out} is not after check-in {event.check_in}")
    return nights


@step
async def check_availability(property_id: str, check_in: date, nights: int) -> bool:
    """Ask the calendar."""
    await services.call("calendar", failing=0.2)
    return property_id != services.FULL_HOUSE and nights > 0 and check_in > date(2000, 1, 1)


@step(retries=5, backoff=Backoff("500ms", factor=2, max="30s"), timeout="10s")
async def process_payment(booking_id: str, amount: Decimal) -> Payment:
    """Charge the guest; every attempt sends the same key, so the money moves once."""
    await services.call("payments", failing=0.5)
    if amount <= 0:
        raise NonRetriable(f"card declined for booking {booking_id}: {amount} is not a price")
    return Payment(id=services.reference("pay"), amount=amount)


@step
async def confirm_booking(booking_id: str, payment_id: str) -> str:
    """Write the confirmation and answer its number."""
    await services.call("bookings")
    step_context().logger.info("booking %s is confirmed, paid by %s", booking_id, payment_id)
    return services.reference("conf")


@step
async def cancel_booking(booking_id: str, reason: str) -> None:
    """Give the dates back."""
    await services.call("bookings")
    step_context().logger.info("booking %s is cancelled: %s", booking_id, reason)


@step
async def notify_guest(guest_id: str, template: str) -> None:
    """Mail the guest."""
    await services.call("mail", failing=0.3)
    step_context().logger.info("mail %s to guest %s", template, guest_id)


@step
async def notify_host(property_id: str, template: str) -> None:
    """Mail the host of a property."""
    await services.call("mail", failing=0.3)
    step_context().logger.info("mail %s to the host of %s", template, property_id)


@step
async def report_failure(event: BookingCreated, error: Exception) -> None:
    """Tell the people on call what went wrong."""
    step_context().logger.warning("booking %s failed: %s", event.booking_id, error)
