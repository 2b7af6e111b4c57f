"""A server that is killed, stopped or restarted loses nothing that it acknowledged."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.server import Server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.ci])])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with Server(tmp_path, url) as server:
        yield server


@pytest.mark.feature(1)
def test_a_killed_server_goes_on_where_it_was(served: Server):
    makes = _makes(served, 10)
    for delay in (0.05, 0.15, 0.3):
        time.sleep(delay)
        served.kill()
        served.start()
    _check_completed(served, makes)


def _makes(server: Server, count: int) -> list[str]:
    runs = [run for number in range(count) for run in server.send("ordered", {"order": f"o{number}"})["runs"]]
    return [run for run in runs if server.run(run)["workflow"] == "make"]


def _check_completed(server: Server, makes: list[str]) -> None:
    for run in makes:
        assert server.wait(run, "completed", "failed", "crashed")["status"] == "completed"
    keys = Counter(server.steps())
    per_run = 1 + 3 + 2 + 1
    assert len(keys) == per_run * len(makes), "every step of every run ran, under one key each"
    assert sum(keys.values()) >= len(keys) + len(makes), "the planted failure of each run is among the attempts"
    for run in makes:
        entries = server.http.get(f"/v1/runs/{run}/journal?limit=200").json()["items"]
        recorded = [(entry["site"], entry["visit"]) for entry in entries if entry["kind"] == "done"]
        assert len(set(recorded)) == len(recorded) == per_run


@pytest.mark.ci
@pytest.mark.postgres
def test_on_postgresql_another_worker_takes_over(tmp_path: Path, postgres_url: str):
    (tmp_path / "second").mkdir()
    first, second = Server(tmp_path, postgres_url), Server(tmp_path / "second", postgres_url)
    second.log = first.log
    with first, second:
        makes = _makes(first, 20)
        first.kill()
        _check_completed(second, makes)


@pytest.mark.feature(1, 2)
@pytest.mark.ci
def test_a_wait_survives_a_kill(server: Server):
    sent = server.send("ordered", {"order": "o1"})
    run = next(run for run in sent["runs"] if server.run(run)["workflow"] == "approve")
    server.wait(run, "waiting")
    server.kill()
    server.start()
    assert server.run(run)["status"] == "waiting"
    server.send("approved", {"order": "other"})
    server.send("approved", {"order": "o1"})
    assert server.wait(run, "completed")["result"] is True


@pytest.mark.ci
@pytest.mark.parametrize("stop", ["stop", "kill"])
def test_an_attempt_that_was_cut_off_keeps_its_number_and_key(server: Server, stop: str):
    run = server.http.post("/v1/workflows/holding/runs", json={"input": {"name": "x"}}).json()["id"]
    attempt = _running_attempt(server, run)
    getattr(server, stop)()
    server.start()
    assert _running_attempt(server, run) == attempt == 1
    assert server.http.post(f"/v1/runs/{run}/cancel").json()["status"] == "cancelling"
    assert server.wait(run, "cancelled")["error"]["type"] == "Cancelled"


def _running_attempt(server: Server, run: str) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        node = server.http.get(f"/v1/runs/{run}/steps").json()["items"][0]
        if node["status"] == "running" and node["instances"][0]["attempts"]:
            return node["instances"][0]["attempts"][0]["attempt"]
        time.sleep(0.05)
    raise AssertionError("the step never ran")


@pytest.mark.ci
def test_a_second_server_on_the_same_file_is_refused(server: Server):
    second = Server(server.folder)
    second.port, second.output = second.port, server.folder / "second.txt"
    with pytest.raises(AssertionError, match="another"):
        second.start()
    second.http.close()
