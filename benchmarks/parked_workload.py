"""The workflows that only wait: until a moment, and for an event that names their order."""

from __future__ import annotations

from datetime import datetime

from flowgraph import Event, sleep_until, step, wait_for, workflow


class Paid(Event, name="paid"):
    """Wakes the one run that waits for its order."""

    order: str


@step
async def note() -> int:
    return 1


@workflow
async def sleeper(until: datetime) -> int:
    await sleep_until(until)
    return await note()


@workflow
async def payer(order: str) -> int:
    await wait_for(Paid, where=lambda paid: paid.order == order, timeout="90d")
    return await note()
