"""Kill -9 in the middle of a saga's compensations, and of a block with a deadline: the next server goes on with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.server import Server

pytestmark = pytest.mark.ci

PATIENCE = 60  # seconds

FLOWS = """
import asyncio, os
from flowgraph import Event, NonRetriable, saga, step, step_context, timeout, workflow

class Bought(Event, name="bought"):
    pieces: int

class Begun(Event, name="begun"):
    limit: str

def note(name: str) -> None:
    with open(os.environ["STEP_LOG"], "a") as log:
        log.write(f"{name} {step_context().idempotency_key}\\n")

@step
async def give_back(number: int) -> None:
    note(f"begin-{number}")
    await asyncio.sleep(0.2)
    note(f"back-{number}")

@step(compensate=give_back)
async def take(number: int) -> int:
    note(f"take-{number}")
    return number

@step
async def refuse() -> None:
    raise NonRetriable("no")

@step(retries=0)
async def hold() -> None:
    note("hold")
    await asyncio.sleep(60)

@workflow(on=Bought)
async def buy(event: Bought) -> None:
    async with saga():
        for number in range(event.pieces):
            await take(number)
        await refuse()

@workflow(on=Begun)
async def hurry(event: Begun) -> str:
    try:
        async with timeout(event.limit):
            await hold()
    except TimeoutError:
        return "late"
    return "in time"
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with Server(tmp_path, url, FLOWS) as server:
        yield server


def until(server: Server, name: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not any(line.split()[0] == name for line in server.steps()):
        assert time.monotonic() < deadline, (name, server.steps(), server.output.read_text())
        time.sleep(0.01)


def test_a_killed_server_undoes_all_that_completed_in_its_order(served: Server) -> None:
    (run,) = served.send("bought", {"pieces": 6})["runs"]
    for number in (5, 3, 1):
        until(served, f"begin-{number}")
        served.kill()
        served.start()
    ended = served.wait(run, "failed", "completed", "crashed", patience=PATIENCE)
    assert (ended["status"], ended["error"]["type"]) == ("failed", "NonRetriable")
    backs = [line.split() for line in served.steps() if line.startswith("back-")]
    assert [name for name, _ in backs] == [f"back-{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert len({key for _, key in backs}) == 6
    begun = [line.split() for line in served.steps() if line.startswith("begin-")]
    assert {key for _, key in begun} == {key for _, key in backs}, "an interrupted attempt is repeated under its key"
    shown = served.http.get(f"/v1/runs/{run}/steps").json()["items"]
    assert [(s["name"], s["kind"], s["status"], s["count"]) for s in shown] == [
        ("take", "step", "completed", 6),
        ("give_back", "compensation", "completed", 6),
        ("refuse", "step", "failed", 1),
    ]


def test_a_deadline_holds_over_a_kill(served: Server) -> None:
    (run,) = served.send("begun", {"limit": "1s"})["runs"]
    until(served, "hold")
    served.kill()
    time.sleep(1)
    served.start()
    assert served.wait(run, "completed", "failed", "crashed", patience=PATIENCE)["result"] == "late"
