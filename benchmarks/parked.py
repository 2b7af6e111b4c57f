"""What runs cost that only wait: memory after a restart, bytes in the database, and finding the one that an event is for.

python -m benchmarks.parked [--runs 100000] [--few 100] [--db postgresql://...]

Prints a table: the server's resident memory after a restart over sleeping runs beside one over an empty database, database bytes
of each sleeping run, the time from the restart to the end of a run that was due meanwhile; and for open waits among few and among
many others, the time from posting an event to the end of the run that waited for it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from benchmarks import parked_workload
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_runtime import Client
from flowgraph_runtime.client import ApiError
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings

AT_ONCE = 2000
"""Starts in flight together."""
SOON = 8
"""Seconds from now at which one sleeper is due: the server is down by then."""
SETTLED = 3
"""Seconds of quiet before memory is read."""


async def fill(url: str, workflow: str, inputs: list[dict[str, Any]]) -> list[str]:
    """Start a run for each input and wait until all of them are parked -> their ids."""
    settings = Settings(db=url)
    store = open_store(settings)
    registry = Registry.from_compilation(compile_targets([parked_workload.__name__]))
    ids: list[str] = []
    try:
        async with Service(registry, store, settings).running() as service:
            for first in range(0, len(inputs), AT_ONCE):
                chunk = inputs[first : first + AT_ONCE]
                answers = await asyncio.gather(*(service.intake.start(workflow, given) for given in chunk))
                ids += [id for id, _ in answers]
                await asyncio.gather(*(_parked(service, id) for id, _ in answers))
    finally:
        store.close()
    return ids


async def _parked(service: Service, id: str) -> None:
    while (await service.store.run(id)).status not in ("sleeping", "waiting"):  # type: ignore[union-attr]  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def stored_bytes(url: str) -> int:
    """The size of the database."""
    if url.startswith("sqlite:///"):
        path = url.removeprefix("sqlite:///")
        return sum(Path(f"{path}{end}").stat().st_size for end in ("", "-wal") if Path(f"{path}{end}").exists())
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def server(url: str, port: int) -> Iterator[tuple[Client, psutil.Process, float]]:
    """A real server on the database -> a client, its process, and the wall time at which it was started."""
    command = [sys.executable, "-m", "flowgraph_runtime.cli", "serve", parked_workload.__name__, "--db", url, "--port", str(port)]
    began = time.time()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Client(f"http://127.0.0.1:{port}") as client:
            _until_ready(client, process)
            yield client, psutil.Process(process.pid), began
    finally:
        process.terminate()
        process.wait()


def _until_ready(client: Client, process: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        assert process.poll() is None, "the server has ended"
        with suppress(ApiError):
            client.workflows()
            return
        time.sleep(0.05)
    raise RuntimeError("the server was not ready within a minute")


def resident(url: str, port: int) -> float:
    """MB of a server that has started on the database and come to rest."""
    with server(url, port) as (_, process, _):
        time.sleep(SETTLED)
        return float(process.memory_info().rss / 1e6)


def sleeping(url: str, empty: str, runs: int, port: int) -> dict[str, float]:
    """The figures of `runs` sleeping runs."""
    asyncio.run(fill(url, "sleeper", []))
    before = stored_bytes(url)
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    asyncio.run(fill(url, "sleeper", [{"until": later}] * runs))
    after = stored_bytes(url)
    (due,) = asyncio.run(fill(url, "sleeper", [{"until": (datetime.now(UTC) + timedelta(seconds=SOON)).isoformat()}]))
    time.sleep(SOON)
    asyncio.run(fill(empty, "sleeper", []))
    none = resident(empty, port)
    with server(url, port) as (client, process, began):
        ended = _ended(client, due)
        time.sleep(SETTLED)
        rss = process.memory_info().rss / 1e6
    return {
        "bytes_each": (after - before) / runs,
        "rss_mb": rss,
        "rss_none_mb": none,
        "rss_more_mb": rss - none,
        "first_progress_s": ended - began,
    }


def _ended(client: Client, id: str) -> float:
    while (run := client.run(id)).ended_at is None:
        time.sleep(0.02)
    assert run.status == "completed", run
    return datetime.fromisoformat(run.ended_at).timestamp()


def waking(url: str, runs: int, events: int, port: int) -> float:
    """Milliseconds (median) from posting an event to the end of the run that waited for it, among `runs` open waits."""
    ids = asyncio.run(fill(url, "payer", [{"order": f"o-{number}"} for number in range(runs)]))
    samples: list[float] = []
    with server(url, port) as (client, _, _):
        for number in range(0, runs, max(runs // events, 1)):
            sent = time.time()
            client.send("paid", {"order": f"o-{number}"})
            samples.append((_ended(client, ids[number]) - sent) * 1000)
    return statistics.median(samples)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parked", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--port", type=int, default=18_450)
    parser.add_argument("--db", help="a PostgreSQL server's URL up to the database's name; its databases parked_* must exist")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowgraph-parked-") as folder:

        def url(name: str) -> str:
            return f"sqlite:///{folder}/{name}.db" if given.db is None else f"{given.db.rstrip('/')}/parked_{name}"

        figures = sleeping(url("asleep"), url("empty"), given.runs, given.port)
        few = waking(url("few"), given.few, given.events, given.port)
        many = waking(url("many"), given.runs, given.events, given.port)
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))
    print(f"| {given.runs:,} sleeping runs | |\n| --- | --: |")
    print(f"| resident memory after a restart, more than with none | {figures['rss_more_mb']:.1f} MB |")
    print(f"| database bytes each | {figures['bytes_each']:.0f} |")
    print(f"| from the restart to the end of a run that was due | {figures['first_progress_s']:.2f} s |")
    print(f"| event to the end of the run that waits, among {given.few:,} waits | {few:.1f} ms |")
    print(f"| the same among {given.runs:,} waits | {many:.1f} ms |")


if __name__ == "__main__":
    main()
