"""Every error is `application/problem+json` that says what is wrong and where, and nothing is stored."""

from __future__ import annotations

import json
import socket

import pytest

from flowgraph_runtime.api.json_gate import BadJson, parse
from tests.runtime.live import live

GOOD = {"name": "order.placed", "data": {"order_id": "o1"}}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with live(tmp_path_factory.mktemp("problems"), body_limit=600_000) as client:
        yield client


def _stored(client) -> int:
    """How many events were sent by the tests; the runs of earlier ones send `order.shipped`."""
    return sum(item["name"] != "order.shipped" for item in client.get("/v1/events?limit=200").json()["items"])


def _problem(answer, status: int) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    return body


BROKEN = {
    "empty": b"",
    "no JSON": b"{",
    "latin-1": '{"name": "é"}'.encode("latin-1"),
    "byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "NaN": b'{"name": "x", "data": {"a": NaN}}',
    "minus infinity": b'{"name": "x", "data": {"a": -Infinity}}',
    "beyond a double": b'{"name": "x", "data": {"a": 1e999}}',
    "huge integer": b'{"name": "x", "data": {"a": ' + b"9" * 5000 + b"}}",
    "NUL": b'{"name": "x", "data": {"a": "\\u0000"}}',
    "NUL in a key": b'{"name": "x", "data": {"\\u0000": 1}}',
    "lone surrogate": b'{"name": "x", "data": {"a": "\\ud800"}}',
    "too deep": b'{"name": "x", "data": {"a": ' + b"[" * 65 + b"]" * 65 + b"}}",
    "very deep": b"[" * 100_000,
    "key twice": b'{"name": "x", "name": "y", "data": {}}',
    "two documents": b"{} {}",
}


@pytest.mark.parametrize("what", BROKEN)
def test_unacceptable_json_is_400(client, what):
    before = _stored(client)
    body = _problem(client.post("/v1/events", content=BROKEN[what], headers={"Content-Type": "application/json"}), 400)
    assert body["detail"]
    assert _stored(client) == before


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "order.placed", "data": {}}, "/data/order_id"),
        ({"name": "order.placed", "data": {"order_id": "o1", "amount": "many"}}, "/data/amount"),
        ([GOOD, {"name": "order.placed", "data": {"order_id": 3}}], "/1/data/order_id"),
        ({"name": "", "data": {}}, "/name"),
        ({"data": {}}, "/name"),
        ({"name": "x", "data": [1]}, "/data"),
        ({"name": "x", "data": {}, "surprise": 1}, "/surprise"),
        ({"name": "x", "data": {}, "ts": "yesterday"}, "/ts"),
        ("text", ""),
    ],
)
def test_data_that_does_not_fit_is_422_with_a_pointer(client, body, pointer):
    before = _stored(client)
    problem = _problem(client.post("/v1/events", json=body), 422)
    assert any(error["pointer"].startswith(pointer) for error in problem["errors"]), problem
    assert _stored(client) == before


def test_a_batch_is_all_or_nothing(client):
    before = _stored(client)
    _problem(client.post("/v1/events", json=[GOOD, {"name": "order.placed", "data": {}}]), 422)
    assert _stored(client) == before
    assert client.post("/v1/events", json=[GOOD, GOOD]).status_code == 200
    assert _stored(client) == before + 2


def test_other_media_types_are_415(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        _problem(client.post("/v1/events", content=json.dumps(GOOD), headers={"Content-Type": kind}), 415)


def test_large_bodies_are_413_announced_or_not(client):
    _problem(client.post("/v1/events", json={"name": "x", "data": {"a": "x" * 520_000}}), 413)
    _problem(client.post("/v1/events", json={"name": "x", "data": {"a": "x" * 700_000}}), 413)
    chunks = (b"x" * 100_000 for _ in range(20))
    _problem(client.post("/v1/events", content=chunks, headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/v1/runs/run_none", "run_none"),
        ("/v1/runs/run_none/steps", "run_none"),
        ("/v1/events/evt_none", "evt_none"),
        ("/v1/workflows/nobody", "nobody"),
        ("/nowhere", "not found"),
    ],
)
def test_what_is_not_there_is_404(client, path, word):
    assert word in str(_problem(client.get(path), 404))


def test_an_unknown_workflow_names_the_served_ones(client):
    body = _problem(client.post("/v1/workflows/nobody/runs", json={"input": {}}), 404)
    assert "fulfil" in body["detail"]


def test_a_wrong_method_is_405_and_says_which_are_right(client):
    answer = client.delete("/v1/events")
    _problem(answer, 405)
    assert set(answer.headers["allow"].replace(" ", "").split(",")) == {"GET", "HEAD", "POST"}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "cursor=-1", "colour=red", "since=2026", "workflow=%00"]
)
def test_bad_query_parameters_are_400(client, query):
    _problem(client.get(f"/v1/runs?{query}"), 400)


def test_start_input_faults_have_pointers(client):
    problem = _problem(client.post("/v1/workflows/nap/runs", json={"input": {"days": "x", "more": 1}}), 422)
    assert {error["pointer"] for error in problem["errors"]} == {"/days", "/more"}


def test_raw_garbage_does_not_hurt(client):
    for garbage in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ):
        with socket.create_connection((client.base_url.host, client.base_url.port), timeout=5) as raw:
            raw.sendall(garbage)
            assert raw.recv(4096)[:12] in (b"HTTP/1.1 421", b"HTTP/1.1 400")
    assert client.get("/healthz").status_code == 200


def test_the_gate_lets_all_json_through():
    for value in (None, True, 1, -(2**70), 1.5, "text \U0001f600", [], {}, {"a": [{"b": "[[[{{{"}]}, [[[[]]]], '\\\\"'):
        assert parse(json.dumps(value).encode()) == value
    deep: object = 1
    for _ in range(64):
        deep = [deep]
    assert parse(json.dumps(deep).encode()) == deep
    with pytest.raises(BadJson, match="deeper than 64"):
        parse(json.dumps([deep]).encode())
    assert parse(b'"' + b"[" * 1000 + b'"') == "[" * 1000


@pytest.mark.parametrize(
    ("ts", "status"),
    [(1_767_225_600_000, 200), ("2026-01-01T00:00:00Z", 200), ("2026", 422), ("2026-01-01T00:00:00", 422), (5, 422), (True, 422)],
)
def test_the_time_of_an_event_is_milliseconds_or_rfc_3339(client, ts, status):
    answer = client.post("/v1/events", json={"name": "timed", "data": {}, "ts": ts})
    assert answer.status_code == status
    if status == 200:
        stored = client.get(f"/v1/events/{answer.json()['events'][0]['id']}").json()
        assert (stored["ts"], stored["status"]) == ("2026-01-01T00:00:00.000000Z", "unknown")


def test_a_time_of_any_year_is_shown_as_rfc_3339(client):
    id = client.post("/v1/events", json={"name": "timed", "ts": "0741-01-28T20:45:24.5+01:00"}).json()["events"][0]["id"]
    assert client.get(f"/v1/events/{id}").json()["ts"] == "0741-01-28T19:45:24.500000Z"
