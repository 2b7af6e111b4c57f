"""The workflows of the kill -9 programme. Every attempt of a step appends a line to a file that outlives the server."""

from __future__ import annotations

import os

from flowgraph import Event, parallel, sleep, step, step_context, subflow, wait_for, workflow

_LOG = os.open(os.environ.get("EFFECTS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


class Job(Event, name="job"):
    n: int


class Paid(Event, name="paid"):
    n: int


@step
async def effect(n: int) -> int:
    context = step_context()
    os.write(_LOG, f"{context.idempotency_key} {context.attempt} {n}\n".encode())
    return n + 1


@step
def threaded(n: int) -> int:
    context = step_context()
    os.write(_LOG, f"{context.idempotency_key} {context.attempt} {n}\n".encode())
    return n + 1


@subflow
async def twice(n: int) -> int:
    first = await effect(n)
    return await effect(first)


@workflow
async def apart(n: int) -> int:
    return await effect(n)


@workflow(on=Job)
async def handle(event: Job) -> int:
    total = event.n
    for _ in range(3):
        total = await effect(total)
    a, b, c = await parallel(effect(total), twice(total), threaded(total))
    await sleep("200ms")
    return await apart(a + b + c)


@workflow(on=Job)
async def await_paid(event: Job) -> str:
    await effect(event.n)
    paid = await wait_for(Paid, where=lambda p: p.n == event.n, timeout="10m")
    if paid is None:
        return "lost"
    await effect(paid.n)
    return "paid"
