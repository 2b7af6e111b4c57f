"""Workflows whose steps run on a Dask cluster."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from pydantic import BaseModel

from flowgraph import Backoff, fan_out, step, step_context, workflow
from flowgraph.errors import StepTimeout


class Part(BaseModel):
    """What one task has worked out."""

    number: int
    primes: int
    process: int
    key: str


class Odd(Exception):
    """A number that is not liked."""


@step(executor="dask")
def primes(number: int, below: int) -> Part:
    count = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, below))
    return Part(number=number, primes=count, process=os.getpid(), key=step_context().idempotency_key)


@workflow
async def counting(parts: int, below: int) -> list[Part]:
    return await fan_out(primes(n, below) for n in range(parts))


@step(executor="dask", retries=1, backoff=Backoff("1ms", jitter=0.0))
def fragile(place: str) -> int:
    attempt = step_context().attempt
    with Path(place, "attempts").open("a") as log:
        log.write(f"{attempt} {os.getpid()}\n")
    if attempt == 1:
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


@workflow
async def breaking(place: str) -> int:
    return await fragile(place)


@step(executor="dask", retries=0)
async def dislike(number: int) -> int:
    raise Odd(number)


@workflow
async def disliking(number: int) -> str:
    try:
        await dislike(number)
    except Odd as error:
        return f"{error} is odd"
    return "fine"


@step(executor="dask", retries=0, timeout="200ms")
def dawdle(place: str) -> int:
    while not Path(place, "enough").exists():
        time.sleep(0.01)
    Path(place, "over").touch()
    return 1


@workflow
async def dawdling(place: str) -> str:
    try:
        await dawdle(place)
    except StepTimeout as error:
        return str(error)
    return "in time"


@step(executor="dask", retries=0)
def hold(place: str, number: int) -> int:
    Path(place, f"begun-{number}").touch()
    while not Path(place, "enough").exists():
        time.sleep(0.01)
    return 1


@workflow
async def holding(place: str, parts: int) -> list[int]:
    return await fan_out(hold(place, n) for n in range(parts))
