"""A run that takes down every process that runs it is parked; the runs beside it are not blamed, and go on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from verification.reading import items
from verification.server import ServerProcess

FLOWS = str(Path(__file__).with_name("poison_flows.py"))
INNOCENT = 20


@pytest.mark.ci
def test_a_run_that_kills_its_process_is_parked_and_its_neighbours_complete(empty_url: str, tmp_path: Path):
    server = ServerProcess(FLOWS, empty_url, tmp_path / "server.log", FLAGS=str(tmp_path))
    runs = asyncio.run(_restarted_until_over(server, tmp_path))
    statuses = {run["workflow"]: set[str]() for run in runs}
    for run in runs:
        statuses[run["workflow"]].add(run["status"])
    assert statuses == {"poison": {"crashed"}, "innocent": {"completed"}}, server.last_words()
    assert sorted(run["result"] for run in runs if run["workflow"] == "innocent") == list(range(INNOCENT))
    assert len((tmp_path / "deaths").read_text()) in (3, 4)


async def _restarted_until_over(server: ServerProcess, flags: Path) -> list[dict[str, Any]]:
    """Start the runs, the poisonous one among them, and a new server whenever one dies, until every run has ended."""
    try:
        async with asyncio.timeout(240), httpx2.AsyncClient(base_url=server.url, timeout=10) as client:
            await server.start()
            await asyncio.gather(*(_start(client, number) for number in range(INNOCENT + 1)))
            (flags / "kill").touch()
            await server.ended()
            while True:
                with suppress(RuntimeError):  # it may die before it is ready
                    await server.start()
                    if runs := await _all_ended(server, client):
                        return runs
    finally:
        if server.running:
            await server.kill()


async def _start(client: httpx2.AsyncClient, number: int) -> None:
    if number == INNOCENT // 2:
        answer = await client.post("/v1/workflows/poison/runs", json={"input": {}})
    else:
        answer = await client.post(
            "/v1/workflows/innocent/runs", json={"input": {"number": number if number < INNOCENT // 2 else number - 1}}
        )
    assert answer.status_code in (200, 201, 202), answer.text


async def _all_ended(server: ServerProcess, client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    """All runs once they have ended; none when the server dies first."""
    while server.running:
        runs = [run async for run in items(client, "/v1/runs")]
        if all(run["ended_at"] for run in runs):
            return runs
        await asyncio.sleep(0.3)
    return []
