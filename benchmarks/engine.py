"""Our own side of the benchmarks: the product's service in one process, and a real server for the latency over HTTP."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from benchmarks import workload
from benchmarks.workload import Json
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import CommitNews


def fresh(path: Path) -> None:
    """Remove a SQLite database with its companions."""
    for suffix in ("", "-wal", "-shm", ".lock", "-lock"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


@dataclass
class Watch:
    """Counts, where the product itself listens to commits, the steps and runs that have ended."""

    runs: int
    steps: int = 0
    ended: int = 0
    all_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, news: CommitNews) -> None:
        self.steps += sum(row.kind == "done" for row in news.rows)
        for transition in news.transitions:
            self.steps += sum(row.kind == "done" for row in transition.rows)
            self.ended += transition.ended_at is not None
        if self.ended >= self.runs:
            self.all_ended.set()


@dataclass
class Times:
    """Seconds: until the last start was acknowledged, and from then to the end of the last run, in which `rest` steps ended."""

    starting: float
    working: float
    rest: int


async def _chain(service: Service, runs: int, steps: int) -> Times:
    watch = Watch(runs)
    spread = service._spread

    def both(news: CommitNews) -> None:
        spread(news)
        watch.heard(news)

    service._spread = both  # type: ignore[method-assign]
    began = time.perf_counter()
    await asyncio.gather(*(service.intake.start("chain", {"steps": steps}) for _ in range(runs)))
    started, early = time.perf_counter(), watch.steps
    await watch.all_ended.wait()
    service._spread = spread  # type: ignore[method-assign]
    return Times(started - began, time.perf_counter() - started, watch.steps - early)


async def chain(url: str, runs: int, steps: int) -> Json:
    """Start `runs` runs at once and wait until all have completed; `running_steps_per_s` leaves the starts out."""
    settings = Settings(db=url)
    store = open_store(settings)
    try:
        async with Service(Registry.from_compilation(compile_targets([workload.__name__])), store, settings).running() as service:
            await _chain(service, min(runs, 20), steps)
            before = resource.getrusage(resource.RUSAGE_SELF)
            times = await _chain(service, runs, steps)
            after = resource.getrusage(resource.RUSAGE_SELF)
    finally:
        store.close()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    count, elapsed = runs * steps, times.starting + times.working
    return {
        "runs": runs,
        "steps": steps,
        "seconds": round(elapsed, 3),
        "steps_per_s": round(count / elapsed),
        "running_steps_per_s": round(times.rest / times.working),
        "starts_per_s": round(runs / times.starting),
        "cpu_us_per_step": round(cpu / count * 1e6, 1),
    }


async def latency(url: str, posts: int) -> Json:
    """Milliseconds from posting a start to the answer that the one-step run has completed, one after the other."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "flowgraph_runtime.cli", "serve", workload.__name__, "--db", url, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await _ready(client)
            samples = []
            for number in range(posts + 20):
                started = time.perf_counter()
                answer = await client.post("/v1/workflows/single/runs", params={"wait": "10s"}, json={"input": {}})
                elapsed = (time.perf_counter() - started) * 1000
                assert answer.json()["status"] == "completed", answer.text
                if number >= 20:
                    samples.append(elapsed)
    finally:
        server.terminate()
        server.wait()
    samples.sort()
    return {
        "posts": posts,
        "p50_ms": round(statistics.median(samples), 2),
        "p99_ms": round(samples[int(len(samples) * 0.99) - 1], 2),
    }


async def _ready(client: httpx2.AsyncClient) -> None:
    for _ in range(600):
        with suppress(httpx2.HTTPError):
            if (await client.get("/readyz")).status_code == 200:
                return
        await asyncio.sleep(0.05)
    raise RuntimeError("the server was not ready within 30 s")


def main() -> None:
    """Run one workload and print its JSON line: `python -m benchmarks.engine chain URL RUNS STEPS` or `latency URL POSTS`."""
    kind, url, *numbers = sys.argv[1:]
    sizes = [int(number) for number in numbers]
    if url.startswith("sqlite:///"):
        fresh(Path(url.removeprefix("sqlite:///")))
    print(json.dumps(asyncio.run(chain(url, sizes[0], sizes[1]) if kind == "chain" else latency(url, sizes[0]))))


if __name__ == "__main__":
    main()
