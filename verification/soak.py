"""A server under a steady mixed load for a long time, killed every few minutes: does anything grow, get late, or get lost?

    python -m verification.soak --minutes 60                        # SQLite, in a folder of its own
    python -m verification.soak --minutes 60 --db postgresql://...  # one server on PostgreSQL
    python -m verification.fleet --minutes 60 --kills 12            # a fleet

The load is runs started over HTTP and by events and a cron schedule: chains, naps, fan-outs, children, retried and failing steps,
waits that an event wakes and waits that run out, cancels. Retention deletes runs beside it. Each run that was acknowledged is
followed to its end and its result compared. The last third of the time is one life without a kill, so that a slow
leak has time to show. Prints one JSON line, exits 1 when something is not as it must be.

How memory is judged: resident size, sampled each second, is averaged over half minutes, apart from the first minutes of each life
(`WARM_UP`). One line is fitted through all lives, each with a height of its own; the slope is reported with its standard error,
and is too steep when it is above the limit by more than twice that error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psutil

from flowgraph_runtime.storage.checkup import examine
from verification import soak_workload
from verification.ledger import enter
from verification.reading import items
from verification.server import ServerProcess

KINDS = ("chain", "bought", "sleepy", "fanned", "mixed", "family", "sleepy", "doomed", "unheard", "endless")
ENDS = {"doomed": "failed", "endless": "cancelled"}
"""How runs end; all others are completed."""
RESULTS: dict[str, Callable[[int], Any]] = {
    "chain": lambda n: n + 6,
    "bought": lambda _: "paid",
    "sleepy": lambda n: n + 1,
    "fanned": lambda n: [n + 1 + i for i in range(20)],
    "mixed": lambda n: 3 * (n + 1),
    "family": lambda _: 3,
    "unheard": lambda _: "late",
}
PATIENCE = 120.0
"""Seconds that a run gets, restarts included."""
WARM_UP = 120.0
"""Seconds of a server's life in which memory is not looked at."""
SETTLING = 5.0
"""Seconds after a restart in which timers may be late."""
BIN = 30.0
RSS_LIMIT, WAL_LIMIT, LATENESS_LIMIT = 1.0, 64.0, 1.0
"""MB per hour, MB, seconds."""
MEGABYTE = 1e6


@dataclass(frozen=True)
class Plan:
    """`rate`: runs per second that the load asks for; `kill_every`: minutes, except in the last third."""

    minutes: float
    rate: float = 4.0
    kill_every: float = 5.0
    seed: int = 1
    keep_runs: str = "5m"

    def kills(self) -> list[float]:
        """Seconds from the start of the load."""
        count = int(self.minutes * 2 / 3 / self.kill_every + 1e-9)
        return [60 * self.kill_every * (number + 1) for number in range(count)]


@dataclass(frozen=True)
class Sample:
    """What was seen of the server in its `life`, `at` seconds after it was ready."""

    life: int
    at: float
    rss: float
    wal: float
    size: float


@dataclass
class Soak:
    """One soak. `awaited`: runs not seen at their end yet, with their kind, number and the moment of the acknowledgement."""

    plan: Plan
    db: str
    folder: Path
    awaited: dict[str, tuple[str, int, float]] = field(default_factory=dict[str, tuple[str, int, float]])
    statuses: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])
    events: set[str] = field(default_factory=set[str])
    ticks: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    samples: list[Sample] = field(default_factory=list[Sample])
    outages: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    unanswered: int = 0
    kills: int = 0
    cpu: float = 0.0
    done: bool = False

    def __post_init__(self) -> None:
        self.chance = random.Random(self.plan.seed)
        effects = str(self.folder / "effects.log")
        self.server = ServerProcess(
            soak_workload.__name__, self.db, self.folder / "server.log", EFFECTS=effects, FLOWGRAPH_KEEP_RUNS=self.plan.keep_runs
        )
        self.ready_at = 0.0
        self._loaded = False
        self._all_seen = asyncio.Event()

    async def run(self) -> dict[str, Any]:
        """Load, kill, follow, verify."""
        await self._start()
        began = time.time()
        try:
            async with httpx2.AsyncClient(base_url=self.server.url, timeout=10) as client:
                await self._under_load(client)
                await self._see_events(client)
                await self._see_ticks(client)
            self.cpu += cpu_seconds(self.server)
            code = await self.server.stop()
        finally:
            if self.server.running:
                await self.server.kill()
        self._judge_ticks(began, time.time())
        self.faults += [f"doctor: {found.check}: {found.found}" for found in examine(self.db) if found.level == "broken"]
        return self._report(code, time.time() - began)

    async def _start(self) -> None:
        await self.server.start()
        self.ready_at = time.monotonic()

    # --- load, kills, samples

    async def _under_load(self, client: httpx2.AsyncClient) -> None:
        end = time.monotonic() + self.plan.minutes * 60
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(each) for each in (self._follow(client), self._sample(), self._watch_ticks(client))]
            load = group.create_task(self._load(client, end))
            await self._kill_on_time()
            await load
            self._loaded = True
            await self._all_seen.wait()
            self.done = True
            await asyncio.gather(*watching)

    async def _kill_on_time(self) -> None:
        began = time.monotonic()
        for moment in self.plan.kills():
            await asyncio.sleep(max(0.0, began + moment + self.chance.uniform(-5, 5) - time.monotonic()))
            killed = time.time()
            self.cpu += cpu_seconds(self.server)
            await self.server.kill()
            self.kills += 1
            await self._start()
            self.outages.append((killed, time.time() + SETTLING))

    async def _load(self, client: httpx2.AsyncClient, end: float) -> None:
        number = 0
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < end:
                group.create_task(self._begin(client, KINDS[number % len(KINDS)], number))
                number += 1
                await asyncio.sleep(self.chance.uniform(0.5, 1.5) / self.plan.rate)

    async def _begin(self, client: httpx2.AsyncClient, kind: str, n: int) -> None:
        """Start a run, and do what it needs to end."""
        if kind == "bought":
            (run,) = await self._send(client, "order", n)
        else:
            path, headers = f"/v1/workflows/{kind}/runs", {"Idempotency-Key": f"{kind}-{n}"}
            run = (await self._post(client, path, {"input": {"n": n}}, headers))["id"]
        self.awaited[run] = (kind, n, time.monotonic())
        await asyncio.sleep(self.chance.choice((0, 0.5, 2)))
        if kind == "bought":
            await self._send(client, "paid", n)
        elif kind == "endless":
            await self._post(client, f"/v1/runs/{run}/cancel", {"reason": "soaked"}, {})

    async def _send(self, client: httpx2.AsyncClient, name: str, n: int) -> list[str]:
        event = {"name": name, "data": {"n": n}, "id": f"{name}-{n}"}
        (stored,) = (await self._post(client, "/v1/events", event, {}))["events"]
        self.events.add(stored["id"])
        runs: list[str] = stored["runs"]
        return runs

    async def _post(self, client: httpx2.AsyncClient, path: str, body: Any, headers: dict[str, str]) -> Any:
        """Repeat until it is acknowledged. Raises RuntimeError when it is refused."""
        while True:
            try:
                answer = await client.post(path, json=body, headers=headers)
                if answer.status_code < 300:
                    return answer.json()
                if answer.status_code < 500:
                    raise RuntimeError(f"{path} {body} was refused with {answer.status_code}: {answer.text}")
            except httpx2.HTTPError:
                self.unanswered += 1
            await asyncio.sleep(0.1)

    async def _sample(self) -> None:
        while not self.done:
            await asyncio.sleep(1.0)
            try:
                rss = psutil.Process(self.server.pid).memory_info().rss / MEGABYTE
            except psutil.NoSuchProcess:
                continue
            file = Path(self.db.removeprefix("sqlite:///"))
            at = time.monotonic() - self.ready_at
            self.samples.append(Sample(self.kills, at, rss, megabytes(Path(f"{file}-wal")), megabytes(file)))

    # --- what becomes of it

    async def _follow(self, client: httpx2.AsyncClient) -> None:
        """See each run at its end before retention takes it away."""
        while not self._loaded or self.awaited:
            await asyncio.sleep(1.0)
            for run, (kind, n, since) in list(self.awaited.items()):
                age = time.monotonic() - since
                if age >= 2.0:
                    await self._look(client, run, kind, n, overdue=age > PATIENCE)
        self._all_seen.set()

    async def _look(self, client: httpx2.AsyncClient, run: str, kind: str, n: int, *, overdue: bool) -> None:
        try:
            answer = await client.get(f"/v1/runs/{run}")
        except httpx2.HTTPError:
            return
        if answer.status_code == 404:
            fault = f"{kind}({n}) {run} is gone"
        elif answer.status_code != 200:
            return
        elif answer.json()["ended_at"] is None:
            fault = f"{kind}({n}) {run} is {answer.json()['status']} after {PATIENCE:g} s" if overdue else ""
            if not fault:
                return
        else:
            fault = judge(kind, n, answer.json())
            self.statuses[answer.json()["status"]] += 1
        del self.awaited[run]
        self.faults += [fault] if fault else []

    async def _watch_ticks(self, client: httpx2.AsyncClient) -> None:
        while not self.done:
            await self._see_ticks(client)
            for _ in range(30):
                await asyncio.sleep(0.0 if self.done else 1.0)

    async def _see_ticks(self, client: httpx2.AsyncClient) -> None:
        async for run in items(client, "/v1/runs", workflow="tick"):
            if run["status"] != "completed" and run["ended_at"] is not None:
                self.faults.append(f"tick {run['id']} is {run['status']}")
            elif run["status"] == "completed":
                self.ticks[run["result"]].add(run["id"])

    def _judge_ticks(self, began: float, ended: float) -> None:
        """Each minute but the one at the edge of the end must have had one run."""
        for at in minutes_between(began, ended - 60):
            runs = self.ticks[at]
            if len(runs) != 1:
                self.faults.append(f"the tick of {at} had {len(runs)} runs")

    async def _see_events(self, client: httpx2.AsyncClient) -> None:
        stored = {event["id"] async for event in items(client, "/v1/events")}
        self.faults += [f"the acknowledged event {event} is gone" for event in sorted(self.events - stored)]

    def _report(self, code: int, seconds: float) -> dict[str, Any]:
        lateness = calm_lateness((self.folder / "effects.log").read_text(), self.outages)
        return {
            "db": self.db.split(":")[0], "minutes": self.plan.minutes, "rate": self.plan.rate, "seed": self.plan.seed,
            "kills": self.kills, "runs": self.statuses.total(), "statuses": dict(self.statuses), "events": len(self.events),
            "ticks": sum(map(len, self.ticks.values())), "unanswered": self.unanswered, "faults": self.faults[:20],
            **memory(self.samples), "rss_mb": round(self.samples[-1].rss, 1),
            "wal_mb_max": round(max(each.wal for each in self.samples), 2), "db_mb": round(self.samples[-1].size, 2),
            "naps": len(lateness), "lateness_s_p50": quantile(lateness, 0.5), "lateness_s_p99": quantile(lateness, 0.99),
            "lateness_s_max": quantile(lateness, 1.0), "cpu_share": round(self.cpu / seconds, 3),
            "stopped_with": code, "seconds": round(seconds, 1),
        }  # fmt: skip


def cpu_seconds(server: ServerProcess) -> float:
    """What the server's process has used in its life."""
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


def megabytes(file: Path) -> float:
    """The size of a file, 0 when there is none."""
    return file.stat().st_size / MEGABYTE if file.exists() else 0.0


def judge(kind: str, n: int, run: dict[str, Any]) -> str:
    """What is wrong with a run that has ended, empty when nothing is."""
    if run["status"] != ENDS.get(kind, "completed"):
        return f"{kind}({n}) {run['id']} is {run['status']}: {run['error']}"
    if kind in ENDS:
        return ""
    wanted = RESULTS[kind](n)
    return "" if run["result"] == wanted else f"{kind}({n}) {run['id']} returned {run['result']}, not {wanted}"


def minutes_between(began: float, ended: float) -> Iterable[str]:
    """The full minutes after one moment and not after another, as `tick` returns them."""
    at = datetime.fromtimestamp(began, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    while at.timestamp() <= ended:
        yield at.isoformat()
        at += timedelta(minutes=1)


def calm_lateness(log: str, outages: list[tuple[float, float]]) -> list[float]:
    """Seconds by which each nap was late, sorted, without those that touched a restart."""
    found: list[float] = []
    for line in log.splitlines():
        began, late = map(float, line.split())
        woken = began + soak_workload.NAP + late
        if not any(began <= until and woken >= since for since, until in outages):
            found.append(late)
    return sorted(found)


def quantile(ordered: list[float], share: float) -> float | None:
    """Of sorted values; None of none."""
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 3) if ordered else None


def memory(samples: list[Sample]) -> dict[str, Any]:
    """The common slope of resident size in all lives, in MB per hour, with its standard error; nothing of short lives."""
    points = [(life, hours, rss) for life, hours, rss in _binned(samples)]
    lives = {life: [(hours, rss) for each, hours, rss in points if each == life] for life, _, _ in points}
    centred = [pair for values in lives.values() for pair in _centred(values)]
    spread = sum(x * x for x, _ in centred)
    freedom = len(centred) - len(lives) - 1
    if not spread or freedom < 3:
        return {}
    slope = sum(x * y for x, y in centred) / spread
    error = math.sqrt(sum((y - slope * x) ** 2 for x, y in centred) / freedom / spread)
    return {"rss_mb_per_hour": round(slope, 2), "rss_error": round(error, 2), "rss_points": len(centred)}


def _binned(samples: list[Sample]) -> Iterable[tuple[int, float, float]]:
    bins: defaultdict[tuple[int, int], list[Sample]] = defaultdict(list)
    for each in samples:
        if each.at >= WARM_UP:
            bins[each.life, int(each.at / BIN)].append(each)
    for (life, _), found in sorted(bins.items()):
        yield life, _mean(each.at for each in found) / 3600, _mean(each.rss for each in found)


def _centred(values: list[tuple[float, float]]) -> list[tuple[float, float]]:
    middle, height = _mean(x for x, _ in values), _mean(y for _, y in values)
    return [(x - middle, y - height) for x, y in values]


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def sound(report: dict[str, Any]) -> bool:
    """Whether nothing was lost or wrong, grew or was late, and everything happened at all."""
    growing = report.get("rss_mb_per_hour", 0.0) - 2 * report.get("rss_error", 0.0) >= RSS_LIMIT
    late = report["lateness_s_p99"] is None or report["lateness_s_p99"] >= LATENESS_LIMIT
    happened = {"completed", "failed", "cancelled"} <= report["statuses"].keys() and report["events"] and report["ticks"]
    return bool(happened and not report["faults"] and not growing and not late and report["wal_mb_max"] < WAL_LIMIT)


def programme(plan: Plan, db: str, folder: Path) -> dict[str, Any]:
    """Run one soak to its report. Shows what the server said when that is not sound."""
    soak = Soak(plan, db, folder)
    try:
        report = asyncio.run(soak.run())
    except BaseException:
        print(soak.server.last_words(), file=sys.stderr)
        raise
    with (folder / "samples.jsonl").open("w") as file:
        file.writelines(json.dumps(vars(each)) + "\n" for each in soak.samples)
    if not sound(report):
        print(soak.server.last_words(), file=sys.stderr)
    return report


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=Plan.rate)
    parser.add_argument("--kill-every", type=float, default=Plan.kill_every)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--db", help="default: a file in the folder")
    parser.add_argument("--folder", type=Path, help="kept afterwards, with the samples; default: a temporary one")
    parser.add_argument("--ledger", action="store_true", help="append the report to verification/ledger.jsonl")
    args = parser.parse_args()
    plan = Plan(args.minutes, args.rate, args.kill_every, args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report = programme(plan, args.db or f"sqlite:///{folder}/soak.db", folder)
    print(json.dumps(report))
    if args.ledger:
        enter("soak", report)
    sys.exit(0 if sound(report) else 1)


if __name__ == "__main__":
    main()
