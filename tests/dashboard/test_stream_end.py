"""A page's stream says that it is over, so that a browser closes it instead of reporting that it broke."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from flowgraph_runtime.app import create_app
from flowgraph_runtime.settings import Settings
from tests.dashboard.conftest import compilation
from tests.runtime.live import serving


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder: Path = tmp_path_factory.mktemp("stream")
    settings = Settings(db=f"sqlite:///{folder}/pages.db", port=port, poll_interval=0.05, grace=0.5)
    with serving(create_app(compilation(), settings=settings), port) as client:
        yield client


@pytest.mark.parametrize(("query", "last"), [("", "run"), ("?end=event", "end")])
def test_the_last_event_is_the_end_when_asked_for(client: httpx2.Client, query: str, last: str):
    run_id = client.post("/v1/workflows/echo/runs", json={"input": {"text": "x"}}).json()["id"]
    with client.stream("GET", f"/v1/runs/{run_id}/stream{query}") as answer:
        kinds = [line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: ")]
    assert kinds[-1] == last
    assert kinds.count("end") == (last == "end")


@pytest.mark.parametrize("query", ["?end=perhaps", "?ende=event"])
def test_a_query_that_nobody_knows_is_refused(client: httpx2.Client, query: str):
    run_id = client.post("/v1/workflows/echo/runs", json={"input": {"text": "x"}}).json()["id"]
    assert client.get(f"/v1/runs/{run_id}/stream{query}").status_code == 400
