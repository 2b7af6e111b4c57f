"""What the interface says about runs whose code is gone, and that they go on when it is back."""

from __future__ import annotations

import time

from flowgraph_runtime.app import create_app
from flowgraph_runtime.settings import Settings
from tests.integration.harness import compiled
from tests.runtime.live import serving
from tests.runtime.server import free_port

BEFORE = """
class Go(Event, name="go"):
    key: str

@step
async def keep(key: str) -> str:
    return key

@step
async def {step}(key: str) -> str:
    return key + "!"

@workflow
async def flow(key: str) -> str:
    key = await keep(key)
    await wait_for(Go, where=lambda g: g.key == key, timeout="30d")
    return await {step}(key)
"""


def _served(folder, step, **settings):
    port = free_port()
    chosen = Settings(db=f"sqlite:///{folder}/m.db", port=port, poll_interval=0.05, grace=0.2, **settings)
    return serving(create_app(compiled(BEFORE.format(step=step)), settings=chosen), port)


def _until(http, run_id, status):
    deadline = time.monotonic() + 10
    while (run := http.get(f"/v1/runs/{run_id}").json())["status"] != status:
        assert time.monotonic() < deadline, run
        time.sleep(0.02)
    return run


def test_parked_runs_are_shown_as_paused_and_go_on_later(tmp_path):
    with _served(tmp_path, "old") as http:
        ids = [http.post("/v1/workflows/flow/runs", json={"input": {"key": key}}).json()["id"] for key in "ab"]
        for run_id in ids:
            _until(http, run_id, "waiting")
    with _served(tmp_path, "new", allow_missing=True) as http:
        for run_id in ids:
            run = http.get(f"/v1/runs/{run_id}").json()
            assert run["status"] == "paused"
            assert "step 'old'" in run["reason"]
            assert run["input"] in ({"key": "a"}, {"key": "b"})
            assert http.get(f"/v1/runs/{run_id}/journal").status_code == 200
            steps = http.get(f"/v1/runs/{run_id}/steps").json()["items"]
            assert [step["status"] for step in steps] == ["completed", "running", "pending"]
            assert http.get(f"/runs/{run_id}").status_code == 200
        assert http.get("/").status_code == 200
        assert [run["id"] for run in http.get("/v1/runs", params={"status": "paused"}).json()["items"]] == ids[::-1]
        assert http.get("/v1/runs", params={"status": "waiting"}).json()["items"] == []
        new = http.post("/v1/workflows/flow/runs", json={"input": {"key": "c"}}).json()["id"]
        _until(http, new, "waiting")
        assert http.post("/v1/events", json={"name": "go", "data": {"key": "a"}}).status_code == 200
        assert http.post("/v1/events", json={"name": "go", "data": {"key": "c"}}).status_code == 200
        assert _until(http, new, "completed")["result"] == "c!"
        assert http.post(f"/v1/runs/{ids[1]}/cancel").json()["status"] == "cancelling"
    with _served(tmp_path, "old") as http:
        assert _until(http, ids[0], "completed")["result"] == "a!"
        assert _until(http, ids[1], "cancelled")["result"] is None


def test_the_pages_of_ended_runs_outlive_their_steps(tmp_path):
    with _served(tmp_path, "old") as http:
        run_id = http.post("/v1/workflows/flow/runs", json={"input": {"key": "a"}}).json()["id"]
        _until(http, run_id, "waiting")
        http.post("/v1/events", json={"name": "go", "data": {"key": "a"}})
        _until(http, run_id, "completed")
    with _served(tmp_path, "new") as http:
        run = http.get(f"/v1/runs/{run_id}").json()
        assert (run["status"], run["result"]) == ("completed", "a!")
        steps = http.get(f"/v1/runs/{run_id}/steps").json()["items"]
        assert [(step["name"], step["status"]) for step in steps if step["kind"] == "step"] == [
            ("keep", "completed"),
            ("old", "completed"),
        ]
        assert http.get(f"/runs/{run_id}").status_code == 200
