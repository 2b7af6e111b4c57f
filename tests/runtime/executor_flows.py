"""Workflows whose steps run in other processes. `place` is a folder in which a step leaves what the test looks for."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from pydantic import BaseModel

from flowgraph import Backoff, RetryAfter, StepFailed, fan_out, parallel, run_info, step, step_context, workflow
from flowgraph.errors import NotInRun, StepTimeout

SOON = Backoff("1ms", jitter=0.0)


class Seen(BaseModel):
    """What a step sees around itself."""

    process: int
    thread: str
    attempt: int
    key: str
    step: str
    price: Decimal
    in_run: bool


class Refused(Exception):
    """Carries more than its text."""

    def __init__(self, code: int, process: int) -> None:
        super().__init__(f"refused with {code}")
        self.code = code
        self.process = process


def _seen(price: Decimal) -> Seen:
    context = step_context()
    try:
        run_info()
        in_run = True
    except NotInRun:
        in_run = False
    thread = threading.current_thread().name
    return Seen(
        process=os.getpid(), thread=thread, attempt=context.attempt, key=context.idempotency_key, step=context.step, price=price,
        in_run=in_run,
    )  # fmt: skip


@step(executor="process")
def look(price: Decimal) -> Seen:
    step_context().logger.warning("looking for %s", price)
    logging.getLogger("elsewhere").info("not asked for")
    print("printed")
    return _seen(price)


@step(executor="process")
async def look_async(price: Decimal) -> Seen:
    await asyncio.sleep(0)
    return _seen(price)


@workflow
async def looking(price: Decimal) -> list[Seen]:
    first = await look(price)
    second = await look_async(first.price + 1)
    return [first, second]


@step(executor="process", retries=0)
def refuse(code: int) -> int:
    raise Refused(code, os.getpid())


@workflow
async def refusing(code: int) -> list[int]:
    try:
        return [await refuse(code)]
    except Refused as error:
        return [error.code, error.process]


@step(executor="process", retries=1)
def later() -> int:
    if step_context().attempt == 1:
        raise RetryAfter(timedelta(days=2))
    return step_context().attempt


@workflow
async def putting_off(n: int) -> int:
    return n + await later()


@step(executor="process", retries=1, backoff=SOON)
def fragile(how: str) -> int:
    if step_context().attempt == 1:
        if how == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


@workflow
async def breaking(how: str) -> int:
    return await fragile(how)


@step(executor="process", retries=0)
def hopeless(n: int) -> int:
    os._exit(n)


@workflow
async def giving_up(n: int) -> str:
    try:
        await hopeless(n)
    except StepFailed as error:
        return str(error)
    return "went well"


def _hold(place: str) -> None:
    """Keep the process busy, with a program of its own running, until a file says that it is enough."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(place, "begun.part").write_text(f"{os.getpid()} {program.pid}")
    Path(place, "begun.part").rename(Path(place, "begun"))
    while not Path(place, "enough").exists():
        time.sleep(0.005)
    program.kill()
    program.wait()


@step(executor="process", retries=0)
def hold(place: str) -> int:
    _hold(place)
    return os.getpid()


@step(executor="process", retries=0, timeout="1s")
def hold_shortly(place: str) -> int:
    _hold(place)
    return os.getpid()


@step
async def quick(n: int) -> int:
    return n


@workflow
async def holding(place: str) -> int:
    return await hold(place)


@workflow
async def timing_out(place: str) -> str:
    try:
        await hold_shortly(place)
    except StepTimeout as error:
        return str(error)
    return "in time"


@workflow
async def hurrying(n: int) -> int:
    return await quick(n)


@step(executor="process", retries=0)
def keep_interpreter(place: str) -> int:
    """C code that lets nobody else run."""
    Path(place, "begun.part").write_text(f"{os.getpid()} {os.getpid()}")
    Path(place, "begun.part").rename(Path(place, "begun"))
    return 3 ** (10**9) % 7


@workflow
async def keeping(place: str) -> int:
    return await keep_interpreter(place)


@step(executor="process")
def who(n: int) -> int:
    return os.getpid()


@workflow
async def spreading(count: int) -> list[int]:
    return await fan_out(who(n) for n in range(count))


@workflow
async def mixing(place: str, n: int) -> list[int]:
    held, went = await parallel(hold(place), quick(n))
    return [held, went]
