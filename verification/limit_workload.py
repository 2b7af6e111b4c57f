"""The limited workflows of the kill -9 programme. Every attempt tells a file that outlives the server when it begins and ends."""

from __future__ import annotations

import asyncio
import os
import random
import time

from flowgraph import Concurrency, Event, parallel, sleep, step, step_context, subflow, workflow

_LOG = os.open(os.environ.get("EFFECTS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
PER_ORG = 3
IN_ALL = 8
LIVE = 2


class Task(Event, name="task"):
    org: str
    n: int


class Stay(Event, name="stay"):
    org: str
    n: int


def tell(what: str, org: str) -> None:
    """Append one line: what, process, organisation, attempt."""
    context = step_context()
    os.write(_LOG, f"{what} {os.getpid()} {org} {context.idempotency_key}#{context.attempt}\n".encode())


@step
async def work(org: str, n: int) -> int:
    tell("begin", org)
    try:
        await asyncio.sleep(random.uniform(0.01, 0.1))
    finally:
        tell("end", org)
    return n + 1


@step
def threaded(org: str, n: int) -> int:
    tell("begin", org)
    time.sleep(random.uniform(0.01, 0.05))
    tell("end", org)
    return n + 1


@step
async def enter(org: str, n: int) -> int:
    tell("enter", org)
    return n + 1


@step
async def leave(org: str, n: int) -> int:
    tell("leave", org)
    return n + 1


@subflow
async def twice(org: str, n: int) -> int:
    return await work(org, await work(org, n))


@workflow(on=Task, concurrency=[Concurrency(PER_ORG, key=lambda e: e.org), Concurrency(IN_ALL)])
async def limited(event: Task) -> int:
    first = await work(event.org, event.n)
    a, b = await parallel(twice(event.org, first), threaded(event.org, first))
    return a + b


@workflow(on=Stay, concurrency=Concurrency(LIVE, key=lambda e: e.org, scope="run"))
async def living(event: Stay) -> int:
    first = await enter(event.org, event.n)
    await sleep("100ms")
    return await leave(event.org, first)
