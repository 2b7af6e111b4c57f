"""Times the pages of the dashboard on a database with 1,000 finished runs and on one with very many.

`python -m benchmarks.dashboard --runs 1000000` fills both by SQL (half a minute for a million runs on SQLite), asks for each
page in this process, in turn in both, and prints medians and their ratio. `--db postgres` does it on a PostgreSQL server of its
own.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import quote

import httpx2
import psycopg

from benchmarks.dashboard_fill import fill, originals
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_runtime.app import create_app
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import Store
from verification.postgres import MISSING, server_binaries, temporary_server

WORKLOAD = "benchmarks.dashboard_workload"
SMALL = 1_000


@contextmanager
def databases(kind: str) -> Iterator[tuple[str, str]]:
    """URLs of two empty databases."""
    with tempfile.TemporaryDirectory(prefix="flowgraph-bench-") as folder:
        if kind == "sqlite":
            yield f"sqlite:///{Path(folder) / 'small.db'}", f"sqlite:///{Path(folder) / 'large.db'}"
            return
        binaries = server_binaries()
        if binaries is None:
            raise SystemExit(MISSING)
        with temporary_server(binaries) as server:
            with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE small")
                connection.execute("CREATE DATABASE large")
            yield server.url("small"), server.url("large")


async def filled(url: str, count: int) -> None:
    """Make a database with that many finished runs."""
    settings = Settings(db=url)
    store = open_store(settings)
    began = time.perf_counter()
    try:
        async with Service(Registry.from_compilation(compile_targets([WORKLOAD])), store, settings).running() as service:
            numbers = await originals(service)
        fill(store, numbers, count, store.clock.now())
        _tidy(store)
    finally:
        store.close()
    print(f"filled with {count:,} runs in {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


def _tidy(store: Store) -> None:
    """What PostgreSQL does by itself some time after so many inserts: statistics for its planner. SQLite is left as it is."""
    if store._database.has_other_writers:
        store._database.writing().run("ANALYZE")


async def addresses(store: Store) -> dict[str, str]:
    """The pages by name: those of single things, and the lists with each filter."""
    newest, _ = await store.runs(limit=1, workflow="fulfil")
    run = newest[0]
    first = store.read(lambda connection: connection.exec_driver_sql("SELECT MIN(number), MAX(number) FROM fg_run").one())
    middle, when = (first[0] + first[1]) // 2, _around_the_middle(store)
    return {
        "workflows": "/",
        "one workflow": "/workflows/fulfil",
        "runs": "/runs",
        "runs, a page in the middle": f"/runs?before={middle}",
        "runs of a workflow": "/runs?workflow=collect",
        "runs that failed": "/runs?status=failed",
        "failed runs of a workflow": "/runs?workflow=fulfil&status=failed",
        "runs that crashed (none)": "/runs?status=crashed",
        "runs of an event": "/runs?event=order.returned",
        "failed runs of an event": "/runs?event=order.placed&status=failed",
        "failed runs of an event (none)": "/runs?event=order.returned&status=failed",
        "runs of ten minutes": f"/runs?from={when[0]}&to={when[1]}",
        "failed runs of ten minutes": f"/runs?from={when[0]}&to={when[1]}&status=failed",
        "one run": f"/runs/{run.id}",
        "events": "/events",
        "events of a name": "/events?name=order.returned",
        "unknown events": "/events?status=unknown",
        "one event": f"/events/{run.event_id}",
        "search for an id": f"/search?q={run.id}",
        "search for a beginning": f"/search?q={quote(run.id[:-2])}",
    }


def _around_the_middle(store: Store) -> tuple[str, str]:
    """Five minutes before and after the run in the middle, as the form has it."""
    low, high = store.read(
        lambda connection: connection.exec_driver_sql("SELECT MIN(created_at), MAX(created_at) FROM fg_run").one()
    )
    middle = (low + high) // 2_000_000
    since, until = (time.strftime("%Y-%m-%dT%H:%M", time.gmtime(middle + shift)) for shift in (-300, 300))
    return since, until


async def measured(urls: tuple[str, str], rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Milliseconds of each page on both databases, by name."""
    compilation = compile_targets([WORKLOAD])
    found: dict[str, tuple[list[float], list[float]]] = {}
    async with AsyncExitStack() as stack:
        clients: list[tuple[httpx2.AsyncClient, dict[str, str]]] = []
        for url in urls:
            app = create_app(compilation, settings=Settings(db=url, worker=False))
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1", timeout=120)
            await stack.enter_async_context(client)
            clients.append((client, await addresses(app.state.service.store)))
        for name in clients[0][1]:
            found[name] = ([], [])
            for number in range(rounds + 1):
                for side, (client, pages) in enumerate(clients):
                    spent = await _timed(client, pages[name])
                    if number:  # the first one warms up
                        found[name][side].append(spent)
    return found


async def _timed(client: httpx2.AsyncClient, path: str) -> float:
    began = time.perf_counter()
    answer = await client.get(path, headers={"accept": "text/html"})
    if answer.status_code not in (200, 303):
        raise SystemExit(f"{path}: {answer.status_code} {answer.text[:300]}")
    return (time.perf_counter() - began) * 1_000


def table(found: dict[str, tuple[list[float], list[float]]], kind: str, runs: int) -> str:
    """The medians as Markdown."""
    lines = [f"| page, {kind} | ms at {SMALL:,} runs | ms at {runs:,} | ratio |", "| --- | --: | --: | --: |"]
    for name, (small, large) in found.items():
        lines.append(f"| {name} | {median(small):.1f} | {median(large):.1f} | {median(large) / median(small):.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Fill, measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    args = parser.parse_args()
    with databases(args.db) as urls:
        for url, count in zip(urls, (SMALL, args.runs), strict=True):
            asyncio.run(filled(url, count))
        print(table(asyncio.run(measured(urls, args.rounds)), args.db, args.runs))


if __name__ == "__main__":
    main()
