"""What runs cost that only wait: bytes in the database, memory and time after a restart, and the one among many that an event
is for.

python -m benchmarks.parked sleepers|match URL --size RUNS

`sleepers` measures the database's growth, a chain beside them and one on a database without them, in turn, and a server that
starts over each of the two; one sleeper is due by then, and its end is the first progress. `match` posts events to open
waits, one after the other, in a process that has just opened the database.
"""

from __future__ import annotations

import asyncio
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import httpx2

from benchmarks.databases import ask, durability, prepare, sqlite_path, stored_bytes
from benchmarks.engine import opened, run_all, serving, watching
from benchmarks.gauge import Gauge, arguments, cpu_of, insist, resident, say, spread
from flowgraph_runtime import event_loop
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.service import Service

AT_ONCE = 2_000
"""Starts in flight together."""
SOON = 6
"""Seconds from its start until the one sleeper is due: nothing runs by then."""
SETTLED = 4
"""Seconds of quiet before memory is read."""
EVENTS = 200
"""Events that are posted one after the other."""
RUNS = 500
"""Runs of a chain beside the sleepers."""
TIMES = 5
"""How often that chain runs, with and without them."""


async def park(service: Service, workflow: str, inputs: Sequence[dict[str, Any]]) -> None:
    """Start a run for each input and wait until all of them rest."""
    for first in range(0, len(inputs), AT_ONCE):
        chunk = inputs[first : first + AT_ONCE]
        with watching(service, len(chunk)) as watch:
            await asyncio.gather(*(service.intake.start(workflow, given) for given in chunk))
            await watch.all_ended.wait()
        insist((watch.parked, watch.ended), (len(chunk), 0), "runs that rest and runs that have ended")


async def chain(url: str, postmaster: int | None) -> dict[str, float]:
    """Run a chain in a service of its own -> seconds and CPU seconds of a step."""
    async with opened(url) as service:
        await run_all(service, "chain", [{"steps": 10}] * 100)
        gauge = Gauge(postmaster)
        await run_all(service, "chain", [{"steps": 10}] * RUNS)
        sample = gauge.sample(RUNS * 10)
    return {field: sample[field] / sample["count"] for field in ("seconds", "cpu")}


async def chains(urls: dict[str, str], postmaster: int | None) -> dict[str, float]:
    """Run chains on these databases in turn -> the medians, by `chain_<field>_<name of the database>`."""
    samples: dict[str, list[float]] = defaultdict(list)
    for _ in range(TIMES):
        for name, url in urls.items():
            for field, value in (await chain(url, postmaster)).items():
                samples[f"chain_{field}_{name}"].append(value)
    return {name: median(values) for name, values in samples.items()}


@asynccontextmanager
async def restarted(url: str) -> AsyncIterator[tuple[httpx2.AsyncClient, int, float]]:
    """A server on the database -> a client, its process, and the wall time at which it was started."""
    began = time.time()
    async with serving(url) as (web, process):
        yield web, process.pid, began


async def settled(pid: int) -> float:
    """Megabytes of a server that has come to rest."""
    await asyncio.sleep(SETTLED)
    return resident(pid)


def _other(url: str) -> str:
    path = sqlite_path(url)
    return f"sqlite:///{path.with_name('empty.db')}" if path is not None else url.replace("/bench?", "/bench_empty?")


async def _run(web: httpx2.AsyncClient, id: str) -> float:
    """Wait for the end of a run -> when it ended."""
    while True:
        run = (await web.get(f"/v1/runs/{id}")).json()
        if run["ended_at"] is not None:
            insist(run["status"], "completed", "the sleeper that was due")
            return datetime.fromisoformat(run["ended_at"]).timestamp()
        await asyncio.sleep(0.01)


async def sleepers(given: Namespace) -> dict[str, Any]:
    """The figures of `size` sleeping runs."""
    async with opened(given.url):  # makes the tables
        pass
    before = stored_bytes(given.url)
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    gauge = Gauge(given.postmaster)
    async with opened(given.url) as service:
        await park(service, "sleeper", [{"until": later}] * given.size)
    sample = gauge.sample(given.size)
    after = stored_bytes(given.url)
    insist(ask(given.url, "SELECT COUNT(*) FROM fg_run WHERE status = 'sleeping'"), [(given.size,)], "sleeping runs")
    insist(ask(given.url, "SELECT COUNT(*) FROM fg_timer"), [(given.size,)], "timers")
    empty = _other(given.url)
    prepare(empty)
    chained = await chains({"alone": empty, "beside": given.url}, given.postmaster)
    bytes_each = round((after - before) / given.size, 1)
    return {**sample, "bytes_each": bytes_each, **chained, **await _restart(given.url, empty)}


async def _restart(url: str, empty: str) -> dict[str, float]:
    async with opened(url) as service:
        due = datetime.now(UTC) + timedelta(seconds=SOON)
        id, _ = await service.intake.start("sleeper", {"until": due.isoformat()})
        while (await service.store.run(id)).status != "sleeping":  # type: ignore[union-attr]  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    async with restarted(empty) as (_, pid, _):
        none_cpu = cpu_of(pid)
        none = await settled(pid)
    await asyncio.sleep(max(0.0, due.timestamp() - time.time()))
    async with restarted(url) as (web, pid, began):
        ready = time.time() - began
        ended = await _run(web, id)
        spent = cpu_of(pid)
        rss = await settled(pid)
    return {
        "rss_mb": round(rss, 1),
        "rss_more_mb": round(rss - none, 1),
        "ready_s": round(ready, 3),
        "first_progress_s": round(ended - began, 3),
        "first_progress_cpu_s": spent,
        "none_ready_cpu_s": none_cpu,
    }


async def match(given: Namespace) -> dict[str, Any]:
    """Post an event to each of some of `size` open waits, each after the run that the one before woke has ended."""
    async with opened(given.url) as service:
        await park(service, "payer", [{"order": f"o-{number}"} for number in range(given.size)])
    events = min(EVENTS, given.size // 2)
    orders = [f"o-{number}" for number in range(0, given.size, given.size // (events * 2))][: events * 2]
    seconds: list[float] = []
    async with opened(given.url) as service:
        for order in orders[:events]:
            await _wake(service, order)
        gauge = Gauge(given.postmaster)
        seconds = [await _wake(service, order) for order in orders[events:]]
        sample = gauge.sample(len(seconds))
    woken = ask(given.url, "SELECT COUNT(*) FROM fg_run WHERE status = 'completed'")
    insist(woken, [(events * 2,)], "runs that their events have ended")
    return {**sample, **spread(seconds)}


async def _wake(service: Service, order: str) -> float:
    with watching(service, 1) as watch:
        began = time.perf_counter()
        await service.intake.send([Posted("paid", {"order": order})])
        while not watch.ended:
            await watch.all_ended.wait()
            if not watch.ended:
                watch.parked = 0
                watch.all_ended.clear()
        return time.perf_counter() - began


def main() -> None:
    """Run one workload and print its sample."""
    given = arguments(__doc__, ("sleepers", "match"))
    sample = event_loop.run(sleepers(given) if given.workload == "sleepers" else match(given))
    say({**sample, "durability": durability(given.url)})


if __name__ == "__main__":
    main()
