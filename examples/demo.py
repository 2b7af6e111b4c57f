"""`make demo`: the dev server on the booking example, a first booking sent and followed, then traffic as on a busy morning.

`DEMO_ONCE=1` stops after the first run and exits with its code.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
PROGRAM = [sys.executable, "-m", "flowgraph_runtime.cli"]
STARTS_WITHIN = 60  # seconds

BOOKING = {
    "booking_id": "b-1",
    "property_id": "p-1",
    "guest_id": "g-1",
    "check_in": "2030-06-01",
    "check_out": "2030-06-04",
    "total_amount": "420.00",
}


def main() -> int:
    """Start the server, show a booking, serve on until Ctrl-C."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8288)
    options.add_argument("--db", type=Path, default=ROOT / ".flowgraph/demo.db")
    given = options.parse_args()
    port, db = int(given.port), Path(given.db)
    url = f"http://127.0.0.1:{port}"
    for old in db.parent.glob(f"{db.name}*"):  # every demo begins with an empty dashboard
        old.unlink()
    command = [*PROGRAM, "dev", "examples/booking", "--port", str(port), "--db", f"sqlite:///{db}"]
    signal.signal(signal.SIGTERM, _end)
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until_ready(server, url)
        code = show_a_booking(url)
        if os.environ.get("DEMO_ONCE") != "1":
            show_a_wait(url)
            with traffic(url):
                code = server.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        stop(server)
    return code


def _end(signum: int, _: FrameType | None) -> None:
    """Leave as after Ctrl-C: the server ends with its demo."""
    sys.exit(128 + signum)


def wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    """Ask `/readyz` until it says yes. Exits when the server has ended or takes too long."""
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        if server.poll() is not None:
            sys.exit(f"the dev server has ended with code {server.returncode}; its message stands above")
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit(f"the dev server at {url} was not ready after {STARTS_WITHIN} s")


def show_a_booking(url: str) -> int:
    """Send a booking and follow its run; the exit code is that of `flowgraph runs watch`."""
    print(f"\nThe dashboard is at {url}\n", flush=True)
    run = send(url, "booking.created", BOOKING)
    return say_and_do("runs", "watch", run, "--url", url).returncode


def show_a_wait(url: str) -> None:
    """Leave a run that waits for a payment, and say how to end the wait."""
    send(url, "booking.approved", {"booking_id": "b-1", "guest_id": "g-1"})
    payment = json.dumps({"booking_id": "b-1", "payment_id": "pay-1"})
    print("\nThis run waits for a payment, 24 hours at most. End the wait from another terminal:\n")
    print(f"    . {ROOT}/.venv/bin/activate")
    print(f"    {shown(['send', 'payment.completed', '--data', payment, '--url', url])}")
    print(f"\nMeanwhile guests and hosts are at work (examples/traffic.py): look at {url}", flush=True)
    print("Change a file in examples/booking and the server reloads; Ctrl-C ends it.", flush=True)


@contextmanager
def traffic(url: str) -> Generator[None]:
    """Send what guests, hosts and organizations send, for the block."""
    sender = subprocess.Popen([sys.executable, str(ROOT / "examples/traffic.py"), "--url", url], cwd=ROOT)
    try:
        yield
    finally:
        stop(sender)


def send(url: str, name: str, data: dict[str, Any]) -> str:
    """Send an event and return the id of the run that it starts."""
    done = say_and_do("send", name, "--data", json.dumps(data), "--url", url, "--json", keep=True)
    if done.returncode != 0:
        sys.exit(done.returncode)
    run: str = json.loads(done.stdout)["runs"][0]
    print(f"started {run}", flush=True)
    return run


def say_and_do(*arguments: str, keep: bool = False) -> subprocess.CompletedProcess[str]:
    """Print a command and run it; `keep` captures its stdout."""
    print(f"$ {shown([argument for argument in arguments if argument != '--json'])}", flush=True)
    return subprocess.run([*PROGRAM, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE if keep else None, check=False)


def shown(arguments: list[str]) -> str:
    """A command as one types it."""
    return f"flowgraph {shlex.join(arguments)}"


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and wait."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
    except KeyboardInterrupt:
        process.wait(15)


if __name__ == "__main__":
    sys.exit(main())
