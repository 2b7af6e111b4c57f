"""Fake outside services: slow like real ones, and failing now and then.

Whether a call fails follows from a seed, the step's idempotency key and the attempt, so a run can be repeated exactly, and no
service fails more than twice in a row. `BOOKING_SEED` and `BOOKING_PACE` (seconds a call takes) set the mood.
"""

import asyncio
import hashlib
import os
from dataclasses import dataclass
from decimal import Decimal

from flowgraph import step_context

FULL_HOUSE = "p-full"
"""A property that is always booked."""

UNKNOWN_PROPERTY = "p-unknown"
"""A property that the market API has never heard of."""

MOST_FAILURES = 2


class ServiceUnavailable(ConnectionError):
    """The fake outage: worth a retry."""


def reference(prefix: str) -> str:
    """An id that is the same for all attempts of one step, as a payment provider makes it of an idempotency key."""
    return f"{prefix}_{_digest(step_context().idempotency_key)[:12]}"


async def call(service: str, failing: float = 0.0) -> None:
    """Take a while, and fail for the given share of the calls."""
    await asyncio.sleep(float(os.environ.get("BOOKING_PACE", "0.3")))
    attempt = step_context().attempt
    if attempt <= MOST_FAILURES and _chance(service, attempt) < failing:
        raise ServiceUnavailable(f"{service} does not answer")


@dataclass(frozen=True)
class MarketAnswer:
    """What the market's HTTP API answers: a price, or why not and after how many seconds to ask again."""

    status: int
    price: Decimal = Decimal(0)
    retry_after: int = 0


async def market_price(property_id: str) -> MarketAnswer:
    """Ask for a property's price. The API is busy for some of the calls (429) and refuses what it does not know (400)."""
    await call("market")
    attempt = step_context().attempt
    if property_id == UNKNOWN_PROPERTY:
        return MarketAnswer(400)
    if attempt <= MOST_FAILURES and _chance("market is busy", attempt) < 0.2:
        return MarketAnswer(429, retry_after=2)
    return MarketAnswer(200, price=Decimal(80 + int(_digest(property_id)[:2], 16)))


def _chance(service: str, attempt: int) -> float:
    seed = os.environ.get("BOOKING_SEED", "1")
    return int(_digest(f"{seed}/{service}/{step_context().idempotency_key}/{attempt}")[:8], 16) / 0x1_0000_0000


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
