"""A fleet on one PostgreSQL under attack: workers are killed, stopped for longer than their lease, told to end; the database is
restarted, and lines are cut around COMMIT. What was acknowledged must all be there at the end, once.

    python -m verification.fleet --kills 50 --zombies 10 --stops 10 --restarts 3 --cuts 20
    python -m verification.fleet --stops 30                  # no attempt may be burned
    python -m verification.fleet --minutes 60 --kills 12     # soak: the kills spread over the time

An interface without a worker and three workers, `flowgraph serve --no-worker` and `flowgraph worker`; producers post events over
HTTP and repeat each, with its id, until it is acknowledged. The workers reach the database through a proxy. Prints one JSON line;
exits 1 when anything is lost, wrong or stuck, and shows then what the processes said last.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg

from verification.kills import STEPS_A_RUN, broken_invariants, expected
from verification.ledger import enter
from verification.postgres import MISSING, PostgresServer, server_binaries, temporary_server
from verification.proxy import Proxy
from verification.reading import ended_runs, items
from verification.server import ServerProcess, WorkerProcess

DATABASE = "fleet"
LEASE = 2.0
PRODUCERS = 3
RATE = 20
"""Events of each kind per second that the producers try for together."""
ATTACKS = ("kills", "zombies", "stops", "restarts", "cuts")
_QUIET = {"kills": (0.1, 1.5), "zombies": (0.1, 1.0), "stops": (0.3, 1.5), "restarts": (1.0, 3.0), "cuts": (0.02, 0.3)}
"""Seconds before an attack, at least and at most, unless a soak spreads them."""


@dataclass
class Plan:
    """How often what is done. `minutes` of load at least, with the attacks spread over them."""

    kills: int = 0
    zombies: int = 0
    stops: int = 0
    restarts: int = 0
    cuts: int = 0
    minutes: float = 0.0
    workers: int = 3
    rate: float = RATE
    seed: int = 1

    def attacks(self, chance: random.Random) -> list[str]:
        """All attacks in a random order."""
        order = [name for name in ATTACKS for _ in range(getattr(self, name))]
        chance.shuffle(order)
        return order


@dataclass
class Programme:
    """One programme. `acked`: id of an acknowledged event -> its number and the runs that it started."""

    plan: Plan
    postgres: PostgresServer
    proxy: Proxy
    folder: Path
    chance: random.Random = field(init=False)
    front: ServerProcess = field(init=False)
    workers: list[WorkerProcess] = field(init=False)
    acked: dict[str, tuple[int, list[str]]] = field(default_factory=dict[str, tuple[int, list[str]]])
    unanswered: Counter[str] = field(default_factory=Counter[str])
    rss: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    done: bool = False

    def __post_init__(self) -> None:
        self.chance = random.Random(self.plan.seed)
        environment = {
            "EFFECTS": str(self.folder / "effects.log"),
            "FLOWGRAPH_LEASE": str(LEASE),
            "FLOWGRAPH_HEARTBEAT_INTERVAL": "0.4",
        }
        target = "verification.kill_workload"
        url = self.proxy.url(DATABASE)
        self.front = ServerProcess(
            target, self.postgres.url(DATABASE), self.folder / "front.log", FLOWGRAPH_WORKER="false", **environment
        )
        self.workers = [
            WorkerProcess(target, url, self.folder / f"worker{number}.log", FLOWGRAPH_NODE=f"worker{number}", **environment)
            for number in range(self.plan.workers)
        ]

    @property
    def processes(self) -> list[ServerProcess]:
        """The interface and the workers."""
        return [self.front, *self.workers]

    async def run(self) -> dict[str, Any]:
        """Load, attack, wait, verify."""
        started = time.monotonic()
        for process in self.processes:
            await process.start()
        try:
            async with httpx2.AsyncClient(base_url=self.front.url, timeout=10) as client:
                await self._attack_under_load(client)
                found = await self._verify(client)
            codes = [await process.stop() for process in self.processes]
        finally:
            for process in self.processes:
                if process.running:
                    await process.kill()
        head = {name: getattr(self.plan, name) for name in ATTACKS} | {"workers": self.plan.workers, "seed": self.plan.seed}
        seconds = round(time.monotonic() - started, 1)
        violations = broken_invariants(self.postgres.url(DATABASE))
        return {**head, **found, **self._memory(), "stopped_with": codes, "violations": violations, "seconds": seconds}

    # --- load and attacks

    async def _attack_under_load(self, client: httpx2.AsyncClient) -> None:
        attacks = self.plan.attacks(self.chance)
        end = time.monotonic() + self.plan.minutes * 60
        async with asyncio.TaskGroup() as group:
            for number in range(PRODUCERS):
                group.create_task(self._produce(client, number))
            try:
                for number, attack in enumerate(attacks):
                    await self._pause(attack, (end - time.monotonic()) / (len(attacks) - number))
                    await getattr(self, f"_do_{attack}")()
                while time.monotonic() < end:
                    await self._pause("kills", 1.0)
            finally:
                self.done = True

    async def _pause(self, attack: str, share: float) -> None:
        least, most = _QUIET[attack]
        until = time.monotonic() + max(self.chance.uniform(least, most), share)
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, 5.0))
            if self.plan.minutes:
                resident = sum(psutil.Process(each.pid).memory_info().rss for each in self.processes if each.running)
                self.rss.append((time.monotonic(), resident))

    def _some_worker(self) -> WorkerProcess:
        return self.chance.choice(self.workers)

    async def _do_kills(self) -> None:
        victim = self._some_worker()
        await victim.kill()
        await victim.start()

    async def _do_zombies(self) -> None:
        victim = self._some_worker()
        victim.pause()
        await asyncio.sleep(LEASE * self.chance.uniform(1.1, 3.0))
        victim.go_on()

    async def _do_stops(self) -> None:
        victim = self._some_worker()
        await victim.stop()
        await victim.start()

    async def _do_restarts(self) -> None:
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.sleep(self.chance.uniform(0.0, 1.5))
        await asyncio.to_thread(self.postgres.start)

    async def _do_cuts(self) -> None:
        self.proxy.arm(self.chance.choice(("before", "after")))

    async def _produce(self, client: httpx2.AsyncClient, number: int) -> None:
        chance = random.Random(f"{self.plan.seed}/{number}")
        count = 0
        while not self.done:
            n = number * 1_000_000 + count
            count += 1
            await self._post(client, "job", n)
            if chance.random() < 0.3:
                await asyncio.sleep(chance.random() * 0.3)
            await self._post(client, "paid", n)
            await asyncio.sleep(PRODUCERS / self.plan.rate * chance.random() * 2)

    async def _post(self, client: httpx2.AsyncClient, name: str, n: int) -> None:
        event = {"name": name, "data": {"n": n}, "id": f"{name}-{n}"}
        while True:
            try:
                answer = await client.post("/v1/events", json=event)
                if answer.status_code == 200:
                    (stored,) = answer.json()["events"]
                    self.acked[stored["id"]] = (n, stored["runs"])
                    return
                self.unanswered[str(answer.status_code)] += 1
                if answer.status_code != 503 or "retry-after" not in answer.headers:
                    raise RuntimeError(f"event {event} was refused with {answer.status_code}: {answer.text}")
            except httpx2.HTTPError as error:
                self.unanswered[type(error).__name__] += 1
            await asyncio.sleep(0.1)

    # --- what is left

    async def _verify(self, client: httpx2.AsyncClient) -> dict[str, Any]:
        numbers = {run: n for n, runs in self.acked.values() for run in runs}
        runs = await ended_runs(client, set(numbers))
        stored = {event["id"] async for event in items(client, "/v1/events")}
        lines = (self.folder / "effects.log").read_text().splitlines()
        attempts = Counter(line.split(" ")[0] for line in lines)
        return {
            "acked_events": len(self.acked),
            "lost_events": len(self.acked.keys() - stored),
            "unanswered_posts": dict(self.unanswered),
            "runs": len(numbers),
            "statuses": dict(Counter(run["status"] for run in runs.values())),
            "stuck": len(numbers) - len(runs),
            "wrong_results": sum(run["result"] != expected(run["workflow"], numbers[id]) for id, run in runs.items()),
            "steps": len(attempts),
            "steps_missing": STEPS_A_RUN * len(numbers) - len(attempts),
            "steps_run_again": sum(count > 1 for count in attempts.values()),
            "later_attempts": sum(int(line.split(" ")[1]) > 1 for line in lines),
            "cut_before_commit": self.proxy.cuts["before"],
            "cut_after_commit": self.proxy.cuts["after"],
        }

    def _memory(self) -> dict[str, Any]:
        """Of a soak: how fast the memory of all processes together grew in its second half, in MB an hour."""
        half = self.rss[len(self.rss) // 2 :]
        if not self.plan.minutes or len(half) < 4:
            return {}
        first, second = half[: len(half) // 2], half[len(half) // 2 :]
        grown = (_mean(second, 1) - _mean(first, 1)) / 1e6
        hours = (_mean(second, 0) - _mean(first, 0)) / 3600
        return {
            "minutes": self.plan.minutes, "rss_mb": round(_mean(second, 1) / 1e6), "rss_mb_per_hour": round(grown / hours, 1),
        }  # fmt: skip

    def last_words(self) -> str:
        """The end of what each process printed."""
        return "\n".join(f"--- {process.log.name}\n{process.last_words(25)}" for process in self.processes)


def _mean(samples: list[tuple[float, int]], column: int) -> float:
    return sum(sample[column] for sample in samples) / len(samples)


def sound(report: dict[str, Any]) -> bool:
    """Whether nothing was lost, wrong or stuck, the programme did something at all, and stops alone burned no attempt."""
    faults = ("lost_events", "stuck", "wrong_results", "steps_missing", "violations")
    completed = report["statuses"] == {"completed": report["runs"]}
    gentle = not any(report[name] for name in ATTACKS if name != "stops")
    burned = report["steps_run_again"] or report["later_attempts"]
    cut = report["cut_before_commit"] + report["cut_after_commit"] >= report["cuts"] * 0.5
    did = report["acked_events"] and report["steps"] and cut
    return bool(completed and did and not any(report[fault] for fault in faults) and not (gentle and burned))


def programme(plan: Plan, folder: Path) -> dict[str, Any]:
    """Run one programme on a server of its own. Shows what the processes said when that is not sound."""
    binaries = server_binaries()
    if binaries is None:
        sys.exit(MISSING)
    with temporary_server(binaries) as postgres, Proxy(postgres.folder) as proxy:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        planned = Programme(plan, postgres, proxy, folder)
        try:
            report = asyncio.run(planned.run())
        except BaseException:
            print(planned.last_words(), file=sys.stderr)
            raise
        if not sound(report):
            print(planned.last_words(), file=sys.stderr)
        return report


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ATTACKS:
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger", action="store_true", help="append the report to verification/ledger.jsonl")
    args = vars(parser.parse_args())
    ledger = args.pop("ledger")
    with tempfile.TemporaryDirectory() as folder:
        report = programme(Plan(**args), Path(folder))
    print(json.dumps(report))
    if ledger:
        enter("soak of a fleet" if args["minutes"] else "fleet under attack", report)
    sys.exit(0 if sound(report) else 1)


if __name__ == "__main__":
    main()
