"""`make demo` leaves nothing behind, however it is ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowgraph_runtime import Client
from flowgraph_runtime.client import ApiError
from tests.runtime.server import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds


def answers(client: Client) -> bool:
    try:
        client.workflows()
    except ApiError:
        return False
    return True


@pytest.mark.ci
def test_the_server_ends_with_a_demo_that_is_told_to_end(tmp_path: Path) -> None:
    port = free_port()
    demo = subprocess.Popen(
        [sys.executable, "examples/demo.py", "--port", str(port), "--db", str(tmp_path / "demo.db")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with Client(f"http://127.0.0.1:{port}") as client:
            until = time.monotonic() + PATIENCE
            while not answers(client) and time.monotonic() < until:
                time.sleep(0.1)
            assert answers(client)
            demo.terminate()
            assert demo.wait(PATIENCE) == 128 + signal.SIGTERM
            assert not answers(client)
    finally:
        demo.kill()
