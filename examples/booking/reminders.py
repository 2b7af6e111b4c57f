"""A reminder that sleeps for months, and is cancelled with its booking."""

from datetime import timedelta

from flowgraph import on, sleep_until, step, step_context, workflow

from . import services
from .events import BookingCancelled, BookingConfirmed
from .steps import notify_guest


@step(retries=0)
async def note_unsent_reminder(event: BookingConfirmed) -> None:
    """Count a reminder that was not needed; not worth a second attempt."""
    await services.call("statistics")
    step_context().logger.info("booking %s was called off before its reminder", event.booking_id)


@workflow(
    on=BookingConfirmed,
    cancel_on=[on(BookingCancelled, where=lambda started, cancelled: cancelled.booking_id == started.booking_id)],
    on_cancel=note_unsent_reminder,
)
async def remind_of_check_in(event: BookingConfirmed) -> None:
    """Mail the guest a day before the stay begins."""
    await sleep_until(event.check_in_at - timedelta(days=1))
    await notify_guest(event.guest_id, "check_in_tomorrow")
