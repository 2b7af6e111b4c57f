"""kill -9 of a real server at random moments under load, and what is left of what it had acknowledged.

    python -m verification.kills --db sqlite:////tmp/kills/kills.db --kills 50
    python -m verification.kills --db sqlite:////tmp/kills/kills.db --kills 1000 --fork    # in a fifth of the time
    python -m verification.kills --db postgres --kills 50          # a server of its own
    python -m verification.kills --db postgresql://user@127.0.0.1:5432/kills --kills 50

Producers post events over HTTP and repeat each, with its id, until it is acknowledged; the server is killed and started again;
when the kills are over, every acknowledged event must be stored, every run that it started completed with the right result, and
the database must keep its invariants. Prints one JSON line; exits 1 when anything is lost, wrong or stuck, and shows then what
the server said last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.invariants import violations
from verification.ledger import enter
from verification.nursery import Nursery
from verification.postgres import MISSING, server_binaries, temporary_server
from verification.reading import ended_runs, items
from verification.server import ServerProcess

RATE = 40
"""Job events per second that the producers try for."""
PRODUCERS = 4
STEPS_A_RUN = 5
"""A job starts two runs of the workload: one has eight steps, the other two."""


@dataclass
class Programme:
    """One programme against one database. `acked`: id of an acknowledged event -> its number and the runs that it started."""

    db: str
    kills: int
    seed: int
    folder: Path
    fork: bool = False
    random: random.Random = field(init=False)
    server: ServerProcess = field(init=False)
    acked: dict[str, tuple[int, list[str]]] = field(default_factory=dict[str, tuple[int, list[str]]])
    unanswered: int = 0
    recoveries: list[float] = field(default_factory=list[float])
    done: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.server = self._server(None)

    def _server(self, nursery: Nursery | None) -> ServerProcess:
        log, effects = self.folder / "server.log", str(self.folder / "effects.log")
        return ServerProcess("verification.kill_workload", self.db, log, nursery=nursery, EFFECTS=effects)

    async def run(self) -> dict[str, Any]:
        """Load, kill, wait, verify. Raises RuntimeError when the server does not start."""
        if not self.fork:
            return await self._run()
        async with Nursery() as nursery:
            self.server = self._server(nursery)
            return await self._run()

    async def _run(self) -> dict[str, Any]:
        started = time.monotonic()
        await self.server.start()
        try:
            async with httpx2.AsyncClient(base_url=self.server.url, timeout=5) as client:
                await self._kill_under_load(client)
                found = await self._verify(client)
            code = await self.server.stop()
        finally:
            if self.server.running:
                await self.server.kill()
        seconds = round(time.monotonic() - started, 1)
        head = {"db": self.db.split(":")[0], "kills": self.kills, "seed": self.seed}
        return {**head, **found, "stopped_with": code, "violations": broken_invariants(self.db), "seconds": seconds}

    # --- load and kills

    async def _kill_under_load(self, client: httpx2.AsyncClient) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(PRODUCERS):
                group.create_task(self._produce(client, number))
            try:
                for _ in range(self.kills):
                    await asyncio.sleep(self.random.uniform(0.05, 1.5))
                    await self._kill()
            finally:
                self.done = True

    async def _kill(self) -> None:
        await self.server.kill()
        killed = time.monotonic()
        await self.server.start()
        self.recoveries.append(time.monotonic() - killed)

    async def _produce(self, client: httpx2.AsyncClient, number: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")
        count = 0
        while not self.done:
            n = number * 1_000_000 + count
            count += 1
            await self._post(client, "job", n)
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.3)
            await self._post(client, "paid", n)
            await asyncio.sleep(PRODUCERS / RATE * chance.random() * 2)

    async def _post(self, client: httpx2.AsyncClient, name: str, n: int) -> None:
        event = {"name": name, "data": {"n": n}, "id": f"{name}-{n}"}
        while True:
            try:
                answer = await client.post("/v1/events", json=event)
                if answer.status_code == 200:
                    (stored,) = answer.json()["events"]
                    self.acked[stored["id"]] = (n, stored["runs"])
                    return
                if answer.status_code < 500:
                    raise RuntimeError(f"event {event} was refused with {answer.status_code}: {answer.text}")
            except httpx2.HTTPError:
                self.unanswered += 1
            await asyncio.sleep(0.05)

    # --- what is left

    async def _verify(self, client: httpx2.AsyncClient) -> dict[str, Any]:
        numbers = {run: n for n, runs in self.acked.values() for run in runs}
        runs = await ended_runs(client, set(numbers))
        stored = {event["id"] async for event in items(client, "/v1/events")}
        attempts = Counter(line.rsplit(" ", 2)[0] for line in (self.folder / "effects.log").read_text().splitlines())
        return {
            "acked_events": len(self.acked),
            "lost_events": len(self.acked.keys() - stored),
            "unanswered_posts": self.unanswered,
            "runs": len(numbers),
            "statuses": dict(Counter(run["status"] for run in runs.values())),
            "stuck": len(numbers) - len(runs),
            "wrong_results": sum(run["result"] != expected(run["workflow"], numbers[id]) for id, run in runs.items()),
            "steps": len(attempts),
            "steps_missing": STEPS_A_RUN * len(numbers) - len(attempts),
            "attempts": attempts.total(),
            "steps_run_again": sum(count > 1 for count in attempts.values()),
            "restart_s_p50": _quantile(self.recoveries, 0.5),
            "restart_s_max": _quantile(self.recoveries, 1.0),
        }


def expected(workflow: str, n: int) -> Any:
    """The result of a run of the workload for event number `n`."""
    return "paid" if workflow == "await_paid" else 3 * (n + 3) + 5


def broken_invariants(db: str) -> list[str]:
    """What the database breaks of its invariants, once no server writes to it."""
    store = Store.open(db)
    try:
        return violations(store)
    finally:
        store.close()


def _quantile(values: list[float], share: float) -> float | None:
    return round(sorted(values)[min(int(len(values) * share), len(values) - 1)], 2) if values else None


def sound(report: dict[str, Any]) -> bool:
    """Whether nothing was lost, wrong or stuck, and the programme did something at all."""
    faults = ("lost_events", "stuck", "wrong_results", "steps_missing", "violations")
    completed = report["statuses"] == {"completed": report["runs"]}
    return bool(completed and not any(report[fault] for fault in faults) and report["acked_events"] and report["steps"])


@contextmanager
def database(db: str) -> Iterator[str]:
    """The URL itself; for `postgres` that of an empty database on a server of its own, for the block."""
    if db != "postgres":
        yield db
        return
    binaries = server_binaries()
    if binaries is None:
        sys.exit(MISSING)
    with temporary_server(binaries) as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE kills")
        yield server.url("kills")


def programme(db: str, kills: int, seed: int, folder: Path, *, fork: bool = False) -> dict[str, Any]:
    """Run one programme to its report. Shows what the server said when that is not sound."""
    planned = Programme(db, kills, seed, folder, fork)
    try:
        report = asyncio.run(planned.run())
    except BaseException:
        print(planned.server.last_words(), file=sys.stderr)
        raise
    if not sound(report):
        print(planned.server.last_words(), file=sys.stderr)
    return report


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fork", action="store_true", help="fork servers from a process that has imported everything: denser")
    parser.add_argument("--ledger", action="store_true", help="append the report to verification/ledger.jsonl")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, database(args.db) as db:
        report = programme(db, args.kills, args.seed, Path(folder), fork=args.fork)
    print(json.dumps(report))
    if args.ledger:
        enter("kill -9", report)
    sys.exit(0 if sound(report) else 1)


if __name__ == "__main__":
    main()
