"""How a fleet on one PostgreSQL grows, and how soon a worker hears of what an interface committed.

    python -m benchmarks.fleet [--workers 1,2,3] [--runs 1000] [--rounds 3] [--workflow resting_chain]

Throughput: for each number of workers, so many times `--runs` runs of ten steps are made claimable by one commit; from then to
the end of the last one counts. The numbers take turns, round after round; the medians and their ratios are printed as JSON, with
the CPU seconds of workers and database for each thousand steps: on two cores a fleet is as fast as what is left of them. Latency:
one run of ten quick steps at a time, started by a process without a worker, from its creation to its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from flowgraph_compiler.pipeline import compile_targets
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings
from verification.postgres import server_binaries, temporary_server
from verification.server import WorkerProcess

TARGET = "benchmarks.fleet_workload"
STEPS = 10
SINGLE = 50
_WAITING = "SELECT COUNT(*) FROM fg_run WHERE ended_at IS NULL"
_SPAN = "SELECT (MAX(ended_at) - %s) / 1e6 FROM fg_run"
_RELEASE = (
    "WITH released AS (UPDATE fg_run SET ready = 1 WHERE ended_at IS NULL RETURNING 1)"
    " SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint, pg_notify('flowgraph', 'ready') FROM released LIMIT 1"
)


@dataclass
class Round:
    """One measurement: seconds from the commit to the last end, and CPU seconds."""

    seconds: float
    worker_cpu: float
    database_cpu: float


class Fleet:
    """Workers on a database, and a process without a worker (this one) that starts runs."""

    def __init__(self, url: str, folder: Path, workers: int) -> None:
        self.url = url
        self.workers = [
            WorkerProcess(TARGET, url, folder / f"{workers}-{number}.log", FLOWGRAPH_LEASE="30", FLOWGRAPH_NODE=f"w{number}")
            for number in range(workers)
        ]

    async def __aenter__(self) -> Fleet:
        self._store = open_store(Settings(db=self.url))
        self._service = Service(Registry.from_compilation(compile_targets([TARGET])), self._store, Settings(db=self.url))
        await self._service.prepare()
        for worker in self.workers:
            await worker.start()
        await asyncio.sleep(0.5)
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            await worker.stop()
        self._store.close()

    async def throughput(self, look: psycopg.Connection[Any], workflow: str, runs: int) -> Round:
        """Hold the runs back, let go of all at once, wait for the last."""
        look.execute(
            "CREATE OR REPLACE FUNCTION hold() RETURNS trigger AS 'BEGIN NEW.ready := 0; RETURN NEW; END' LANGUAGE plpgsql"
        )
        look.execute("CREATE OR REPLACE TRIGGER hold BEFORE INSERT ON fg_run FOR EACH ROW EXECUTE FUNCTION hold()")
        await asyncio.gather(*(self._service.intake.start(workflow, {"n": number}) for number in range(runs)))
        look.execute("DROP TRIGGER hold ON fg_run")
        await asyncio.sleep(1.2)
        before = self._cpu()
        released = look.execute(_RELEASE).fetchone()
        assert released is not None
        await _idle(look, 0.1)
        after = self._cpu()
        seconds = float(_one(look, _SPAN, released[0]))
        return Round(seconds, after[0] - before[0], after[1] - before[1])

    def _cpu(self) -> tuple[float, float]:
        mine = sum(_seconds(psutil.Process(worker.pid)) for worker in self.workers)
        database = sum(_seconds(process) for process in psutil.process_iter() if process.name() == "postgres")
        return mine, database

    async def latency(self, look: psycopg.Connection[Any]) -> float:
        """Milliseconds from the creation of a run to its end: the median."""
        ids = []
        for number in range(SINGLE):
            ids.append((await self._service.intake.start("chain", {"n": number}))[0])
            await _idle(look, 0.01)
        found = look.execute("SELECT (ended_at - created_at) / 1e3 FROM fg_run WHERE id = ANY(%s)", (ids,)).fetchall()
        return statistics.median(float(row[0]) for row in found)


async def _idle(look: psycopg.Connection[Any], interval: float) -> None:
    while _one(look, _WAITING):  # noqa: ASYNC110  # other processes end the runs
        await asyncio.sleep(interval)


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _one(look: psycopg.Connection[Any], query: str, *parameters: object) -> Any:
    row = look.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


async def measure(url: str, folder: Path, workers: int, workflow: str, runs: int) -> tuple[Round, float]:
    """One fleet on an empty database."""
    async with Fleet(url, folder, workers) as fleet:
        with psycopg.connect(url, autocommit=True) as look:
            return await fleet.throughput(look, workflow, runs * workers), await fleet.latency(look)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,2,3")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workflow", default="chain")
    args = parser.parse_args()
    sizes = [int(size) for size in args.workers.split(",")]
    binaries = server_binaries()
    assert binaries is not None, "PostgreSQL is needed"
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    details: list[dict[str, Any]] = []
    with temporary_server(binaries) as server, tempfile.TemporaryDirectory() as folder:
        for number in range(args.rounds):
            for size in sizes:
                name = f"fleet_{number}_{size}"
                with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE {name}")
                found, latency = asyncio.run(measure(server.url(name), Path(folder), size, args.workflow, args.runs))
                steps = args.runs * size * STEPS
                rates[size].append(steps / found.seconds)
                thousands = steps / 1000
                details.append(
                    {
                        "workers": size,
                        "steps_per_s": round(steps / found.seconds),
                        "worker_cpu_s_per_1000_steps": round(found.worker_cpu / thousands, 3),
                        "database_cpu_s_per_1000_steps": round(found.database_cpu / thousands, 3),
                        "latency_ms_p50": round(latency, 1),
                    }
                )
                print(json.dumps(details[-1]), flush=True)
    medians = {size: statistics.median(found) for size, found in rates.items()}
    ratios = {f"{size} to {sizes[0]}": round(medians[size] / medians[sizes[0]], 2) for size in sizes[1:]}
    print(json.dumps({"workflow": args.workflow, "runs_each": args.runs, "ratios": ratios, "at": time.strftime("%H:%M")}))


if __name__ == "__main__":
    main()
