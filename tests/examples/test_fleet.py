"""`make fleet`: a node is killed and its runs go on; nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from tests.runtime.server import free_port

pytestmark = [pytest.mark.postgres, pytest.mark.ci]
ROOT = Path(__file__).parents[2]


def _fleet(folder: Path, once: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "FLEET_ONCE": once, "FLEET_LEGS": "4", "TMPDIR": str(folder)}
    command = [sys.executable, "examples/fleet.py", "--port", str(free_port())]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def folder():
    """Where the server's data go: under /tmp itself, since a socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="fg-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _left(folder: Path) -> list[str]:
    return [process.name() for process in psutil.process_iter() if any(str(folder) in word for word in _words(process))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_runs_of_a_killed_node_go_on(folder: Path) -> None:
    fleet = _fleet(folder, "1")
    said, _ = fleet.communicate(timeout=240)
    assert fleet.returncode == 0, said
    assert "killing node3" in said
    assert "runs: {'completed': 30}" in said
    assert (_left(folder), list(folder.iterdir())) == ([], [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_of_it_ends_with_a_signal(folder: Path, number: signal.Signals) -> None:
    fleet = _fleet(folder, "0")
    assert fleet.stdout is not None
    said = ""
    for line in fleet.stdout:
        said += line
        if "its data are thrown away" in line:
            break
    fleet.send_signal(number)
    rest, _ = fleet.communicate(timeout=60)
    assert fleet.returncode == (0 if number == signal.SIGINT else 128 + number), said + rest
    assert (_left(folder), list(folder.iterdir())) == ([], [])
