"""Fake outside services: slow like real ones, and failing now and then.

Whether a call fails follows from a seed, the step's idempotency key and the attempt, so a run can be repeated exactly, and no
service fails more than twice in a row. `BOOKING_SEED` and `BOOKING_PACE` (seconds a call takes) set the mood.
"""

import asyncio
import hashlib
import os

from flowgraph import step_context

FULL_HOUSE = "p-full"
"""A property that is always booked."""

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


def _chance(service: str, attempt: int) -> float:
    seed = os.environ.get("BOOKING_SEED", "1")
    return int(_digest(f"{seed}/{service}/{step_context().idempotency_key}/{attempt}")[:8], 16) / 0x1_0000_0000


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
