"""A fan-out over many items in a real server that is killed: what has a result is not run again, what is cancelled ends."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.server import Server

FLOWS = """
import asyncio, os
from flowgraph import fan_out, step, workflow

LOG = open(os.environ["STEP_LOG"], "a", buffering=1)

@step(retries=0)
async def score(item: int) -> int:
    LOG.write(f"{item}\\n")
    await asyncio.sleep(0.005)
    return item

@workflow
async def scores(items: int, limit: int) -> int:
    return sum(await fan_out((score(item) for item in range(items)), limit=limit))
"""
ITEMS, LIMIT = 10_000, 200


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with Server(tmp_path, url, FLOWS) as server:
        yield server


def _start(served: Server) -> str:
    answer = served.http.post("/v1/workflows/scores/runs", json={"input": {"items": ITEMS, "limit": LIMIT}})
    return answer.json()["id"]


def _attempts(served: Server) -> list[int]:
    return [int(line) for line in served.log.read_text().splitlines()]


def _until_attempts(served: Server, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(_attempts(served)) < count:
        assert time.monotonic() < deadline, f"{len(_attempts(served))} attempts"
        time.sleep(0.02)


def _journalled(served: Server, run: str) -> int:
    return served.http.get(f"/v1/runs/{run}/steps").json()["items"][1]["count"]


@pytest.mark.feature(1, 16)
@pytest.mark.ci
def test_items_with_results_are_not_run_again_after_kills(served: Server) -> None:
    run = _start(served)
    kills = (2_000, 6_000)
    for attempts in kills:
        _until_attempts(served, attempts)
        served.kill()
        served.start()
    ended = served.wait(run, "completed", "failed", "crashed", patience=90)
    assert (ended["status"], ended["result"]) == ("completed", ITEMS * (ITEMS - 1) // 2)
    attempts = Counter(_attempts(served))
    assert sorted(attempts) == list(range(ITEMS))
    again = sum(count - 1 for count in attempts.values())
    assert again <= len(kills) * LIMIT, "only what was under way is run again"
    assert _journalled(served, run) == ITEMS


@pytest.mark.ci
def test_a_cancel_in_the_middle_survives_a_kill(served: Server) -> None:
    run = _start(served)
    _until_attempts(served, 1_000)
    assert served.http.post(f"/v1/runs/{run}/cancel").json()["status"] == "cancelling"
    served.kill()
    served.start()
    assert served.wait(run, "cancelled", "completed", "failed", "crashed", patience=90)["status"] == "cancelled"
    assert len(set(_attempts(served))) < ITEMS
