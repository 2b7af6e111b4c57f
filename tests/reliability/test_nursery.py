"""Processes that are forked from one with all imports: their output, their ends, and that none outlives its nursery."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from verification.nursery import Child, Nursery
from verification.server import free_port

pytestmark = pytest.mark.ci


async def _children(folder: Path) -> tuple[int, int, Child]:
    """The code of one that ends by itself, of one that is killed, and one that is still alive when its nursery ends."""
    serve = ["serve", "verification.kill_workload", "--port", str(free_port()), "--db"]
    async with Nursery() as nursery:
        brief = await nursery.bear(["--version"], os.environ, folder / "brief.log")
        killed = await nursery.bear([*serve, f"sqlite:///{folder}/killed.db"], os.environ, folder / "killed.log")
        killed.send_signal(signal.SIGKILL)
        left = await nursery.bear([*serve, f"sqlite:///{folder}/left.db"], os.environ, folder / "left.log")
        ends = await asyncio.gather(brief.wait(), killed.wait())
    return *ends, left


def test_children_are_processes_of_their_own(tmp_path: Path):
    brief, killed, left = asyncio.run(_children(tmp_path))
    assert (brief, killed) == (0, -signal.SIGKILL)
    assert "flowgraph" in (tmp_path / "brief.log").read_text()
    assert not psutil.pid_exists(left.pid)
    assert left.returncode == -signal.SIGKILL
