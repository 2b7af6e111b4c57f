"""The traffic that `make demo` sends, against a real dev server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from flowgraph_runtime import Client
from flowgraph_runtime.client import ApiError
from tests.runtime.server import free_port

ROOT = Path(__file__).parents[2]
WORKFLOWS = {
    "process_booking", "await_payment", "remind_of_check_in", "review_prices",
    "daily_report", "remind_of_expiry", "monthly_cleanup",
}  # fmt: skip


@pytest.mark.ci
def test_traffic_reaches_every_workflow_of_the_example(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "flowgraph_runtime.cli", "dev", "examples/booking", "--port", str(port), "--no-reload"]
    environment = os.environ | {"BOOKING_PACE": "0"}
    server = subprocess.Popen([*command, "--db", f"sqlite:///{tmp_path}/demo.db"], cwd=ROOT, env=environment)
    try:
        with Client(f"http://127.0.0.1:{port}") as client:
            _until_ready(client)
            traffic = [sys.executable, "examples/traffic.py", "--url", client.url, "--pace", "0.02", "--rounds", "14"]
            assert subprocess.run(traffic, cwd=ROOT, check=False, timeout=120).returncode == 0
            deadline = time.monotonic() + 60
            while not (found := Counter(run.workflow for run in client.runs(limit=200).items)).keys() >= WORKFLOWS:
                assert time.monotonic() < deadline, found
                time.sleep(0.2)
            assert found["process_booking"] == 14
    finally:
        server.terminate()
        server.wait(20)


def _until_ready(client: Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            client.workflows()
        except ApiError:
            assert time.monotonic() < deadline, "the dev server does not answer"
            time.sleep(0.1)
        else:
            return
