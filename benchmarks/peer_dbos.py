"""The same workloads on DBOS Transact with SQLite, in its own defaults; run by the Python of an environment that has `dbos`.

PYTHON benchmarks/peer_dbos.py chain FILE RUNS STEPS | latency FILE CALLS

`chain` starts all workflows directly (no queue) and waits for their results; `latency` is the call of a one-step workflow inside
the process, without HTTP.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from dbos import DBOS  # type: ignore[import-not-found, unused-ignore]  # only in the peer's environment


@DBOS.step()  # type: ignore[untyped-decorator, unused-ignore]
async def noop(i: int) -> dict[str, Any]:
    return {"i": i, "ok": True, "value": 42, "note": "x" * 58, "tag": "bench"}


@DBOS.workflow()  # type: ignore[untyped-decorator, unused-ignore]
async def chain(steps: int) -> int:
    for i in range(steps):
        await noop(i)
    return steps


@DBOS.workflow()  # type: ignore[untyped-decorator, unused-ignore]
async def single() -> int:
    await noop(0)
    return 1


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _run_all(runs: int, steps: int) -> float:
    started = time.perf_counter()
    handles = await asyncio.gather(*(DBOS.start_workflow_async(chain, steps) for _ in range(runs)))
    results = await asyncio.gather(*(handle.get_result() for handle in handles))
    if results != [steps] * runs:
        raise RuntimeError("not every workflow returned the number of its steps")
    return time.perf_counter() - started


async def measure_chain(runs: int, steps: int) -> dict[str, Any]:
    """Start `runs` workflows of `steps` steps at once and wait for all."""
    await _run_all(min(runs, 20), steps)
    before = _cpu()
    elapsed = await _run_all(runs, steps)
    count = runs * steps
    return {
        "runs": runs,
        "steps": steps,
        "seconds": round(elapsed, 3),
        "steps_per_s": round(count / elapsed),
        "cpu_us_per_step": round((_cpu() - before) / count * 1e6, 1),
    }


async def measure_latency(calls: int) -> dict[str, Any]:
    """Milliseconds from the call of a one-step workflow to its result, one call after the other."""
    samples: list[float] = []
    for number in range(calls + 20):
        started = time.perf_counter()
        await single()
        if number >= 20:
            samples.append((time.perf_counter() - started) * 1000)
    samples.sort()
    p99 = samples[int(len(samples) * 0.99) - 1]
    return {"calls": calls, "p50_ms": round(statistics.median(samples), 2), "p99_ms": round(p99, 2)}


def main() -> None:
    """Run one workload on a new database and print its JSON line."""
    kind, file, *numbers = sys.argv[1:]
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{file}", "run_admin_server": False, "log_level": "ERROR"})
    DBOS.launch()
    sizes = [int(number) for number in numbers]
    measured = asyncio.run(measure_chain(*sizes) if kind == "chain" else measure_latency(*sizes))
    DBOS.destroy()
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
