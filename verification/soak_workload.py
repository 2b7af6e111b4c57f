"""The workflows of the soak. Each result depends on the input alone; how late naps end is written to a file."""

from __future__ import annotations

import os
import time
from datetime import datetime

from flowgraph import Backoff, Cron, Event, NonRetriable, fan_out, parallel, settle, sleep, step, step_context, wait_for, workflow

_LOG = os.open(os.environ.get("EFFECTS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
NAP = 1.0
"""Seconds that `sleepy` sleeps; what comes on top is its timer's lateness."""
_SOON = Backoff("100ms", kind="fixed", jitter=0)


class Order(Event, name="order"):
    n: int


class Paid(Event, name="paid"):
    n: int


@step
async def add(n: int) -> int:
    return n + 1


@step
def threaded(n: int) -> int:
    return n + 1


@step(retries=4, backoff=_SOON)
async def flaky(n: int) -> int:
    if step_context().attempt <= n % 3:
        raise RuntimeError("try again")
    return n + 1


@step(retries=1, backoff=_SOON)
async def hopeless(n: int) -> int:
    raise NonRetriable(f"no use with {n}")


@step
async def now() -> float:
    return time.time()


@step
async def woken(began: float) -> None:
    """Write down when the nap began and how much later than due this is, in seconds."""
    if step_context().attempt == 1:
        os.write(_LOG, f"{began:.3f} {time.time() - began - NAP:.6f}\n".encode())


@workflow
async def chain(n: int) -> int:
    total = n
    for _ in range(6):
        total = await add(total)
    return total


@workflow
async def sleepy(n: int) -> int:
    began = await now()
    await sleep("1s")
    await woken(began)
    return await add(n)


@workflow
async def fanned(n: int) -> list[int]:
    return await fan_out((add(n + i) for i in range(20)), limit=8)


@workflow
async def mixed(n: int) -> int:
    a, b, c = await parallel(add(n), threaded(n), flaky(n))
    return a + b + c


@workflow
async def leaf(n: int) -> int:
    first = await add(n)
    await sleep("500ms")
    return await flaky(first)


@workflow
async def family(n: int) -> int:
    return len(await settle(leaf(n), leaf(n + 1), leaf(n + 2)))


@workflow
async def doomed(n: int) -> int:
    return await hopeless(await add(n))


@workflow(on=Order)
async def bought(event: Order) -> str:
    await add(event.n)
    paid = await wait_for(Paid, where=lambda p: p.n == event.n, timeout="10m")
    return "lost" if paid is None else "paid"


@workflow
async def unheard(n: int) -> str:
    paid = await wait_for(Paid, where=lambda p: p.n == -n - 1, timeout="2s")
    return "late" if paid is None else "paid"


@workflow
async def endless(n: int) -> int:
    await sleep("1h")
    return n


@workflow(on=Cron("* * * * *", catch_up="all"))
async def tick(at: datetime) -> str:
    await add(at.minute)
    return at.isoformat()
