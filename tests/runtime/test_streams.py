"""Server-sent events over a real socket: state changes as they commit, resumable."""

from __future__ import annotations

import threading
import time

import pytest

from flowgraph_runtime.client import ApiError, Client
from tests.runtime.live import live
from tests.runtime.server import Server


@pytest.fixture
def client(tmp_path, stage):
    with live(tmp_path) as http, Client(str(http.base_url)) as client:
        yield client


def test_a_run_is_followed_to_its_end(client, stage):
    stage.fail["charge"] = 1
    run_id = client.send("order.placed", {"order_id": "o1"}).runs[0]
    with client.stream(run_id) as changes:
        seen = list(changes)
    assert (seen[0].kind, seen[0].data["id"], seen[0].data["workflow"]) == ("run", run_id, "fulfil")
    assert (seen[-1].kind, seen[-1].data["status"]) == ("run", "completed")
    ids = [int(change.id) for change in seen]
    assert ids == sorted(ids)
    retried = [change.data["status"] for change in seen if change.kind == "step" and change.data["id"] == "fulfil/charge"]
    assert retried[-2:] == ["running", "completed"]


def test_last_event_id_resumes_without_a_gap_or_a_repetition(client, stage):
    with client.stream() as everything:
        run_id = client.send("order.placed", {"order_id": "o1"}).runs[0]
        seen = []
        for change in everything:
            if change.data.get("run", change.data.get("id")) == run_id and change.data["status"] != "running":
                seen.append(change)
            if change.kind == "run" and change.data["id"] == run_id and change.data["status"] == "completed":
                break
    middle = seen[len(seen) // 2]
    with client.stream(run_id, last_event_id=middle.id) as changes:
        again = [change for change in changes if change.data["status"] != "running"]
    assert again == [change for change in seen if int(change.id) > int(middle.id)]
    with client.stream(run_id, last_event_id=seen[-1].id) as changes:
        assert list(changes) == [], "204 tells the browser not to come back"


def test_an_unknown_sequence_gets_the_run_as_it_is(client, stage):
    run_id = client.start("trial", {"how": "later"}).id
    with client.stream(run_id, last_event_id="1") as changes:
        first = next(iter(changes))
    assert (first.kind, first.data["workflow"]) == ("run", "trial")
    client.cancel(run_id)


def test_who_comes_back_too_late_for_all_runs_is_told_so(client, stage):
    with client.stream(last_event_id="1") as changes:
        first = next(iter(changes))
        run_id = client.start("thank", {"order_id": "r"}).id
        news = next(change for change in changes if change.kind == "run")
    assert first.kind == "reset"
    assert int(first.id) == first.data["sequence"]
    assert news.data["id"] == run_id


def test_a_stream_of_no_run_is_404(client):
    with pytest.raises(ApiError, match="run_none"), client.stream("run_none") as changes:
        list(changes)


def test_waiting_for_the_end_of_a_started_run(client, stage):
    run = client.start("thank", {"order_id": "o9"}, wait="10s")
    assert (run.status, run.result) == ("completed", "o9")
    waiting = client.start("await_payment", {"order_id": "o9"}, wait="100ms")
    assert waiting.status == "waiting"
    assert waiting.current == []
    shown = client.run(waiting.id)
    assert shown.current == ["await_payment/wait_for.Paid"]


def test_a_stopping_server_ends_its_streams(server: Server):
    ended: list[int] = []

    def read() -> None:
        with Client(server.url) as reader, reader.stream() as changes:
            ended.append(sum(1 for _ in changes))

    threads = [threading.Thread(target=read) for _ in range(5)]
    for thread in threads:
        thread.start()
    with Client(server.url) as client:
        while len(client.runs().items) < 6:
            client.send("ordered", {"order": "x"})
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5
    for thread in threads:
        thread.join(timeout=5)
    assert len(ended) == 5
    assert all(ended)
    assert "Traceback" not in server.output.read_text()
