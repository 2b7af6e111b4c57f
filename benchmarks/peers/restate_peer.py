"""The workloads on a Restate server of its own with a Python service, both in their defaults, on loopback.

PYTHON -m benchmarks.peers.restate_peer chain|long|fan-out|http file:FOLDER --size N [--repeat 1] --with RESTATE_SERVER

Runs are started by its one-way calls on 32 connections, and are done when its own query says so; `http` is a one-step handler
called over HTTP.
"""

# mypy: ignore-errors
# pyright: basic

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from argparse import Namespace
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.gauge import WARM_UP, Connection, Gauge, arguments, insist, say, spread

LANES = 32
PATIENCE = 600


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def process(command: list[str], log: Path, **environment: str) -> Any:
    with log.open("ab") as file:
        running = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **environment})
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(15)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


class Bench:
    def __init__(self, web: httpx.AsyncClient, ingress: str, admin: str, pids: tuple[int, ...], given: Namespace) -> None:
        self.web, self.ingress, self.admin, self.pids, self.given = web, ingress, admin, pids, given
        self.sent = {"chain": 0, "scores": 0}

    async def register(self, service: str) -> None:
        until = time.monotonic() + 60
        while True:
            try:
                answer = await self.web.post(f"{self.admin}/deployments", json={"uri": service, "force": True})
                if answer.is_success:
                    return
                said = answer.text
            except httpx.HTTPError as error:
                said = repr(error)
            if time.monotonic() > until:
                raise RuntimeError(f"the service was not registered: {said}")
            await asyncio.sleep(0.2)

    async def completed(self, handler: str) -> int:
        sql = "SELECT COUNT(*) AS n FROM sys_invocation WHERE status = 'completed' AND completion_result = 'success'"
        query = {"query": f"{sql} AND target_handler_name = '{handler}'"}
        answer = await self.web.post(f"{self.admin}/query", json=query, headers={"accept": "application/json"})
        answer.raise_for_status()
        return answer.json()["rows"][0]["n"]

    async def send(self, handler: str, amount: int, count: int) -> None:
        todo = iter(range(count))

        async def lane() -> None:
            for _ in todo:
                (await self.web.post(f"{self.ingress}/Bench/{handler}/send", json=amount)).raise_for_status()

        await asyncio.gather(*(lane() for _ in range(LANES)))

    async def run(self, handler: str, amount: int, count: int) -> None:
        self.sent[handler] += count
        if count == 1:
            insist(await self.call(handler, amount), amount, "answer of a handler")
            return
        await self.send(handler, amount, count)
        until = time.monotonic() + PATIENCE
        while (done := await self.completed(handler)) < self.sent[handler]:
            if time.monotonic() > until:
                raise TimeoutError(f"{done} of {self.sent[handler]} invocations completed within {PATIENCE} s")
            await asyncio.sleep(0.05)

    async def call(self, handler: str, amount: int) -> int:
        answer = await self.web.post(f"{self.ingress}/Bench/{handler}", json=amount)
        answer.raise_for_status()
        return json.loads(answer.content)

    async def throughput(self, handler: str, amount: int, count: int) -> dict[str, Any]:
        await self.run(handler, 10, WARM_UP)
        gauge = Gauge(*self.pids)
        for _ in range(self.given.repeat):
            await self.run(handler, amount, count)
        sample = gauge.sample(amount * count * self.given.repeat)
        insist(await self.completed(handler), WARM_UP + count * self.given.repeat, "completed invocations")
        return sample

    async def latency(self, calls: int) -> dict[str, Any]:
        seconds: list[float] = []
        connection = await Connection.open(int(self.ingress.rpartition(":")[2]))
        for number in range(calls + WARM_UP):
            if number == WARM_UP:
                gauge = Gauge(*self.pids)
            began = time.perf_counter()
            status, answer = await connection.post("/Bench/chain", b"1")
            if number >= WARM_UP:
                seconds.append(time.perf_counter() - began)
            insist((status, json.loads(answer)), (200, 1), "answer of a handler")
        connection.close()
        return {**gauge.sample(calls), **spread(seconds)}

    async def measured(self) -> dict[str, Any]:
        match self.given.workload:
            case "chain":
                return await self.throughput("chain", self.given.steps, self.given.size)
            case "long":
                return await self.throughput("chain", self.given.size, 1)
            case "fan-out":
                return await self.throughput("scores", self.given.size, 1)
            case _:
                return await self.latency(self.given.size)


def configuration(folder: Path, ingress: int, admin: int, node: int) -> Path:
    """Ports of its own, so that two can run at once; all else is the server's default."""
    file = folder / "restate.toml"
    file.write_text(
        f'bind-address = "127.0.0.1:{node}"\nadvertised-address = "http://127.0.0.1:{node}"\n'
        f'[ingress]\nbind-address = "127.0.0.1:{ingress}"\n[admin]\nbind-address = "127.0.0.1:{admin}"\n',
        encoding="utf-8",
    )
    return file


async def measured(given: Namespace) -> dict[str, Any]:
    folder = empty(Path(given.url.removeprefix("file:")))
    ingress, admin, node, service = free_ports(4)
    listening = ["--listen-mode", "tcp", "--bind-ip", "127.0.0.1", "--advertised-host", "127.0.0.1"]
    config = ["--config-file", str(configuration(folder, ingress, admin, node))]
    server = [given.extra, "--no-logo", "--node-name", "bench", "--base-dir", str(folder / "data"), *listening, *config]
    serve = [sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{service}", "benchmarks.peers.restate_service:app"]
    with ExitStack() as stack:
        one = stack.enter_context(process(server, folder / "server.log", DO_NOT_TRACK="1", RESTATE_DISABLE_TELEMETRY="true"))
        other = stack.enter_context(process(serve, folder / "service.log"))
        async with httpx.AsyncClient(timeout=PATIENCE, limits=httpx.Limits(max_connections=2 * LANES)) as web:
            addresses = (f"http://127.0.0.1:{ingress}", f"http://127.0.0.1:{admin}")
            bench = Bench(web, *addresses, (one.pid, other.pid), given)
            await bench.register(f"http://127.0.0.1:{service}")
            await asyncio.sleep(1)
            return await bench.measured()


def empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def main() -> None:
    given = arguments(__doc__, ("chain", "long", "fan-out", "http"))
    said = subprocess.run([given.extra, "--version"], check=True, capture_output=True, text=True).stdout.split()
    sample = asyncio.run(measured(given))
    say({**sample, "version": f"restate-server {said[1]}", "durability": "its own log, in its defaults"})


if __name__ == "__main__":
    main()
