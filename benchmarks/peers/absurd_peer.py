"""The workloads on Absurd (PostgreSQL): a worker process with eight connections, as its users would run it.

PYTHON -m benchmarks.peers.absurd_peer chain|long|fan-out|call URL --size N [--steps 10] [--repeat 1]

Its schema comes from `absurdctl`, a program beside PYTHON. `call` is a one-step task from its spawning to its end by the clock of
the database; its worker looks every 0.25 s by default, so most of that time is waiting.
"""

# mypy: ignore-errors
# pyright: basic

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from argparse import Namespace
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from absurd_sdk import AsyncAbsurd

from benchmarks.gauge import WARM_UP, Gauge, answer, arguments, insist, say, spread

CONNECTIONS = 8
TASKS_EACH = 4
"""Tasks that each of a worker's connections works on at once."""
PATIENCE = 600
"""Seconds in which all tasks have to end."""


def application(url: str) -> AsyncAbsurd:
    app = AsyncAbsurd(url, queue_name="default")

    @app.register_task(name="chain")
    async def chain(params, ctx):
        for i in range(params["steps"]):
            await ctx.step(f"s{i}", _noop(i))
        return params["steps"]

    @app.register_task(name="scores")
    async def scores(params, ctx):
        found = await asyncio.gather(*(ctx.step(f"s{i}", _noop(i)) for i in range(params["steps"])))
        return len(found)

    return app


def _noop(i: int) -> Any:
    async def body() -> dict[str, Any]:
        return answer(i)

    return body


async def work(url: str) -> None:
    """What the worker process does until it is ended."""
    apps = [application(url) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(app.start_worker(worker_id=str(n), concurrency=TASKS_EACH) for n, app in enumerate(apps)))


def make_schema(url: str) -> None:
    program = Path(sys.executable).with_name("absurdctl")
    environment = {**os.environ, "ABSURD_DATABASE_URL": url}
    for command in (["init"], ["create-queue", "default"]):
        subprocess.run([program, *command], env=environment, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def worker(url: str) -> Any:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.peers.absurd_peer", "work", url])
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


class Bench:
    def __init__(self, url: str, connection: psycopg.AsyncConnection, process: subprocess.Popen[bytes], given: Namespace) -> None:
        self.clients = [application(url) for _ in range(CONNECTIONS)]
        self.connection, self.process, self.given, self.ended = connection, process, given, 0

    async def asked(self, sql: str, *parameters: Any) -> Any:
        return await (await self.connection.execute(sql, parameters)).fetchone()

    async def spawn(self, task: str, steps: int, count: int) -> list[str]:
        """Spawn over all connections, each one task after the other."""

        async def part(first: int) -> list[str]:
            app = self.clients[first]
            spawned = [await app.spawn(task, {"steps": steps}) for _ in range(first, count, CONNECTIONS)]
            return [str(one["task_id"]) for one in spawned]

        return [id for ids in await asyncio.gather(*(part(first) for first in range(CONNECTIONS))) for id in ids]

    async def run(self, task: str, steps: int, count: int) -> list[str]:
        ids = await self.spawn(task, steps, count)
        self.ended += count
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            (ended,) = await self.asked("SELECT COUNT(*) FROM absurd.t_default WHERE state = 'completed'")
            if ended >= self.ended:
                return ids
            await asyncio.sleep(0.02)
        raise TimeoutError(f"{ended} of {self.ended} tasks completed within {PATIENCE} s")

    async def throughput(self, task: str, steps: int, count: int) -> dict[str, Any]:
        await self.run(task, 10, WARM_UP)
        gauge = Gauge(self.given.postmaster, self.process.pid)
        for _ in range(self.given.repeat):
            await self.run(task, steps, count)
        sample = gauge.sample(steps * count * self.given.repeat)
        (stored,) = await self.asked("SELECT COUNT(*) FROM absurd.c_default")
        insist(stored, WARM_UP * 10 + steps * count * self.given.repeat, "checkpoints in the database")
        return sample

    async def latency(self, calls: int) -> dict[str, Any]:
        seconds: list[float] = []
        for number in range(calls + 3):
            if number == 3:
                gauge = Gauge(self.given.postmaster, self.process.pid)
            (id,) = await self.run("chain", 1, 1)
            if number >= 3:
                sql = "SELECT EXTRACT(epoch FROM r.completed_at - t.enqueue_at) FROM absurd.t_default t"
                (took,) = await self.asked(f"{sql} JOIN absurd.r_default r USING (task_id) WHERE task_id = %s", id)
                seconds.append(float(took))
        return {**gauge.sample(calls), **spread(seconds)}

    async def measured(self) -> dict[str, Any]:
        match self.given.workload:
            case "chain":
                return await self.throughput("chain", self.given.steps, self.given.size)
            case "long":
                return await self.throughput("chain", self.given.size, 1)
            case "fan-out":
                return await self.throughput("scores", self.given.size, 1)
            case _:
                return await self.latency(self.given.size)


async def measured(given: Namespace) -> dict[str, Any]:
    make_schema(given.url)
    with worker(given.url) as process:
        async with await psycopg.AsyncConnection.connect(given.url, autocommit=True) as connection:
            bench = Bench(given.url, connection, process, given)
            sample = await bench.measured()
            commit, sync = await bench.asked("SELECT current_setting('synchronous_commit'), current_setting('fsync')")
    return {**sample, "version": f"absurd-sdk {version('absurd-sdk')}", "durability": f"synchronous_commit={commit} fsync={sync}"}


def main() -> None:
    given = arguments(__doc__, ("chain", "long", "fan-out", "call", "work"))
    if given.workload == "work":
        asyncio.run(work(given.url))
    say(asyncio.run(measured(given)))


if __name__ == "__main__":
    main()
