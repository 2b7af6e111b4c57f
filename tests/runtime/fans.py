"""Workflows that fan out, for tests of the worker; `CALLS` counts the steps' attempts by item."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime

from flowgraph import Backoff, Event, NonRetriable, fan_out, sleep, sleep_until, step, subflow, wait_for, workflow

CALLS: Counter[int] = Counter()
RUNNING: dict[str, int] = {"now": 0, "most": 0}
GATE: dict[str, asyncio.Event] = {}


class Paid(Event, name="fans.paid"):
    number: int


@step(retries=0)
async def score(item: int) -> int:
    """Notes how many run at the same time; at the item that `GATE` names, waits for the gate."""
    CALLS[item] += 1
    RUNNING["now"] += 1
    RUNNING["most"] = max(RUNNING["most"], RUNNING["now"])
    try:
        await asyncio.sleep(0)
        if str(item) in GATE:
            await GATE[str(item)].wait()
    finally:
        RUNNING["now"] -= 1
    return item * 2


@step(retries=1, backoff=Backoff("1s"))
async def flaky(item: int) -> int:
    """Fails the first time."""
    CALLS[item] += 1
    if CALLS[item] == 1:
        raise ValueError(item)
    return item


@step(retries=0)
async def only_small(item: int, most: int) -> int:
    """Fails for good from `most` on."""
    CALLS[item] += 1
    if item >= most:
        raise NonRetriable(f"{item} is too large")
    return item


@subflow
async def rested(item: int, until: datetime) -> int:
    await sleep_until(until)
    return await score(item)


@subflow
async def cleaning(item: int) -> int:
    try:
        await sleep("30d")
    finally:
        await score(item)
    return item


@workflow
async def scores(items: int, limit: int | None) -> int:
    return sum(await fan_out((score(item) for item in range(items)), limit=limit))


@workflow
async def retried(items: int) -> int:
    return sum(await fan_out(flaky(item) for item in range(items)))


@workflow
async def rests(items: int, until: datetime) -> int:
    return sum(await fan_out(rested(item, until) for item in range(items)))


@workflow
async def failing(items: int, most: int, limit: int) -> int:
    return sum(await fan_out((only_small(item, most) for item in range(items)), limit=limit))


@workflow
async def cleaned(items: int) -> int:
    return sum(await fan_out(cleaning(item) for item in range(items)))


@workflow
async def payments(items: int) -> int:
    paid = await fan_out(wait_for(Paid, where=lambda p: p.number == item, timeout="1d") for item in range(items))  # noqa: B023  # frozen at the call
    return sum(p.number for p in paid if p is not None)


@workflow
async def nothing() -> int:
    await sleep("1s")
    return len(await fan_out(score(item) for item in range(0)))
