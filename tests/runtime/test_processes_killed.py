"""No process of a pool outlives its server, and none that the server lets finish is cut off."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.runtime.server import Server

FLOWS = (Path(__file__).parent / "executor_flows.py").read_text()
PATIENCE = 120.0

pytestmark = pytest.mark.ci


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, flows=FLOWS) as started:
        yield started


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _begin(server: Server, workflow: str) -> tuple[str, list[int]]:
    """Start a run whose step says that it has begun -> the run, the step's process and the program that it has started."""
    answer = server.http.post(f"/v1/workflows/{workflow}/runs", json={"input": {"place": str(server.folder)}})
    begun = server.folder / "begun"
    _until(begun.exists)
    return answer.json()["id"], [int(pid) for pid in begun.read_text().split()]


def _gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


@pytest.mark.parametrize("workflow", ["holding", "keeping"])
def test_a_killed_server_leaves_no_process_behind(server: Server, workflow: str):
    """`keeping` is C code that holds the interpreter's lock, so that no thread of the process can look after its server."""
    _, pids = _begin(server, workflow)
    assert not _gone(pids)
    server.kill()
    _until(lambda: _gone(pids))


def test_a_step_that_was_cut_off_by_a_kill_runs_again(server: Server):
    run, pids = _begin(server, "holding")
    server.kill()
    _until(lambda: _gone(pids))
    (server.folder / "begun").unlink()
    server.start()
    _until((server.folder / "begun").exists)
    (server.folder / "enough").touch()
    assert server.wait(run, "completed", "failed")["result"] not in pids


def test_a_service_manager_that_tells_every_process_to_end_costs_no_attempt(server: Server):
    run, (process, _) = _begin(server, "holding")
    os.kill(process, signal.SIGTERM)
    time.sleep(0.2)
    assert not _gone([process])
    (server.folder / "enough").touch()
    assert server.wait(run, "completed", "failed")["result"] == process
