"""Our own side: the product's service in one process, as `flowgraph serve` runs it, without and with its HTTP interface.

python -m benchmarks.engine chain|long|fan-out|burn|burn-null|client|http URL --size N [--steps 10] [--repeat 1] [--burn US]
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from benchmarks import workload
from benchmarks.databases import ask, durability, fresh
from benchmarks.gauge import WARM_UP, Connection, Gauge, arguments, insist, say, spread
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_runtime import AsyncClient, event_loop
from flowgraph_runtime.records import Completed, Decided, JournalRow, Transition
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import CommitNews, Store
from flowgraph_runtime.storage.errors import StorageError

__all__ = ["Watch", "fresh", "opened", "serving"]
NODE = "benchmark"


@asynccontextmanager
async def opened(url: str, *, worker: bool = True, prepare: Callable[[Store], None] = lambda _: None) -> AsyncGenerator[Service]:
    """The product's service on a database, with the measured workflows. `prepare`: done to the store before anything uses it."""
    settings = Settings(db=url, worker=worker, node=NODE)
    store = open_store(settings)
    prepare(store)
    try:
        async with Service(Registry.from_compilation(compile_targets([workload.__name__])), store, settings).running() as service:
            yield service
    finally:
        store.close()


@dataclass
class Watch:
    """Counts, where the product itself listens to commits, steps and runs that have ended and runs that have come to rest."""

    runs: int
    steps: int = 0
    ended: int = 0
    parked: int = 0
    all_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def heard(self, news: CommitNews) -> None:
        self.steps += [row.kind for row in news.rows].count("done") + [end.row.kind for end in news.ends].count("done")
        self.ended += len(news.ends)
        for transition in news.transitions:
            self.saw(transition)
        if self.ended + self.parked >= self.runs:
            self.all_ended.set()

    def saw(self, transition: Transition) -> None:
        self.steps += sum(row.kind == "done" for row in transition.rows)
        self.ended += transition.ended_at is not None
        self.parked += transition.status in ("sleeping", "waiting")


@contextmanager
def watching(service: Service, runs: int) -> Iterator[Watch]:
    """Listen to commits in the block; `all_ended` says that `runs` runs have ended or rest."""
    watch, spread_ = Watch(runs), service._spread

    def both(news: CommitNews) -> None:
        spread_(news)
        watch.heard(news)

    service._spread = both  # type: ignore[method-assign]
    try:
        yield watch
    finally:
        service._spread = spread_  # type: ignore[method-assign]


async def run_all(service: Service, name: str, inputs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Start runs at once and wait until all have ended -> seconds until the last start was acknowledged, seconds from then on,
    and how many steps ended in these."""
    with watching(service, len(inputs)) as watch:
        began = time.perf_counter()
        for start in [asyncio.create_task(service.intake.start(name, given)) for given in inputs]:
            await start
        started, early = time.perf_counter(), watch.steps
        await watch.all_ended.wait()
    return {"starting": started - began, "running": time.perf_counter() - started, "rest": watch.steps - early}


async def throughput(given: Namespace, name: str, inputs: Sequence[dict[str, Any]], steps: int) -> dict[str, Any]:
    """Run `name` with the inputs, `repeat` times one after the other -> the sample of `steps` steps each time."""
    async with opened(given.url) as service:
        warm = [inputs[0] | ({"steps": 10} if "steps" in inputs[0] else {"items": 10})] * WARM_UP
        await run_all(service, name, warm)
        gauge = Gauge(given.postmaster)
        times = [await run_all(service, name, inputs) for _ in range(given.repeat)]
        sample = gauge.sample(steps * given.repeat)
    total = {key: round(sum(one[key] for one in times), 5) for key in ("starting", "running", "rest")}
    counted(given.url, WARM_UP + len(inputs) * given.repeat, WARM_UP * 10 + steps * given.repeat)
    return {**sample, **total, "runs": len(inputs) * given.repeat}


def counted(url: str, runs: int, steps: int) -> None:
    """Check in the database that so many runs have completed with so many steps in their journals."""
    ended = ask(url, "SELECT status, COUNT(*) FROM fg_run GROUP BY status")
    insist(ended, [("completed", runs)], "runs by status")
    insist(ask(url, "SELECT COUNT(*) FROM fg_journal WHERE kind = 'done'"), [(steps,)], "outcomes of steps in the journal")


async def chain(given: Namespace) -> dict[str, Any]:
    """`size` runs of `steps` steps, at once."""
    return await throughput(given, "chain", [{"steps": given.steps}] * given.size, given.size * given.steps)


async def long(given: Namespace) -> dict[str, Any]:
    """One run of `size` steps."""
    return await throughput(given, "chain", [{"steps": given.size}], given.size)


async def fan_out(given: Namespace) -> dict[str, Any]:
    """One run that fans out over `size` items, a step each."""
    return await throughput(given, "scores", [{"items": given.size}], given.size)


async def burn(given: Namespace) -> dict[str, Any]:
    """`size` runs of `steps` steps that use the CPU."""
    inputs = [{"steps": given.steps, "us": given.burn}] * given.size
    return await throughput(given, "burn", inputs, given.size * given.steps)


async def burn_null(given: Namespace) -> dict[str, Any]:
    """The same while commits of the worker's decisions are thrown away: the engine without its writer."""
    inputs = [{"steps": given.steps, "us": given.burn}] * given.size
    discarding: list[Discarding] = []
    async with opened(given.url, prepare=lambda store: discarding.append(Discarding(store))) as service:
        await run_all(service, "burn", [inputs[0]] * WARM_UP)
        watch = discarding[0].watch = Watch(given.size)
        gauge = Gauge(given.postmaster)
        await asyncio.gather(*(service.intake.start("burn", one) for one in inputs))
        await watch.all_ended.wait()
        sample = gauge.sample(given.size * given.steps)
    insist(watch.steps, given.size * given.steps, "steps whose outcome was to be committed")
    return sample


class Discarding:
    """Stands before a store's commits; while there is a `watch`, which hears of them, they are thrown away."""

    def __init__(self, store: Store) -> None:
        self.watch: Watch | None = None
        self._commit = store.commit
        store.commit = self.commit  # type: ignore[method-assign]  # before a worker takes hold of it

    async def commit(self, epoch: int, group: Sequence[Decided], *, again: bool = False) -> list[StorageError | None]:
        if self.watch is None:
            return await self._commit(epoch, group, again=again)
        await asyncio.sleep(0)
        rows = [one for one in group if isinstance(one, JournalRow)]
        ends = [one for one in group if isinstance(one, Completed)]
        self.watch.heard(CommitNews(rows=rows, ends=ends, transitions=[one for one in group if isinstance(one, Transition)]))
        return [None] * len(group)


# --- latency


async def client(given: Namespace) -> dict[str, Any]:
    """One-step runs one after the other, started and awaited inside the process."""
    seconds: list[float] = []
    async with opened(given.url) as service:
        for number in range(given.size + WARM_UP):
            if number == WARM_UP:
                gauge = Gauge(given.postmaster)
            began = time.perf_counter()
            await run_all(service, "single", [{}])
            if number >= WARM_UP:
                seconds.append(time.perf_counter() - began)
        sample = gauge.sample(given.size)
    counted(given.url, given.size + WARM_UP, given.size + WARM_UP)
    return {**sample, **spread(seconds)}


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(url: str, *options: str) -> AsyncIterator[tuple[httpx2.AsyncClient, subprocess.Popen[bytes]]]:
    """`flowgraph serve` as a process of its own -> a client of it, and the process."""
    port = free_port()
    command = [sys.executable, "-m", "flowgraph_runtime.cli", "serve", workload.__name__, "--db", url, "--port", str(port)]
    server = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as web:
            await _ready(web, server)
            yield web, server
    finally:
        server.terminate()
        server.wait()


async def _ready(web: httpx2.AsyncClient, server: subprocess.Popen[bytes]) -> None:
    for _ in range(6000):
        insist(server.poll(), None, "exit of the server")
        with suppress(httpx2.HTTPError):
            if (await web.get("/readyz")).status_code == 200:
                return
        await asyncio.sleep(0.01)
    raise RuntimeError("the server was not ready within a minute")


async def http(given: Namespace) -> dict[str, Any]:
    """One-step runs one after the other, from posting the start to the answer that the run has completed, each time."""
    seconds: list[float] = []
    async with serving(given.url) as (web, server):
        connection = await Connection.open(web.base_url.port or 80)
        for number in range(given.size + WARM_UP):
            if number == WARM_UP:
                gauge = Gauge(server.pid, given.postmaster)
            began = time.perf_counter()
            status, answer = await connection.post("/v1/workflows/single/runs?wait=10s", b'{"input":{}}')
            if number >= WARM_UP:
                seconds.append(time.perf_counter() - began)
            insist((status, json.loads(answer)["status"]), (201, "completed"), "answer to a start")
        connection.close()
        sample = gauge.sample(given.size)
    counted(given.url, given.size + WARM_UP, given.size + WARM_UP)
    return {**sample, **spread(seconds)}


async def typed_client(given: Namespace) -> dict[str, Any]:
    """The same by the product's own client, which checks and types what it gets."""
    seconds: list[float] = []
    async with serving(given.url) as (web, server), AsyncClient(str(web.base_url).rstrip("/")) as typed:
        for number in range(given.size + WARM_UP):
            if number == WARM_UP:
                gauge = Gauge(server.pid, given.postmaster)
            began = time.perf_counter()
            handle = await typed.start(workload.single)
            insist(await handle.result(), 1, "result of a run")
            if number >= WARM_UP:
                seconds.append(time.perf_counter() - began)
        sample = gauge.sample(given.size)
    counted(given.url, given.size + WARM_UP, given.size + WARM_UP)
    return {**sample, **spread(seconds)}


WORKLOADS = {
    "chain": chain,
    "long": long,
    "fan-out": fan_out,
    "burn": burn,
    "burn-null": burn_null,
    "client": client,
    "http": http,
    "typed-client": typed_client,
}


def main() -> None:
    """Run one workload and print its sample."""
    given = arguments(__doc__, tuple(WORKLOADS))
    sample = event_loop.run(WORKLOADS[given.workload](given))
    say({**sample, "durability": durability(given.url)})


if __name__ == "__main__":
    main()
