"""Several workers on one PostgreSQL database, each a process of its own.

python -m benchmarks.workers chain URL --size RUNS_OF_EACH --repeat WORKERS

The runs are stored first, by a process that works on none; then all workers are let go at once, and the time counts until no run
is left. Their CPU time and the database server's are in the sample.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg

from benchmarks import workload
from benchmarks.databases import durability
from benchmarks.engine import counted, opened
from benchmarks.gauge import Gauge, arguments, insist, say
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_runtime import event_loop
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings

AT_ONCE = 1_000
"""Starts in flight together."""


async def work(url: str) -> None:
    """What a worker does: get ready, say so, work from the first line that it is told until the second."""
    settings = Settings(db=url)
    registry = Registry.from_compilation(compile_targets([workload.__name__]))
    store = open_store(settings)
    try:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        async with Service(registry, store, settings).running():
            await asyncio.to_thread(sys.stdin.readline)
    finally:
        store.close()


@contextmanager
def worker(url: str) -> Iterator[subprocess.Popen[str]]:
    """A worker's process that is ready."""
    command = [sys.executable, "-m", "benchmarks.workers", "work", url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        insist(process.stdout.readline(), "ready\n", "what a worker says")
        yield process
        tell(process)
        insist(process.wait(60), 0, "exit of a worker")
    finally:
        process.kill()
        process.wait()


def tell(process: subprocess.Popen[str]) -> None:
    """Give a worker the next line."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


async def _store(url: str, runs: int, steps: int) -> None:
    async with opened(url, worker=False) as service:
        for first in range(0, runs, AT_ONCE):
            count = min(AT_ONCE, runs - first)
            await asyncio.gather(*(service.intake.start("chain", {"steps": steps}) for _ in range(count)))


async def chain(given: Namespace) -> dict[str, Any]:
    """`size` runs of `steps` steps for each of `repeat` workers."""
    runs, workers = given.size * given.repeat, given.repeat
    await _store(given.url, runs, given.steps)
    with ExitStack() as stack, psycopg.connect(given.url, autocommit=True) as connection:
        processes = [stack.enter_context(worker(given.url)) for _ in range(workers)]
        gauge = Gauge(given.postmaster, *(process.pid for process in processes))
        for process in processes:
            tell(process)
        while _left(connection):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        sample = gauge.sample(runs * given.steps, runs=runs)
        shares = connection.execute("SELECT COUNT(*) FROM fg_epoch").fetchone()
        insist(shares, (workers,), "workers that have opened an epoch")
    counted(given.url, runs, runs * given.steps)
    return sample


def _left(connection: psycopg.Connection[Any]) -> bool:
    return bool(connection.execute("SELECT 1 FROM fg_run WHERE ended_at IS NULL LIMIT 1").fetchall())


def main() -> None:
    """Run one workload and print its sample, or be one of its workers."""
    given = arguments(__doc__, ("chain", "work"))
    if given.workload == "work":
        event_loop.run(work(given.url))
        return
    say({**asyncio.run(chain(given)), "durability": durability(given.url)})


if __name__ == "__main__":
    main()
