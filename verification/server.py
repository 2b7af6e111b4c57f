"""A real server process for programmes that kill it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import httpx2

from verification.nursery import Child, Nursery

STARTS_WITHIN = 240.0
"""Seconds."""
_PROGRAM = [sys.executable, "-m", "flowgraph_runtime.cli"]
LEASE = "1.5"
"""Seconds of silence after which, on PostgreSQL, a killed server's runs are taken over."""


class ServerProcess:
    """`flowgraph serve` on `target`. What it prints is kept in `log`, over all its lives. `nursery`: where it is born, if not as
    usual."""

    def __init__(self, target: str, db: str, log: Path, *, nursery: Nursery | None = None, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._arguments = ["serve", target, "--db", db, "--port", str(self.port)]
        self._nursery = nursery
        timing = {"FLOWGRAPH_LEASE": LEASE, "FLOWGRAPH_HEARTBEAT_INTERVAL": "0.3"}
        self._environment = {**os.environ, **timing, **environment}
        self._process: asyncio.subprocess.Process | Child | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises RuntimeError when it ends instead, or takes too long."""
        self._process = await self._born()
        async with asyncio.timeout(STARTS_WITHIN), httpx2.AsyncClient(base_url=self.url, timeout=2) as client:
            while not await self._ready(client):
                if self._process.returncode is not None:
                    raise RuntimeError(f"the process ended with {self._process.returncode} before it was ready")
                await asyncio.sleep(0.03)

    async def _born(self) -> asyncio.subprocess.Process | Child:
        if self._nursery is not None:
            return await self._nursery.bear(self._arguments, self._environment, self.log)
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *_PROGRAM, *self._arguments, env=self._environment, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL
            )

    async def _ready(self, client: httpx2.AsyncClient) -> bool:
        try:
            return (await client.get("/readyz")).status_code == 200
        except httpx2.HTTPError:
            return False

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process, or the last one that it was."""
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM, and wait for the orderly end -> its exit code."""
        return await self._end(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait until the process is gone by itself -> its exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def _end(self, by: signal.Signals) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(by)
        return await self._process.wait()

    def last_words(self, lines: int = 60) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


class WorkerProcess(ServerProcess):
    """`flowgraph worker` on `target`; it answers no requests."""

    def __init__(self, target: str, db: str, log: Path, *, nursery: Nursery | None = None, **environment: str) -> None:
        super().__init__(target, db, log, nursery=nursery, **environment)
        self._arguments = ["worker", target, "--db", db]
        self._greetings = 0

    async def start(self) -> None:
        """Start it and wait until it says that it is at work. Raises RuntimeError when it ends instead, or takes too long."""
        self._greetings = self._greeted()
        await super().start()

    async def _ready(self, client: httpx2.AsyncClient) -> bool:
        del client
        return self._greeted() > self._greetings

    def _greeted(self) -> int:
        return self.log.read_text(errors="replace").count("is at work") if self.log.exists() else 0

    def pause(self) -> None:
        """SIGSTOP: it stands still wherever it is."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
