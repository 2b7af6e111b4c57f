"""Runs in flight as a released version left them, and how they are written down.

`python -m tests.migrations.in_flight VERSION`, run with the code of that release, writes `released/VERSION.sql`: the rows of a
SQLite database whose server has stopped in the middle of its work, as statements that both databases understand.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path

from tests.integration.harness import LOG, Engine, engine

FOLDER = Path(__file__).parent / "released"
FLOWS = """
class Go(Event, name="go"):
    key: str

@step(retries=50, backoff=Backoff("1h", jitter=0))
async def note(what: str) -> str:
    LOG.enter(what)
    if LOG.failing and what == "flaky":
        raise ConnectionError("down")
    return what

@subflow
async def element(n: int) -> str:
    first = await note(f"first {n}")
    if n % 2:
        await sleep("3d")
    else:
        await wait_for(Go, where=lambda go: go.key == "all", timeout="30d")
    return first + await note(f" then {n}")

@workflow
async def waiting(key: str) -> str:
    before = await note(f"before {key}")
    go = await wait_for(Go, where=lambda go: go.key == key, timeout="30d")
    return before + (await note(f" after {go.key}") if go is not None else " timeout")

@workflow
async def sleeping() -> list[str]:
    texts = [await note("a")]
    await sleep("20d")
    return [*texts, await note("b")]

@workflow
async def fanned(size: int) -> list[str]:
    return await fan_out((element(n) for n in range(size)), limit=3)

@workflow
async def parent() -> list[str]:
    return await sleeping()

@workflow
async def retrying() -> str:
    return await note("flaky")

@workflow
async def short() -> str:
    return await note("done")
"""


async def leave(url: str) -> dict[str, str]:
    """Leave runs of every kind in a database -> their ids by name."""
    LOG.failing = 1
    async with engine(FLOWS, url, skip_time=False) as served:
        runs = {
            "waiting": await served.start("waiting", key="w"),
            "sleeping": await served.start("sleeping"),
            "fanned": await served.start("fanned", size=8),
            "parent": await served.start("parent"),
            "retrying": await served.start("retrying"),
            "short": await served.start("short"),
        }
        await served.ended(runs["short"])
        for name in ("waiting", "sleeping", "fanned", "parent"):
            await served.reaches(runs[name], "waiting", "sleeping")
        await served.send("go", key="early")
        await served.until(lambda _: LOG.count("flaky") > 0 and LOG.count("first 2") > 0, runs["fanned"])
        await asyncio.sleep(0.2)  # for their commits
    async with engine(FLOWS, url, skip_time=False, worker=False) as served:
        runs["queued"] = await served.start("waiting", key="early")
    LOG.failing = 0
    return runs


async def finish(served: Engine, runs: dict[str, str]) -> dict[str, object]:
    """Let them end -> status and result by name."""
    for key in ("w", "all", "all", "all", "all"):
        await served.send("go", key=key)
    return {name: await served.outcome(run_id, 30) for name, run_id in runs.items()}


def record(version: str) -> None:
    """Write down what this program leaves."""
    with tempfile.TemporaryDirectory() as folder:
        runs = asyncio.run(leave(f"sqlite:///{folder}/runs.db"))
        connection = sqlite3.connect(f"{folder}/runs.db")
        dump = list(connection.iterdump())
        connection.close()
    rows = [line for line in dump if line.startswith('INSERT INTO "fg_')]
    header = [f"-- {name} {run_id}" for name, run_id in runs.items()]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{version}.sql").write_text("\n".join(header + rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(sys.argv[1])
