"""kill -9 of workers whose steps and runs are limited, watched from outside: never more than the limit, and no slot kept.

    python -m verification.limit_kills --db sqlite:////tmp/kills/limits.db --kills 100
    python -m verification.limit_kills --db postgres --workers 3 --kills 100

Every attempt appends a line to a file when it begins and when it ends; whoever kills a process appends that it is gone, which
ends its attempts. So the file says, line by line, what executed at once. When the kills are over all runs must complete, no slot
may be left, and the database must keep its invariants. Prints one JSON line; exits 1 when anything is wrong.
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
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import create_engine, text

from verification.kills import broken_invariants, database
from verification.ledger import enter
from verification.limit_workload import IN_ALL, LIVE, PER_ORG
from verification.reading import items
from verification.server import ServerProcess

ORGS = "abc"
PRODUCERS = 3
PAUSE = 0.4
"""Seconds between two posts of a producer, at most."""
LEASE = "8"
"""Seconds: long enough that a worker on a busy machine is never taken for dead while its steps still execute."""
ENDS_WITHIN = 180.0
SETTLES_WITHIN = 20.0


@dataclass
class Programme:
    """One programme against one database, with `workers` servers. `acked`: ids of the runs that were acknowledged."""

    db: str
    kills: int
    workers: int
    seed: int
    folder: Path
    random: random.Random = field(init=False)
    servers: list[ServerProcess] = field(init=False)
    acked: set[str] = field(default_factory=set[str])
    done: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.effects = self.folder / "effects.log"
        self.servers = [
            ServerProcess(
                "verification.limit_workload",
                self.db,
                self.folder / f"server{number}.log",
                EFFECTS=str(self.effects),
                FLOWGRAPH_LEASE=LEASE,
            )
            for number in range(self.workers)
        ]

    async def run(self) -> dict[str, Any]:
        """Load, kill, wait, verify. Raises RuntimeError when a server does not start."""
        started = time.monotonic()
        for server in self.servers:
            await server.start()
        try:
            await self._kill_under_load()
            found = await self._ends()
            leaked = await self._leaked()
            for server in self.servers:
                await server.stop()
        finally:
            for server in self.servers:
                if server.running:
                    await server.kill()
        head = {"db": self.db.split(":")[0], "workers": self.workers, "kills": self.kills, "seed": self.seed}
        watched = watch(self.effects.read_text().splitlines())
        rest = {"leaked_slots": leaked, "violations": broken_invariants(self.db), "seconds": round(time.monotonic() - started, 1)}
        return {**head, **found, **watched, **rest}

    async def _kill_under_load(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(PRODUCERS):
                group.create_task(self._produce(number))
            try:
                for _ in range(self.kills):
                    await asyncio.sleep(self.random.uniform(0.1, 1.5))
                    await self._kill(self.random.choice(self.servers))
            finally:
                self.done = True

    async def _kill(self, server: ServerProcess) -> None:
        pid = server.pid
        await server.kill()
        with self.effects.open("a") as effects:
            effects.write(f"gone {pid} - -\n")
        await server.start()

    async def _produce(self, number: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")
        count = 0
        while not self.done:
            n = number * 1_000_000 + count
            count += 1
            for name in ("task", "stay"):
                await self._post(name, {"org": chance.choice(ORGS), "n": n}, chance)
            await asyncio.sleep(PAUSE * chance.random())

    async def _post(self, name: str, data: dict[str, Any], chance: random.Random) -> None:
        event = {"name": name, "data": data, "id": f"{name}-{data['n']}"}
        while True:
            server = chance.choice(self.servers)
            try:
                async with httpx2.AsyncClient(base_url=server.url, timeout=5) as client:
                    answer = await client.post("/v1/events", json=event)
            except httpx2.HTTPError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code == 200:
                self.acked.update(answer.json()["events"][0]["runs"])
                return
            if answer.status_code < 500:
                raise RuntimeError(f"event {event} was refused with {answer.status_code}: {answer.text}")

    async def _ends(self) -> dict[str, Any]:
        statuses: dict[str, str] = {}
        deadline = time.monotonic() + ENDS_WITHIN
        async with httpx2.AsyncClient(base_url=self.servers[0].url, timeout=5) as client:
            while time.monotonic() < deadline and len(statuses) < len(self.acked):
                async for run in items(client, "/v1/runs"):
                    if run["ended_at"] is not None and run["id"] in self.acked:
                        statuses[run["id"]] = run["status"]
                await asyncio.sleep(0.5)
        stuck = len(self.acked) - len(statuses)
        return {"runs": len(self.acked), "statuses": dict(Counter(statuses.values())), "stuck": stuck}

    async def _leaked(self) -> int:
        """Slots that are still there when nothing runs any more and the servers are up."""
        deadline = time.monotonic() + SETTLES_WITHIN
        while time.monotonic() < deadline:
            if not slots(self.db):
                return 0
            await asyncio.sleep(0.2)
        return slots(self.db)


def slots(db: str) -> int:
    """How many rows of slots there are, read beside the servers."""
    url = db.replace("postgresql://", "postgresql+psycopg://")
    if db.startswith("sqlite"):
        url = db.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true"
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT COUNT(*) FROM fg_limit_slot")).scalar_one())
    finally:
        engine.dispose()


def watch(lines: Iterable[str]) -> dict[str, Any]:
    """Replay what the outside saw: how much executed and lived at once at most, and how often that was over a limit."""
    executing: dict[tuple[str, str], str] = {}  # (process, attempt) -> organisation
    living: dict[str, str] = {}  # run -> organisation
    most: Counter[str] = Counter()
    over = begun = 0
    for line in lines:
        what, process, org, attempt = line.split()
        run = attempt.partition(":")[0]
        if what == "gone":
            executing = {key: value for key, value in executing.items() if key[0] != process}
        elif what == "begin":
            begun += 1
            executing[process, attempt] = org
        elif what == "end":
            executing.pop((process, attempt), None)
        elif what == "enter":
            living[run] = org
        elif what == "leave":
            living.pop(run, None)
        now = {
            "at_once_per_key": max(Counter(executing.values()).values(), default=0),
            "at_once": len(executing),
            "live_per_key": max(Counter(living.values()).values(), default=0),
        }
        over += now["at_once_per_key"] > PER_ORG or now["at_once"] > IN_ALL or now["live_per_key"] > LIVE
        most |= Counter(now)
    return {
        "attempts": begun,
        "over_the_limit": over,
        **{name: most[name] for name in ("at_once_per_key", "at_once", "live_per_key")},
    }


def sound(report: dict[str, Any]) -> bool:
    """Whether no limit was exceeded and no slot kept, everything ended, and the limits were reached at all."""
    faults = ("over_the_limit", "leaked_slots", "stuck", "violations")
    reached = report["at_once_per_key"] == PER_ORG and report["live_per_key"] == LIVE
    return bool(reached and report["statuses"] == {"completed": report["runs"]} and not any(report[fault] for fault in faults))


def programme(db: str, kills: int, workers: int, seed: int, folder: Path) -> dict[str, Any]:
    """Run one programme to its report. Shows what the servers said when that is not sound."""
    planned = Programme(db, kills, workers, seed, folder)
    try:
        report = asyncio.run(planned.run())
    except BaseException:
        for server in planned.servers:
            print(server.last_words(), file=sys.stderr)
        raise
    if not sound(report):
        for server in planned.servers:
            print(server.last_words(), file=sys.stderr)
    return report


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", required=True)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger", action="store_true", help="append the report to verification/ledger.jsonl")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, database(args.db) as db:
        report = programme(db, args.kills, args.workers, args.seed, Path(folder))
    print(json.dumps(report))
    if args.ledger:
        enter("kill -9 of limited steps", report)
    sys.exit(0 if sound(report) else 1)


if __name__ == "__main__":
    main()
