"""How long others wait beside a step that computes: in the loop, in a thread, in a process of its own, and with no such step.

python -m benchmarks.processes [--rounds 5] [--parts 8] [--work 200000]

One engine, on SQLite in memory. While one run computes, one-step runs are started one after the other; the table has their
latency, from the call that starts one to the commit that ends it, and its ratio to the latency beside no such step. The four ways
take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from statistics import median, quantiles

from benchmarks import processes_workload
from flowgraph_compiler import compile_module
from flowgraph_runtime.clock import SystemClock
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import ENDED, Store

WAYS = ("nothing", "process", "thread", "loop")
ALONE = 300
"""One-step runs that are timed beside nothing."""


async def ended(service: Service, run_id: str) -> bool:
    row = await service.store.run(run_id)
    assert row is not None
    return row.status in ENDED


async def latency(service: Service) -> float:
    """Seconds from starting a one-step run to having seen its end."""
    began = time.perf_counter()
    run_id, _ = await service.intake.start("quick", {"rounds": 0})
    with service.hub.subscribe(run_id) as news:
        while not await ended(service, run_id):
            await news.queue.get()
    return time.perf_counter() - began


async def beside(service: Service, way: str, parts: int, work: int) -> list[float]:
    """Latencies while a run computes in this way."""
    if way == "nothing":
        return [await latency(service) for _ in range(ALONE)]
    run_id, _ = await service.intake.start(way, {"parts": parts, "rounds": work})
    found = []
    while not await ended(service, run_id):
        found.append(await latency(service))
    return found


async def measured(rounds: int, parts: int, work: int) -> dict[str, list[float]]:
    """All latencies by way."""
    store = Store.open("sqlite://", clock=SystemClock())
    found: dict[str, list[float]] = defaultdict(list)
    try:
        service = Service(Registry.from_compilation(compile_module(processes_workload)), store, Settings(db="sqlite://"))
        async with service.running():
            for way in WAYS:
                await beside(service, way, 2, 1)  # imports, processes, caches
            for _ in range(rounds):
                for way in WAYS:
                    found[way] += await beside(service, way, parts, work)
    finally:
        store.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--work", type=int, default=processes_workload.ROUNDS)
    given = parser.parse_args()
    found = asyncio.run(measured(given.rounds, given.parts, given.work))
    base = median(found["nothing"])
    print(f"{'beside a step in':<18}{'runs':>7}{'p50 ms':>10}{'p99 ms':>10}{'p50 ratio':>11}{'p99 ratio':>11}")
    for way in WAYS:
        p50, p99 = median(found[way]), quantiles(found[way], n=100)[98]
        print(f"{way:<18}{len(found[way]):>7}{p50 * 1e3:>10.2f}{p99 * 1e3:>10.2f}{p50 / base:>11.1f}{p99 / base:>11.1f}")


if __name__ == "__main__":
    main()
