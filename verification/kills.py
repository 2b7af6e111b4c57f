"""kill -9 of a real server at random moments under load, and what is left of what it had acknowledged.

    python -m verification.kills --db sqlite:////tmp/kills/kills.db --kills 50
    python -m verification.kills --db postgresql://user@127.0.0.1:5432/kills --kills 50

Producers post events over HTTP and repeat each, with its id, until it is acknowledged; the server is killed and started again;
when the kills are over, every acknowledged event must be stored and every run that it started completed with the right result.
Prints one JSON line; exits 1 when anything is lost, wrong or stuck.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

RATE = 40
"""Job events per second that the producers try for."""


@dataclass
class Programme:
    """One programme against one database."""

    db: str
    kills: int
    seed: int
    effects: Path
    port: int
    random: random.Random = field(init=False)
    acked: dict[str, list[str]] = field(default_factory=dict)
    unanswered: int = 0
    recoveries: list[float] = field(default_factory=list)
    done: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def run(self) -> dict[str, Any]:
        """Kill, load, wait, verify."""
        started = time.monotonic()
        server = await self._start()
        async with httpx2.AsyncClient(base_url=self.url, timeout=5) as client:
            producers = [asyncio.create_task(self._produce(client, number)) for number in range(4)]
            for _ in range(self.kills):
                await asyncio.sleep(self.random.uniform(0.05, 1.5))
                server.send_signal(signal.SIGKILL)
                await server.wait()
                killed = time.monotonic()
                server = await self._start()
                self.recoveries.append(time.monotonic() - killed)
            self.done = True
            await asyncio.gather(*producers)
            report = await self._verify(client)
        server.send_signal(signal.SIGTERM)
        await server.wait()
        return {"db": self.db.split(":")[0], "kills": self.kills, "seed": self.seed, **report, "seconds": round(time.monotonic() - started, 1)}

    async def _start(self) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "flowgraph_runtime.cli", "serve", "verification.kill_workload"]
        server = await asyncio.create_subprocess_exec(
            *command, "--db", self.db, "--port", str(self.port), env={**os.environ, "EFFECTS": str(self.effects)},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with httpx2.AsyncClient(base_url=self.url, timeout=2) as client:
            for _ in range(600):
                try:
                    if (await client.get("/readyz")).status_code == 200:
                        return server
                except httpx2.HTTPError:
                    pass
                if server.returncode is not None:
                    raise RuntimeError(f"the server ended with {server.returncode}")
                await asyncio.sleep(0.05)
        raise RuntimeError("the server was not ready within 30 s")

    async def _produce(self, client: httpx2.AsyncClient, number: int) -> None:
        count = 0
        while not self.done:
            n = number * 1_000_000 + count
            count += 1
            await self._post(client, "job", n)
            if self.random.random() < 0.3:
                await asyncio.sleep(self.random.random() * 0.3)
            await self._post(client, "paid", n)
            await asyncio.sleep(4 / RATE * self.random.random() * 2)

    async def _post(self, client: httpx2.AsyncClient, name: str, n: int) -> None:
        event = {"name": name, "data": {"n": n}, "id": f"{name}-{n}"}
        while True:
            try:
                answer = await client.post("/v1/events", json=event)
                if answer.status_code == 200:
                    (stored,) = answer.json()["events"]
                    self.acked[stored["id"]] = stored["runs"]
                    return
            except httpx2.HTTPError:
                self.unanswered += 1
            await asyncio.sleep(0.05)

    async def _verify(self, client: httpx2.AsyncClient) -> dict[str, Any]:
        runs = [run for started in self.acked.values() for run in started]
        ended = await self._until_ended(client, runs)
        statuses = Counter(run["status"] for run in ended.values())
        wrong = [run["id"] for run in ended.values() if run["workflow"] == "await_paid" and run["result"] != "paid"]
        lines = [line.rsplit(" ", 2)[0] for line in self.effects.read_text().splitlines()]
        attempts = Counter(lines)
        return {
            "acked_events": len(self.acked),
            "unanswered_posts": self.unanswered,
            "runs": len(runs),
            "completed": statuses["completed"],
            "statuses": dict(statuses),
            "lost_waits": len(wrong),
            "stuck": len(runs) - len(ended),
            "attempts": len(lines),
            "steps": len(attempts),
            "steps_run_again": sum(1 for count in attempts.values() if count > 1),
            "restart_s_p50": round(sorted(self.recoveries)[len(self.recoveries) // 2], 2) if self.recoveries else None,
        }

    async def _until_ended(self, client: httpx2.AsyncClient, runs: list[str]) -> dict[str, dict[str, Any]]:
        ended: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + 120
        while len(ended) < len(runs) and time.monotonic() < deadline:
            for run_id in runs:
                if run_id not in ended:
                    run = (await client.get(f"/v1/runs/{run_id}")).json()
                    if run.get("ended_at"):
                        ended[run_id] = run
            await asyncio.sleep(0.2)
        return ended


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def programme(db: str, kills: int, seed: int, effects: Path) -> dict[str, Any]:
    """Run one programme to its report."""
    return asyncio.run(Programme(db, kills, seed, effects, free_port()).run())


def sound(report: dict[str, Any]) -> bool:
    """Whether nothing was lost, wrong or stuck, and the programme did something at all."""
    clean = report["completed"] == report["runs"] and not report["lost_waits"] and not report["stuck"]
    return bool(clean and report["acked_events"] and report["steps"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = programme(args.db, args.kills, args.seed, Path(folder) / "effects.log")
    print(json.dumps(report))
    sys.exit(0 if sound(report) else 1)


if __name__ == "__main__":
    main()
