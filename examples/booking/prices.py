"""Many properties at once: fan out over a list, collect the results, and never trouble one organization's system too much."""

from decimal import Decimal

from pydantic import BaseModel

from flowgraph import Backoff, Concurrency, NonRetriable, RetryAfter, fan_out, step, step_context, workflow

from . import services
from .events import PriceReview


class Proposal(BaseModel):
    """A price that the market would bear."""

    property_id: str
    price: Decimal


class Summary(BaseModel):
    """What came of a review."""

    organization_id: str
    properties: int
    average: Decimal


@step(retries=8, backoff=Backoff("2s", factor=3, max="5m", jitter=0.2), timeout="10s")
async def propose_price(property_id: str) -> Proposal:
    """Ask the market's HTTP API: busy means later and says when, a request that it cannot read is not sent again."""
    answer = await services.market_price(property_id)
    if answer.status == 429:
        raise RetryAfter(f"{answer.retry_after}s", "the market API is busy")
    if answer.status == 400:
        raise NonRetriable(f"the market API does not know property {property_id}")
    return Proposal(property_id=property_id, price=answer.price)


@step
async def publish_summary(summary: Summary) -> None:
    """Put the figures where the organization sees them."""
    await services.call("bookings")
    step_context().logger.info("%s: %d properties, %s on average", summary.organization_id, summary.properties, summary.average)


@workflow(on=PriceReview, concurrency=Concurrency(10, key=lambda e: e.organization_id))
async def review_prices(event: PriceReview) -> Summary:
    """Propose a price for every property, 20 at a time; at most 10 calls run for one organization, over all its reviews."""
    proposals = await fan_out((propose_price(property_id) for property_id in event.property_ids), limit=20)
    total = sum((proposal.price for proposal in proposals), Decimal(0))
    summary = Summary(
        organization_id=event.organization_id,
        properties=len(proposals),
        average=(total / max(len(proposals), 1)).quantize(Decimal("0.01")),
    )
    await publish_summary(summary)
    return summary
