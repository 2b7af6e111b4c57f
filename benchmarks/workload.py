"""The workflows that are measured: no-op steps whose results are about 100 bytes of JSON, steps that use the CPU, and runs that
only wait, until a moment or for an event that names their order."""

from __future__ import annotations

import time
from datetime import datetime

from flowgraph import Event, fan_out, sleep_until, step, wait_for, workflow


class Paid(Event, name="paid"):
    """Wakes the one run that waits for its order."""

    order: str


class Noted(Event, name="noted"):
    """Starts nothing and wakes nothing: what an event costs that is just stored."""

    order: str
    note: str


@step
async def noop(i: int) -> dict[str, str | int | bool]:
    return {"i": i, "ok": True, "value": 42, "note": "x" * 58, "tag": "bench"}


@step
async def burning(i: int, us: int) -> dict[str, str | int | bool]:
    until = time.thread_time_ns() + us * 1000
    while time.thread_time_ns() < until:
        pass
    return {"i": i, "ok": True, "value": 42, "note": "x" * 58, "tag": "bench"}


@workflow
async def chain(steps: int) -> int:
    for i in range(steps):
        await noop(i)
    return steps


@workflow
async def burn(steps: int, us: int) -> int:
    for i in range(steps):
        await burning(i, us)
    return steps


@workflow
async def single() -> int:
    await noop(0)
    return 1


@workflow
async def scores(items: int) -> int:
    return len(await fan_out(noop(i) for i in range(items)))


@workflow
async def sleeper(until: datetime) -> int:
    await sleep_until(until)
    await noop(0)
    return 1


@workflow
async def payer(order: str) -> int:
    await wait_for(Paid, where=lambda paid: paid.order == order, timeout="90d")
    await noop(0)
    return 1
