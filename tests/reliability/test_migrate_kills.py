"""A server that is killed while it moves runs leaves each of them wholly on one machine or on the other."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.server import Server

RUNS = 60
"""So many that a kill soon after the first moves cuts the others off."""
FLOWS = """
import os
from flowgraph import Event, step, step_context, wait_for, workflow

class Go(Event, name="go"):
    key: str

def note(name: str) -> None:
    with open(os.environ["STEP_LOG"], "a") as log:
        log.write(f"{name} {step_context().idempotency_key}\\n")

@step
async def first(key: str) -> str:
    note("first")
    return key + "1"

@step
async def last(key: str) -> str:
    note("last")
    return key + "2"

@workflow
async def flow(key: str) -> str:
    held = await first(key)
    await wait_for(Go, where=lambda go: go.key == key, timeout="30d")
    return held
"""
AFTER = FLOWS.replace("return held", "return await last(held)")


@pytest.mark.ci
def test_a_server_that_is_killed_while_it_moves_runs_moves_each_wholly_or_not(empty_url: str, tmp_path: Path) -> None:
    chance = random.Random(11)
    with Server(tmp_path, empty_url, FLOWS) as server:
        ids = started(server)
        old = {str(one["machine"]) for one in runs(server)}
        server.stop()
        server.module.write_text(AFTER, encoding="utf-8")
        server.start()
        before = 0
        for part in (0.2, 0.5) if empty_url.startswith("sqlite") else (0.3,):
            killed_in_the_middle(server, old, round(RUNS * (part + chance.uniform(-0.1, 0.1))))
            server.start()
            moved = whole(server, ids, old)
            assert before < moved <= RUNS, "what has been moved stays moved"
            before = moved
        sound(empty_url)
        left = RUNS - before
        assert migrated(server) == f"moved {left} run{'' if left == 1 else 's'}, 0 stay\n"
        assert whole(server, ids, old) == RUNS
        all_end(server, ids)
    sound(empty_url)


def started(server: Server) -> dict[str, str]:
    """Runs that wait, by id, each with its key."""
    ids = {
        server.http.post("/v1/workflows/flow/runs", json={"input": {"key": f"k{number}"}}).json()["id"]: f"k{number}"
        for number in range(RUNS)
    }
    deadline = time.monotonic() + 120
    while {one["status"] for one in runs(server)} != {"waiting"}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return ids


def migration(server: Server) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "flowgraph_runtime.cli", "migrate", "--apply", "--url", server.url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def migrated(server: Server) -> str:
    told, errors = migration(server).communicate(timeout=120)
    assert errors == "", errors
    return told


def killed_in_the_middle(server: Server, old: set[str], enough: int) -> None:
    """Kill the server when so many runs are on the new machine, and the program that waits for it after that."""
    program = migration(server)
    deadline = time.monotonic() + 120
    while sum(one["machine"] not in old for one in runs(server)) < enough:
        assert time.monotonic() < deadline
        assert program.poll() in (None, 0), program.communicate()
        time.sleep(0.02)
    server.kill()
    program.kill()
    program.communicate()


def runs(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.http.get("/v1/runs?limit=200").json()["items"]
    return found


def whole(server: Server, ids: dict[str, str], old: set[str]) -> int:
    """How many runs have been moved: just these have a row of it, and it is their last one."""
    found = runs(server)
    assert {one["id"] for one in found} == set(ids)
    for one in found:
        kinds = [row["kind"] for row in server.http.get(f"/v1/runs/{one['id']}/journal?limit=50").json()["items"]]
        assert kinds == (["done"] if one["machine"] in old else ["done", "move"])
        assert one["status"] == "waiting"
    return sum(one["machine"] not in old for one in found)


def all_end(server: Server, ids: dict[str, str]) -> None:
    """Every run goes on with the new code, and nothing of it is done twice."""
    for key in ids.values():
        server.send("go", {"key": key})
    for run, key in ids.items():
        assert server.wait(run, "completed", "failed", "crashed", patience=60)["result"] == f"{key}12"
    steps = Counter(line.split()[0] for line in server.steps())
    assert steps == {"first": RUNS, "last": RUNS}
    assert len(set(server.steps())) == 2 * RUNS


def sound(url: str) -> None:
    """The invariants hold; how the server of a test keeps its files is not looked at."""
    command = [sys.executable, "-m", "flowgraph_runtime.cli", "doctor", "--db", url, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["findings"]
    assert len(found) > 40
    assert [one for one in found if one["level"] == "broken" and one["check"] != "server settings"] == []
