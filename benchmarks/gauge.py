"""What every measured program uses, also those that run in a peer's environment: so it needs the standard library only.

A program does one workload once, checks that the work was really done, and prints one JSON line, its *sample*:

| member | meaning |
| --- | --- |
| `count` | units of work: steps, items, events, or calls |
| `seconds` | wall time of all of them together |
| `cpu` | CPU seconds of all processes that took part, the database's server included |
| `written` | bytes that this process has handed to the system (journals and databases of other processes are not in it) |
| `p50_ms`, `p99_ms` | of single calls, where these are measured one after the other |
| `durability` | what the database says of its own settings |

and whatever else the workload has to say.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAYLOAD: dict[str, Any] = {"ok": True, "value": 42, "note": "x" * 58, "tag": "bench"}
"""About 100 bytes of JSON: what a step answers, with its number."""
WARM_UP = 20
"""Runs or calls before those that count."""
_TICKS = os.sysconf("SC_CLK_TCK")


class NotDone(Exception):
    """A workload did not do what it says, so its figures would be worth nothing."""


def insist(found: object, wanted: object, what: str) -> None:
    """Raise `NotDone` unless the two are the same."""
    if found != wanted:
        raise NotDone(f"{what}: {found!r}, wanted {wanted!r}")


def answer(i: int) -> dict[str, Any]:
    """Return what the no-op step number `i` answers."""
    return {"i": i, **PAYLOAD}


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, of those that descend from it, and of those of them that it has buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        children = [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS + sum(cpu_of(child) for child in children)


def resident(pid: int) -> float:
    """Megabytes of memory of a process and its descendants."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        tasks = list(Path(f"/proc/{pid}/task").glob("*/children"))
        children = [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    own = next((int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)
    return own + sum(resident(child) for child in children)


def _written() -> int:
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


class Gauge:
    """Wall time, CPU time and bytes written from its making to `sample`. `others`: processes beside this one that take part."""

    def __init__(self, *others: int | None) -> None:
        self._others = [pid for pid in others if pid is not None]
        self._written = _written()
        self._cpu = self._spent()
        self._began = time.perf_counter()

    def _spent(self) -> float:
        return time.process_time() + sum(cpu_of(pid) for pid in self._others)

    def sample(self, count: int, **more: Any) -> dict[str, Any]:
        """Return what `count` units took."""
        seconds, cpu, written = time.perf_counter() - self._began, self._spent() - self._cpu, _written() - self._written
        return {"count": count, "seconds": round(seconds, 5), "cpu": round(cpu, 5), "written": written, **more}


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Return median and 99th percentile of seconds, as milliseconds."""
    ordered = sorted(samples)
    slow = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"p50_ms": round(statistics.median(ordered) * 1000, 3), "p99_ms": round(slow * 1000, 3)}


class Connection:
    """HTTP/1.1 on one connection that stays open, as plain as it gets, so that the server is measured and not its client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader, self._writer = reader, writer
        self._host = host

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect to a port of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port), f"127.0.0.1:{port}")

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Post a JSON body -> status and body of the answer, which has to say its length."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self._writer.write(f"{head}\r\n\r\n".encode() + body)
        top = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(top.partition(b"content-length:")[2].partition(b"\r")[0])
        return int(top[9:12]), await self._reader.readexactly(length)

    def close(self) -> None:
        """Close it."""
        self._writer.close()


def say(sample: dict[str, Any]) -> None:
    """Print the sample as the program's last line."""
    print(json.dumps(sample), flush=True)


def arguments(about: str | None, workloads: Sequence[str]) -> argparse.Namespace:
    """Read what all programs are given."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=workloads)
    parser.add_argument("url", help="sqlite:///FILE or postgresql://...: a database of its own, empty")
    parser.add_argument("--size", type=int, default=100, help="runs, items, events, ...")
    parser.add_argument("--steps", type=int, default=10, help="of each run")
    parser.add_argument("--repeat", type=int, default=1, help="the whole, one time after the other")
    parser.add_argument("--burn", type=int, default=0, metavar="US", help="microseconds of CPU that each step uses up")
    parser.add_argument("--postmaster", type=int, help="process of the PostgreSQL server, whose CPU time counts")
    parser.add_argument("--with", dest="extra", default="", help="what else a program needs, such as a server's binary")
    return parser.parse_args()
