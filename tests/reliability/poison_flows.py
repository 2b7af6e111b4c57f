"""A run that takes its process down, and long-running ones beside it. What they wait for are files in the folder `FLAGS`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from flowgraph import step, workflow

FLAGS = Path(os.environ.get("FLAGS", "."))


@step
async def kill() -> None:
    while not (FLAGS / "kill").exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.02)
    with (FLAGS / "deaths").open("a") as deaths:
        deaths.write("x")
    os._exit(9)


@step
async def take_long(number: int) -> int:
    await asyncio.sleep(4)
    return number


@workflow
async def poison() -> None:
    await kill()


@workflow
async def innocent(number: int) -> int:
    return await take_long(number)
