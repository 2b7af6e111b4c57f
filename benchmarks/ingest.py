"""What it costs to take events in over HTTP, one in a request and many, beside a route that does nothing.

python -m benchmarks.ingest single|batched|null URL --size EVENTS

The events are stored and start nothing. `null` asks a route that reads the body and answers a constant, under the same server
program with the same options. The load comes from this process, over connections that stay open; `server_cpu` leaves it out.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.databases import ask, durability
from benchmarks.engine import free_port, serving
from benchmarks.gauge import Connection, Gauge, arguments, cpu_of, insist, say

CONNECTIONS = 32
BATCH = 1_000
"""Events of one batched request."""
BATCH_CONNECTIONS = 2
WARM = 500
"""Events before those that count."""


async def _null(request: Request) -> Response:
    await request.body()
    return Response(b'{"events":[]}', media_type="application/json")


def null_app() -> Starlette:
    """An application with the one route that does nothing."""
    return Starlette(routes=[Route("/v1/events", _null, methods=["POST"])])


def event(number: int) -> dict[str, Any]:
    """An event with about as much data as a step's result."""
    return {"name": "noted", "data": {"order": f"o-{number}", "note": "x" * 70}}


def bodies(first: int, count: int, each: int) -> list[bytes]:
    """The bodies of the requests that post the events `first`, `first + 1`, ..."""
    texts = [json.dumps(event(number), separators=(",", ":")) for number in range(first, first + count)]
    if each == 1:
        return [text.encode() for text in texts]
    return [f"[{','.join(texts[start : start + each])}]".encode() for start in range(0, count, each)]


async def post_all(port: int, contents: Sequence[bytes], connections: int) -> None:
    """Post each body, and read each answer before the next one of its connection. Raises when one is no 200."""
    todo = iter(contents)

    async def lane() -> None:
        connection = await Connection.open(port)
        for content in todo:
            status, answer = await connection.post("/v1/events", content)
            insist(status, 200, f"status of the answer {answer[:300]!r}")
        connection.close()

    await asyncio.gather(*(lane() for _ in range(connections)))


@asynccontextmanager
async def nothing() -> AsyncIterator[tuple[int, int]]:
    """The null route served by uvicorn -> its port and process."""
    port = free_port()
    options = ["--port", str(port), "--no-access-log", "--log-level", "critical", "--lifespan", "on", "--http", "h11"]
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.ingest:null_app", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web:
            while True:
                insist(process.poll(), None, "exit of the server")
                with suppress(httpx2.HTTPError):
                    await web.get("/")
                    break
                await asyncio.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


async def load(given: Namespace, port: int, pid: int, each: int) -> dict[str, Any]:
    """Post `size` events, `each` in a request -> the sample."""
    connections = CONNECTIONS if each == 1 else BATCH_CONNECTIONS
    await post_all(port, bodies(0, max(WARM, each), each), connections)
    contents = bodies(10_000_000, given.size, each)
    before, gauge = cpu_of(pid), Gauge(pid, given.postmaster)
    await post_all(port, contents, connections)
    sample = gauge.sample(given.size)
    return {**sample, "server_cpu": round(cpu_of(pid) - before, 3), "each": each}


async def measured(given: Namespace) -> dict[str, Any]:
    """Run the workload."""
    if given.workload == "null":
        async with nothing() as (port, pid):
            return await load(given, port, pid, 1)
    each = 1 if given.workload == "single" else BATCH
    async with serving(given.url) as (web, server):
        sample = await load(given, web.base_url.port or 80, server.pid, each)
    stored = ask(given.url, "SELECT COUNT(*), COUNT(DISTINCT data) FROM fg_event WHERE status = 'stored'")
    insist(stored, [(given.size + max(WARM, each), given.size + max(WARM, each))], "events in the database, and different ones")
    return {**sample, "durability": durability(given.url)}


def main() -> None:
    """Run one workload and print its sample."""
    say(asyncio.run(measured(arguments(__doc__, ("single", "batched", "null")))))


if __name__ == "__main__":
    main()
