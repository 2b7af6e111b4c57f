"""What one item of a fan-out costs, at few items and at many: it has to be about the same.

python -m benchmarks.fan_out [--rounds 3]

Prints a table: time and bytes written of each item of one run, beside a raw loop that inserts a row an item, as many in a commit
as are under way at once. Each figure comes from a process of its own on a fresh SQLite file; a first small run warms it up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks import fan_out_workload
from benchmarks.raw import sqlite_rows
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import ENDED
from flowgraph_runtime.worker.options import WorkerOptions

SLEEP = 1.0
"""Seconds that the branches of `rests` sleep, all at the same time: left out of what an item takes."""


@dataclass(frozen=True)
class Shape:
    """One row of the table."""

    workflow: str
    items: int
    limit: int | None

    def title(self) -> str:
        """What stands in the first column."""
        named = "steps" if self.workflow == "scores" else "sleep, then step"
        return f"{self.items:,} x {named}" + ("" if self.limit is None else f", {self.limit} at a time")


SHAPES = (
    Shape("scores", 100, None),
    Shape("scores", 10_000, None),
    Shape("scores", 100, 20),
    Shape("scores", 1_000, 20),
    Shape("scores", 10_000, 20),
    Shape("rests", 100, None),
    Shape("rests", 10_000, None),
)


@dataclass(frozen=True)
class Cost:
    """Microseconds and bytes of one item, and the raw loop's."""

    us: float
    cpu_us: float
    written: float
    raw_us: float
    raw_written: float


def written() -> int:
    """Bytes that this process has handed to the system for writing."""
    return int(psutil.Process().io_counters().write_chars)


async def one(service: Service, shape: Shape) -> None:
    """Run it to its end."""
    given = {"items": shape.items, "limit": shape.limit}
    run_id, _ = await service.intake.start(shape.workflow, given)
    with service.hub.subscribe(run_id) as subscription:
        while True:
            row = await service.store.run(run_id)
            assert row is not None
            if row.status in ENDED:
                break
            try:
                async with asyncio.timeout(1):
                    await subscription.next_of("run")
            except TimeoutError:
                continue
    assert row.status == "completed", row


async def measured(shape: Shape, folder: Path) -> Cost:
    """What the items of one run cost."""
    settings = Settings(db=f"sqlite:///{folder / 'ours.db'}")
    store = open_store(settings)
    try:
        registry = Registry.from_compilation(compile_targets([fan_out_workload.__name__]))
        async with Service(registry, store, settings).running() as service:
            await one(service, Shape("scores", 20, None))
            before, cpu, began = written(), time.process_time(), time.perf_counter()
            await one(service, shape)
            seconds = time.perf_counter() - began - (SLEEP if shape.workflow == "rests" else 0)
            cpu, bytes_ = time.process_time() - cpu, written() - before
    finally:
        store.close()
    before = written()
    raw = sum(sqlite_rows(folder / "raw.db", shape.items, shape.limit or WorkerOptions().slots))
    each = 1 / shape.items
    return Cost(seconds * each * 1e6, cpu * each * 1e6, bytes_ * each, raw * each * 1e6, (written() - before) * each)


def apart(shape: Shape) -> Cost:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.fan_out", "--one", json.dumps(asdict(shape))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shape.title()} failed:\n{done.stdout}{done.stderr}")
    return Cost(**json.loads(done.stdout.strip().splitlines()[-1]))


def line(shape: Shape, costs: list[Cost]) -> str:
    """A row of medians."""
    us, cpu, size, raw, raw_size = (
        median(getattr(cost, name) for cost in costs) for name in ("us", "cpu_us", "written", "raw_us", "raw_written")
    )
    return (
        f"| {shape.title()} | {us:,.0f} | {cpu:,.0f} | {raw:,.1f} | {us / raw:,.0f} |"
        f" {size:,.0f} | {raw_size:,.0f} | {size / raw_size:,.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(asyncio.run(measured(Shape(**json.loads(args.one)), Path(folder))))))
        return
    found: dict[Shape, list[Cost]] = {shape: [] for shape in SHAPES}
    for number in range(args.rounds):
        for shape, costs in found.items():
            print(f"round {number + 1} of {args.rounds}: {shape.title()}", file=sys.stderr, flush=True)
            costs.append(apart(shape))
    print("| one run of | us an item | CPU us | raw loop us | ratio | bytes written an item | raw loop bytes | ratio |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: |")
    for shape, costs in found.items():
        print(line(shape, costs))


if __name__ == "__main__":
    main()
