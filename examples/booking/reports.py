"""What the clock starts: a report every morning, reminders every Monday, a clean-up every month."""

from datetime import datetime, timedelta

from pydantic import BaseModel

from flowgraph import Cron, fan_out, step, step_context, workflow

from . import services
from .steps import notify_host


class Report(BaseModel):
    """Yesterday in figures."""

    bookings: int
    confirmed: int


class Listing(BaseModel):
    """A property's place on the market, which ends."""

    property_id: str
    expires_at: datetime


@step
async def generate_report() -> Report:
    """Count what happened yesterday."""
    await services.call("statistics", failing=0.2)
    return Report(bookings=12, confirmed=9)


@step
async def mail_report(report: Report) -> None:
    """Mail the figures to the team."""
    await services.call("mail", failing=0.2)
    step_context().logger.info("daily report: %d of %d bookings confirmed", report.confirmed, report.bookings)


@step
async def expiring_listings(before: datetime) -> list[Listing]:
    """Ask which listings end before a date."""
    await services.call("listings")
    return [Listing(property_id=f"p-{number}", expires_at=before - timedelta(days=number)) for number in range(1, 6)]


@step
async def archive_bookings(before: datetime) -> int:
    """Move old bookings to the archive; the answer is how many."""
    await services.call("bookings", failing=0.2)
    step_context().logger.info("bookings before %s are in the archive", before.date())
    return 40


@step
async def delete_drafts(before: datetime) -> int:
    """Delete bookings that were never finished; the answer is how many."""
    await services.call("bookings")
    step_context().logger.info("drafts before %s are gone", before.date())
    return 7


@step
async def compact_archive(moved: int) -> None:
    """Make the archive small again."""
    await services.call("archive")
    step_context().logger.info("archive compacted after %d new bookings", moved)


@workflow(on=Cron("0 9 * * *", tz="Europe/Paris"))
async def daily_report() -> Report:
    """Every morning at nine, in Paris."""
    report = await generate_report()
    await mail_report(report)
    return report


@workflow(on=Cron("0 8 * * 1", tz="Europe/Paris", overlap="skip"))
async def remind_of_expiry(scheduled_at: datetime) -> int:
    """Every Monday, mail the host of each listing that ends within a month."""
    listings = await expiring_listings(scheduled_at + timedelta(days=30))
    await fan_out((notify_host(listing.property_id, "listing_expires") for listing in listings), limit=5)
    return len(listings)


@workflow(on=Cron("0 3 1 * *", catch_up="latest"))
async def monthly_cleanup(scheduled_at: datetime) -> int:
    """On the first of the month, in three steps, each retried by itself."""
    moved = await archive_bookings(scheduled_at - timedelta(days=365))
    deleted = await delete_drafts(scheduled_at - timedelta(days=30))
    await compact_archive(moved)
    return moved + deleted
