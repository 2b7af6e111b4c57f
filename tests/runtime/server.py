"""A real server process, which tests may kill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

_MAIN = """
import sys, uvicorn
from flowgraph_runtime import Settings, create_app
settings = Settings(db=sys.argv[2], port=int(sys.argv[3]), grace=1.0, lease=1.5, heartbeat_interval=0.3)
app = create_app(sys.argv[1], settings=settings)
config = uvicorn.Config(app, port=int(sys.argv[3]), log_level="warning", timeout_graceful_shutdown=1)
uvicorn.Server(config).run()
"""
FLOWS = """
import asyncio, os
from datetime import timedelta
from flowgraph import Backoff, Event, parallel, sleep, step, step_context, wait_for, workflow

class Ordered(Event, name="ordered"):
    order: str
    pieces: int = 3

class Approved(Event, name="approved"):
    order: str

def note(name: str) -> None:
    with open(os.environ["STEP_LOG"], "a") as log:
        log.write(f"{name} {step_context().idempotency_key}\\n")

@step(backoff=Backoff("100ms", jitter=0.0))
async def first(order: str) -> str:
    await asyncio.sleep(0.02)
    note("first")
    return order

@step(backoff=Backoff("100ms", jitter=0.0))
def piece(order: str, number: int) -> int:
    note("piece")
    if step_context().attempt == 1 and number == 2:
        raise ConnectionError("down")
    return number

@step
async def last(order: str, total: int) -> str:
    await asyncio.sleep(0.02)
    note("last")
    return f"{order}: {total}"

@workflow(on=Ordered)
async def make(event: Ordered) -> str:
    order = await first(event.order)
    total = 0
    for number in range(event.pieces):
        total += await piece(order, number)
    await sleep("50ms")
    a, b = await parallel(piece(order, 10), piece(order, 20))
    return await last(order, total + a + b)

@workflow(on=Ordered)
async def approve(event: Ordered) -> bool:
    approved = await wait_for(Approved, where=lambda a: a.order == event.order, timeout="1h")
    return approved is not None

@step(retries=0)
async def hold() -> None:
    await asyncio.sleep(60)

@workflow
async def holding(name: str) -> None:
    await hold()
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """uvicorn with `create_app` on a module of flows and a database."""

    def __init__(self, folder: Path, url: str | None = None, flows: str = FLOWS) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = url or f"sqlite:///{folder}/engine.db"
        self.log = folder / "steps.log"
        self.output = folder / "output.txt"
        self.module = folder / "served_flows.py"
        self.module.write_text(flows)
        self.log.touch()
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx2.Client(base_url=self.url, timeout=20)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.http.close()
        if self.process is not None:
            self.kill()

    def start(self) -> None:
        """Start it and wait until it is ready."""
        environment = {**os.environ, "STEP_LOG": str(self.log), **self.environment}
        command = [sys.executable, "-c", _MAIN, str(self.module), self.database, str(self.port)]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=self.folder)
        deadline = time.monotonic() + 60
        while not self._ready():
            assert self.process.poll() is None, self.output.read_text()
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and wait for the orderly end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=20) in (0, -signal.SIGTERM), self.output.read_text()

    def send(self, name: str, data: dict[str, Any], **more: Any) -> Any:
        """Send an event -> what became of it."""
        answer = self.http.post("/v1/events", json={"name": name, "data": data, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["events"][0]

    def run(self, run_id: str) -> Any:
        """The JSON of a run."""
        return self.http.get(f"/v1/runs/{run_id}").json()

    def wait(self, run_id: str, *statuses: str, patience: float = 20) -> Any:
        """Wait until the run is in one of the statuses."""
        deadline = time.monotonic() + patience
        while (run := self.run(run_id))["status"] not in statuses:
            assert time.monotonic() < deadline, (run, self.output.read_text())
            time.sleep(0.05)
        return run

    def steps(self) -> list[str]:
        """The lines that steps wrote: `name key`."""
        return self.log.read_text().splitlines()
