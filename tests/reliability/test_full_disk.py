"""A full disk: refused before it breaks, nothing acknowledged is lost, and it goes on by itself when there is room again."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from flowgraph_runtime.storage import DatabaseFull
from tests.integration.conftest import log, run
from tests.integration.harness import Engine, engine

__all__ = ["log", "run"]
FLOWS = """
class Filled(Event, name="filled"):
    number: int
    text: str

class Room(Event, name="room"):
    pass

@step(retries=0)
async def blow(number: int) -> str:
    LOG.enter(f"blow {number}")
    return "x" * 20_000

@workflow(on=Filled)
async def fill(event: Filled) -> int:
    texts = [await blow(event.number) for _ in range(3)]
    await wait_for(Room, timeout="1h")
    return len(texts[0] + await blow(event.number))
"""
MEGABYTE = 1_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system of its own cannot be mounted here: it takes root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(ballast: Path) -> None:
    """Leave no room at all."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"b" * 65_536)


async def send_until_full(served: Engine, most: int = 400, ahead: int = 400) -> list[str]:
    """Send events until one is refused -> the runs of those that were acknowledged. At most `ahead` of them still run steps
    when the next one is sent: what these have yet to write must find room, too."""
    runs: list[str] = []
    for number in range(most):
        if len(runs) > ahead:
            await served.reaches(runs[-ahead - 1], "waiting", patience=60)
        try:
            runs += await served.send("filled", number=number, text="y" * 30_000)
        except DatabaseFull:
            return runs
    raise AssertionError(f"{most} events did not fill the disk")


async def all_end(served: Engine, runs: list[str]) -> None:
    """Every acknowledged run ends, with all its steps recorded once."""
    await served.send("room")
    for run_id in runs:
        assert await served.outcome(run_id, 60) == ("completed", 40_000)
        done = [(row.site, row.visit) for row in await served.journal(run_id) if row.kind == "done"]
        assert len(done) == len(set(done)) == 4, run_id


@pytest.mark.ci
def test_what_is_new_is_refused_while_there_is_room_for_what_is_under_way(run: Any, log: Any, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"b" * 10 * MEGABYTE)

    async def scenario() -> None:
        async with engine(FLOWS, f"sqlite:///{small_disk}/runs.db", skip_time=False, disk_reserve=7 * MEGABYTE) as served:
            runs = await send_until_full(served, ahead=5)
            assert len(runs) > 10
            with pytest.raises(DatabaseFull, match="disk_reserve"):
                await served.start("fill", number=1, text="")
            for run_id in runs:
                await served.reaches(run_id, "waiting", patience=60)  # their results still found room
            ballast.unlink()
            await asyncio.sleep(0.3)
            await all_end(served, runs)

    run(scenario())


@pytest.mark.ci
def test_a_disk_that_ran_full_loses_nothing_and_goes_on_when_there_is_room(run: Any, log: Any, small_disk: Path) -> None:
    ballast = small_disk / "ballast"

    async def scenario() -> None:
        async with engine(FLOWS, f"sqlite:///{small_disk}/runs.db", skip_time=False, disk_reserve=0) as served:
            runs: list[str] = []
            for number in range(30):
                runs += await served.send("filled", number=number, text="y" * 30_000)
            fill_up(ballast)
            runs += await send_until_full(served)
            await asyncio.sleep(0.5)  # commits fail meanwhile
            ballast.unlink()
            await all_end(served, runs)

    run(scenario())
