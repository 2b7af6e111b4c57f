"""Inngest's own SDKs, unmodified, send to us: the Python package in this process, the npm package under Node.js."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest

from tests.inngest.half_lost import HalfLost
from tests.runtime.live import live, make_keys

pytestmark = pytest.mark.ci
HERE = Path(__file__).parent
Sendings: TypeAlias = list[list[dict[str, Any]]]
Send: TypeAlias = Callable[[str, str, Sendings], list[Any]]


def by_python(url: str, key: str, sendings: Sendings) -> list[Any]:
    """Send with the PyPI package."""
    if find_spec("inngest") is None:
        pytest.skip("the PyPI package inngest is not installed (dependency group ci)")
    return _sent([sys.executable, str(HERE / "send.py")], url, key, sendings)


def by_node(url: str, key: str, sendings: Sendings) -> list[Any]:
    """Send with the npm package."""
    return _sent(["node", str(_installed() / "send.mjs")], url, key, sendings)


def _sent(command: list[str], url: str, key: str, sendings: Sendings) -> list[Any]:
    environment = os.environ | {"INNGEST_DEV": url, "INNGEST_BASE_URL": url, "INNGEST_EVENT_KEY": key}
    given = json.dumps({"sendings": sendings})
    program = subprocess.run(command, input=given, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert program.returncode == 0, program.stderr
    answers: list[Any] = json.loads(program.stdout.splitlines()[-1])
    return answers


def _installed() -> Path:
    """The folder with the npm package, installed by whoever comes first."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on the PATH")
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (HERE / "node_modules" / ".package-lock.json").exists():
            options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=peer", "--omit=optional"]
            command = ["npm", "install", *options]
            done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0 and any(word in done.stderr for word in ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN")):
                pytest.skip("no registry to install the npm package inngest from")
            assert done.returncode == 0, done.stderr
    return HERE


@pytest.fixture(params=[pytest.param(by_python, id="pypi"), pytest.param(by_node, id="npm")])
def send(request: pytest.FixtureRequest) -> Send:
    chosen: Send = request.param
    if chosen is by_node:
        _installed()
    return chosen


@pytest.fixture
def server(tmp_path: Path) -> Iterator[httpx2.Client]:
    with live(tmp_path) as client:
        yield client


def _events(server: httpx2.Client) -> dict[str, Any]:
    """The events that came from an SDK, by their bare ids."""
    items = server.get("/v1/events?limit=200").json()["items"]
    return {item["id"].removeprefix("evt_"): item for item in items if item["source"] == "inngest"}


def _runs(server: httpx2.Client, id: str) -> int:
    return len(server.get(f"/v1/events/{id}").json()["runs"])


def _order(number: int, **more: Any) -> dict[str, Any]:
    return {"name": "order.placed", "data": {"order_id": f"o-{number}"}, **more}


def test_one_many_repeated_unknown_and_invalid(send: Send, server: httpx2.Client) -> None:
    sendings = [
        [_order(1)],
        [_order(number) for number in range(2, 5)],
        [_order(5, id="five")],
        [_order(6, id="five")],
        [{"name": "nobody.knows", "data": {"x": [1, None, "ä"]}, "ts": 1_700_000_000_000}],
        [{"name": "order.placed", "data": {"order_id": 7}}],
        [{"name": "inngest/not.yours", "data": {}}],
    ]
    one, many, five, repeated, unknown, invalid, refused = send(str(server.base_url), "NO_EVENT_KEY_SET", sendings)
    stored = _events(server)
    assert set(stored) == {*one, *many, *five, *repeated, *unknown, *invalid}
    assert len(stored) == 8
    assert [stored[id]["data"]["order_id"] for id in many] == ["o-2", "o-3", "o-4"]
    assert [_runs(server, id) for id in (*one, *many, *five, *repeated)] == [1, 1, 1, 1, 1, 0]
    assert stored[unknown[0]]["status"] == "unknown"
    assert stored[unknown[0]]["data"] == {"x": [1, None, "ä"]}
    assert stored[unknown[0]]["ts"] == "2023-11-14T22:13:20.000000Z"
    assert stored[invalid[0]]["status"] == "invalid"
    assert "Inngest's own" in refused["error"]


def test_a_half_lost_answer_is_tried_again_and_starts_nothing_twice(send: Send, server: httpx2.Client) -> None:
    with HalfLost(str(server.base_url).rstrip("/")) as proxy:
        proxy.lose = 2
        (ids,) = send(proxy.url, "NO_EVENT_KEY_SET", [[_order(1), _order(2, id="two"), {"name": "nobody.knows"}]])
    assert len(proxy.seen) == 3
    ((path, seed),) = set(proxy.seen)
    assert path == "/e/NO_EVENT_KEY_SET"
    assert seed is not None
    assert list(_events(server)) == ids[::-1]
    assert [_runs(server, id) for id in ids] == [1, 1, 0]
    assert len(server.get("/v1/runs?workflow=fulfil").json()["items"]) == 2


def test_keys(send: Send, tmp_path: Path) -> None:
    secrets = make_keys(tmp_path, {"shop": ("event:write",), "reader": ("read",)})
    with live(tmp_path) as server:
        (ids,) = send(str(server.base_url), secrets["shop"], [[_order(1)]])
        assert len(ids) == 1
        (refused,) = send(str(server.base_url), "unknown", [[_order(1)]])
        assert "unknown" in refused["error"].lower() or "not found" in refused["error"].lower()
        events = server.get("/v1/events", headers={"Authorization": f"Bearer {secrets['reader']}"}).json()["items"]
        assert [event["id"] for event in events if event["source"] == "inngest"] == [f"evt_{ids[0]}"]
