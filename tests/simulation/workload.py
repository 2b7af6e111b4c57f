"""The workflows that the simulator runs. Results depend on the input alone, so the direct run says what each must be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from flowgraph import (
    Concurrency,
    Cron,
    Event,
    NonRetriable,
    Ok,
    fan_out,
    parallel,
    saga,
    settle,
    sleep,
    step,
    step_context,
    subflow,
    timeout,
    wait_for,
    workflow,
)


class Ping(Event, name="ping"):
    n: int


class Kick(Event, name="kick"):
    n: int


STARTED: list[tuple[str, str, int]] = []
"""(run id, idempotency key, attempt) of every attempt that began, in order."""


async def _work(n: int, seconds: float = 0.0) -> int:
    context = step_context()
    STARTED.append((context.run_id, context.idempotency_key, context.attempt))
    await work_hook(context.run_id, context.idempotency_key, seconds)
    return n + 1


async def work_hook(run_id: str, key: str, seconds: float) -> None:
    """Replaced by the simulator: takes virtual time and watches."""


@step
async def add(n: int) -> int:
    return await _work(n)


@step(retries=6)
async def flaky(n: int) -> int:
    result = await _work(n)
    if step_context().attempt <= n % 3:
        raise RuntimeError("try again")
    return result


@step
async def refuse(n: int) -> int:
    await _work(n)
    raise NonRetriable(f"refused {n}")


@subflow
async def twice(n: int) -> int:
    first = await add(n)
    return await add(first)


@workflow
async def chain(n: int) -> int:
    total = n
    for _ in range(4):
        total = await add(total)
        total = await flaky(total)
    return total


@workflow
async def forked(n: int) -> tuple[int, int, int]:
    a, b, c = await parallel(add(n), twice(n), flaky(n))
    d, e = await parallel(twice(a), add(b))
    return d, e, c


@workflow
async def sleepy(n: int) -> int:
    first = await add(n)
    await sleep("10m")
    return await add(first)


@workflow
async def caught(n: int) -> str:
    try:
        await refuse(n)
    except NonRetriable as error:
        await add(n)
        return str(error)
    finally:
        await add(n)
    return "not refused"


@workflow
async def patient(n: int) -> str:
    await add(n)
    ping = await wait_for(Ping, where=lambda p: p.n == n, timeout="1h")
    if ping is None:
        return "none"
    await add(ping.n)
    return "got"


@workflow(on=Kick)
async def kicked(event: Kick) -> int:
    first = await add(event.n)
    ping = await wait_for(Ping, where=lambda p: p.n == event.n and p.n >= 0, timeout="30m")
    return first if ping is None else await add(first)


@workflow(on=Cron("*/20 * * * *", catch_up="all"))
async def every(at: datetime) -> str:
    await add(at.minute)
    return at.isoformat()


@workflow(
    on=(
        Cron("*/10 * * * *", tz="Asia/Kathmandu", overlap="skip", jitter="3m"),
        Cron("7 * * * *", catch_up="skip", overlap="cancel_old"),
    )
)
async def beat() -> int:
    await add(1)
    await sleep("25m")
    return await add(1)


# --- groups, scopes and children


@step
async def give_back(n: int) -> None:
    await _work(n)


@step(compensate=give_back)
async def take(n: int) -> int:
    return await _work(n)


@workflow
async def fanned(n: int) -> list[int]:
    first = await fan_out((flaky(n + i) for i in range(5)), limit=2)
    return await fan_out(twice(each) for each in first)


@workflow
async def undone(n: int) -> str:
    try:
        async with saga():
            first = await take(n)
            await sleep("2m")
            second = await take(first)
            await refuse(second)
    except NonRetriable as error:
        return str(error)
    return "not refused"


@workflow
async def hurried(n: int) -> str:
    try:
        async with timeout("5m"):
            await add(n)
            await sleep("1h")
        return "in time"
    except TimeoutError:
        return f"late {await add(n)}"
    finally:
        await add(n)


@workflow
async def inner(n: int) -> int:
    first = await add(n)
    await sleep("3m")
    if n % 3 == 2:
        await refuse(n)
    return await flaky(first)


@workflow
async def outer(n: int) -> list[int]:
    found = await settle(inner(n), inner(n + 1), twice(n))
    return [each.value if isinstance(each, Ok) else -1 for each in found]


@workflow
async def attentive(n: int) -> list[bool]:
    heard: list[bool] = []
    for _ in range(2):
        ping = await wait_for(Ping, where=lambda p: p.n == n, timeout="20m")
        heard.append(ping is not None)
    return heard


# --- limits

PER_LANE, IN_ALL, LIVING = 2, 3, 1
executing_hook: Callable[[int], AbstractContextManager[None]] = nullcontext  # type: ignore[assignment]
"""Replaced by the simulator: a limited step of this lane executes in the block."""


def lives_hook(lane: int) -> None:
    """Replaced by the simulator: the run of this step lives."""


class Chore(Event, name="chore"):
    n: int


@step
async def counted(n: int, lane: int) -> int:
    with executing_hook(lane):
        return await _work(n)


@step(retries=6)
async def counted_flaky(n: int, lane: int) -> int:
    with executing_hook(lane):
        result = await _work(n)
    if step_context().attempt <= n % 2:
        raise RuntimeError("try again")
    return result


@step
async def lived(n: int, lane: int) -> int:
    lives_hook(lane)
    return await _work(n)


@workflow(on=Chore, concurrency=[Concurrency(PER_LANE, key=lambda e: e.n % 2), Concurrency(IN_ALL)])
async def limited(event: Chore) -> int:
    lane = event.n % 2
    a, b, c = await parallel(counted(event.n, lane), counted_flaky(event.n, lane), counted(event.n, lane))
    return await counted(a + b + c, lane)


@workflow(on=Chore, concurrency=Concurrency(LIVING, key=lambda e: e.n % 2, scope="run"))
async def living(event: Chore) -> int:
    first = await lived(event.n, event.n % 2)
    await sleep("5m")
    return await lived(first, event.n % 2)
