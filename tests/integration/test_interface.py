"""The HTTP interface on a real server, as somebody who fears for their events uses it."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from flowgraph_runtime.app import create_app
from flowgraph_runtime.settings import Settings
from tests.integration.harness import compiled
from tests.runtime.live import serving
from tests.runtime.server import free_port

SHOP = """
class Base(Event, name="shop.any"):
    key: str

class Placed(Base, name="shop.placed"):
    amount: int = 1

class Paid(Base, name="shop.paid"):
    pass

class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

@step(retries=1, backoff=Backoff("1h", jitter=0.0))
async def work(key: str) -> str:
    LOG.enter("work")
    if key == "slow":
        await asyncio.sleep(20)
    if key == "rude":
        raise Rude()
    if key == "retry":
        raise ConnectionError("down")
    if key == "nul":
        return "a\\0b"
    return key

@workflow(on=Placed, where=lambda e: e.amount >= 100)
async def big(event: Placed) -> str:
    return await work(event.key)

@workflow(on=(Placed, Paid))
async def either(event: Placed | Paid) -> str:
    return f"{event.meta.name} {event.key}"

@workflow(on=Base)
async def everything(event: Base) -> str:
    return event.key

@workflow(on=Placed, where=lambda e: 10 // e.amount > 0)
async def fussy(event: Placed) -> str:
    return event.key

@workflow
async def by_hand(key: str, times: int = 2) -> list[str]:
    got: list[str] = []
    for _ in range(times):
        got.append(await work(key))
    return got

@workflow
async def rude(key: str) -> str:
    try:
        return await work("rude")
    finally:
        await sleep("1ms")

@step(retries=0)
async def fail_rudely() -> None:
    raise Rude()

@workflow
async def ends_rudely(key: str) -> None:
    await fail_rudely()
"""


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    port = free_port()
    folder = tmp_path_factory.mktemp("shop")
    settings = Settings(db=f"sqlite:///{folder}/shop.db", port=port, poll_interval=0.05, grace=0.2)
    with serving(create_app(compiled(SHOP), settings=settings), port) as client:
        yield client


def _send(http, *events, **more):
    return http.post("/v1/events", json=events[0] if len(events) == 1 else list(events), **more)


def _workflows(http, event_id):
    found = http.get("/v1/runs", params={"event_id": event_id}).json()["items"]
    return sorted(run["workflow"] for run in found)


def _run(http, workflow, /, **given):
    answer = http.post(f"/v1/workflows/{workflow}/runs", params={"wait": "10s"}, json={"input": given})
    assert answer.status_code == 201, answer.text
    return answer.json()


def _until(http, run_id, *statuses):
    deadline = time.monotonic() + 10
    while (run := http.get(f"/v1/runs/{run_id}").json())["status"] not in statuses:
        assert time.monotonic() < deadline, run
        time.sleep(0.02)
    return run


@pytest.mark.feature(9)
@pytest.mark.parametrize(
    ("name", "amount", "started"),
    [
        ("shop.placed", 100, ["big", "either", "everything"]),
        ("shop.placed", 5, ["either", "everything", "fussy"]),
        ("shop.placed", 0, ["either", "everything"]),
        ("shop.paid", None, ["either", "everything"]),
        ("shop.any", None, ["everything"]),
    ],
)
def test_an_event_starts_every_workflow_that_it_fits_and_no_other(http, name, amount, started):
    data = {"key": "k"} if amount is None else {"key": "k", "amount": amount}
    (event,) = _send(http, {"name": name, "data": data}).json()["events"]
    assert _workflows(http, event["id"]) == started
    assert len(event["runs"]) == len(started)


@pytest.mark.feature(10, 22)
def test_one_bad_event_keeps_the_whole_batch_out(http):
    before = http.get("/v1/events", params={"limit": 1}).json()["items"][0]["id"]
    answer = _send(http, {"name": "shop.paid", "data": {"key": "ok"}}, {"name": "shop.placed", "data": {"key": 5}})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "/1/data/key" in answer.text
    assert http.get("/v1/events", params={"limit": 1}).json()["items"][0]["id"] == before


@pytest.mark.feature(22)
def test_an_id_is_stored_once_and_never_with_other_data(http):
    event = {"name": "shop.paid", "data": {"key": "once"}, "id": "client-1"}
    first, again = _send(http, event).json()["events"][0], _send(http, event).json()["events"][0]
    assert (again["id"], again["runs"]) == (first["id"], first["runs"])
    assert _send(http, {**event, "data": {"key": "other"}}).status_code == 409
    other_name = _send(http, {**event, "name": "shop.any"}).json()["events"][0]
    assert other_name["id"] != first["id"]
    twice = _send(http, {**event, "id": "client-2"}, {**event, "id": "client-2"})
    assert twice.status_code == 200, twice.text
    one, two = twice.json()["events"]
    assert (one["id"], one["runs"]) == (two["id"], two["runs"])


def test_a_conflict_in_a_batch_keeps_the_whole_batch_out(http):
    _send(http, {"name": "shop.paid", "data": {"key": "x"}, "id": "client-3"})
    answer = _send(
        http,
        {"name": "shop.paid", "data": {"key": "new"}, "id": "client-4"},
        {"name": "shop.paid", "data": {"key": "y"}, "id": "client-3"},
    )
    assert answer.status_code == 409
    (event,) = _send(http, {"name": "shop.paid", "data": {"key": "different"}, "id": "client-4"}).json()["events"]
    assert "reason" not in event or event["reason"] is None


def test_limits_of_events(http):
    small = {"name": "nobody.knows", "data": {}}
    assert _send(http, *[small] * 5_000).status_code == 200
    too_many = _send(http, *[small] * 5_001)
    assert too_many.status_code in {413, 422}
    assert "5,000" in too_many.text or "5000" in too_many.text
    assert _send(http, {"name": "nobody.knows", "data": {"x": "y" * 500_000}}).status_code == 200
    too_large = _send(http, {"name": "nobody.knows", "data": {"x": "y" * 512_000}})
    assert too_large.status_code == 413
    assert "512" in too_large.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"name": "shop.paid", "data": {"key": "a\\u0000b"}}', 400),
        (b'{"name": "shop.paid", "data": {"key": "\\ud800"}}', 400),
        (b'{"name": "shop.paid", "data": {"key": NaN}}', 400),
        (b"\xff\xfe", 400),
        (b'{"name": "shop.paid", "data": ' + b"[" * 500 + b"]" * 500 + b"}", 400),
        (b'{"name": "", "data": {}}', 422),
        (b'{"name": "shop.paid", "data": []}', 422),
        (b'{"name": "shop.paid", "data": {"key": "a"}, "ts": "yesterday"}', 422),
        (b'{"name": "shop.paid", "data": {"key": "a"}, "ts": "2026-01-01T00:00:00"}', 422),
        (b'{"data": {}}', 422),
        (b"[]", 200),
        (b"null", 422),
    ],
)
def test_bad_bodies_are_refused_by_name_and_store_nothing(http, body, status):
    before = http.get("/v1/events", params={"limit": 1}).json()["items"]
    answer = http.post("/v1/events", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert http.get("/v1/events", params={"limit": 1}).json()["items"] == before


def test_starting_by_hand(http):
    run = _run(http, "by_hand", key="k")
    assert (run["status"], run["result"], run["input"]) == ("completed", ["k", "k"], {"key": "k", "times": 2})
    for given in ({"key": "k", "tymes": 3}, {"times": 1}, {"key": 5}, [], "k", None):
        answer = http.post("/v1/workflows/by_hand/runs", json={"input": given})
        assert answer.status_code == 422, (given, answer.text)
    assert http.post("/v1/workflows/nobody/runs", json={"input": {}}).status_code == 404


def test_an_idempotency_key_starts_one_run_however_often_and_at_once(http):
    async def at_once():
        loop = asyncio.get_running_loop()
        post = lambda: http.post("/v1/workflows/by_hand/runs", json={"input": {"key": "i"}}, headers={"Idempotency-Key": "abc"})  # noqa: E731
        return await asyncio.gather(*(loop.run_in_executor(None, post) for _ in range(8)))

    answers = asyncio.run(at_once())
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_an_error_whose_text_cannot_be_made_breaks_no_page(http):
    run = _run(http, "ends_rudely", key="k")
    assert (run["status"], run["error"]["type"], run["error"]["step"]) == ("failed", "Rude", "fail_rudely")
    for path in ("", "/steps", "/journal", "/diagram.svg"):
        assert http.get(f"/v1/runs/{run['id']}{path}").status_code == 200, path
    assert http.get("/v1/runs").status_code == 200
    assert http.get("/").status_code == 200
    assert http.get(f"/runs/{run['id']}").status_code == 200


def test_nul_in_results_is_shown(http):
    run = _run(http, "by_hand", key="nul", times=1)
    assert run["status"] in {"completed", "failed"}
    if run["status"] == "completed":
        assert run["result"] == ["a\0b"]
    assert http.get(f"/v1/runs/{run['id']}/steps").status_code == 200


def test_statuses_while_a_step_executes_and_while_it_backs_off(http):
    started = http.post("/v1/workflows/by_hand/runs", json={"input": {"key": "slow"}}).json()
    _until(http, started["id"], "running")
    assert started["id"] in {run["id"] for run in http.get("/v1/runs", params={"status": "running"}).json()["items"]}
    assert started["id"] not in {run["id"] for run in http.get("/v1/runs", params={"status": "queued"}).json()["items"]}
    (step,) = http.get(f"/v1/runs/{started['id']}/steps").json()["items"]
    assert (step["status"], step["instances"][0]["attempts"][0]["status"]) == ("running", "running")
    assert http.post(f"/v1/runs/{started['id']}/cancel", json={"reason": "enough"}).json()["status"] == "cancelling"
    ended = _until(http, started["id"], "cancelled")
    assert ended["reason"] == "enough"
    assert http.post(f"/v1/runs/{started['id']}/cancel").json()["status"] == "already cancelled"

    retried = http.post("/v1/workflows/by_hand/runs", json={"input": {"key": "retry"}}).json()
    deadline = time.monotonic() + 5
    while (step := http.get(f"/v1/runs/{retried['id']}/steps").json()["items"][0])["status"] != "retrying":
        assert time.monotonic() < deadline, step
    (instance,) = step["instances"]
    assert instance["next_attempt_at"] > instance["attempts"][0]["ended_at"]
    assert instance["attempts"][0]["error"]["type"] == "ConnectionError"
    http.post(f"/v1/runs/{retried['id']}/cancel")
    _until(http, retried["id"], "cancelled")


def test_a_stream_tells_a_run_from_beginning_to_end(http):
    started = http.post("/v1/workflows/by_hand/runs", json={"input": {"key": "s", "times": 3}}).json()
    with http.stream("GET", f"/v1/runs/{started['id']}/stream") as stream:
        seen = [json.loads(line.removeprefix("data:")) for line in stream.iter_lines() if line.startswith("data:")]
    assert (seen[-1]["id"], seen[-1]["status"]) == (started["id"], "completed")
    assert [change["visit"] for change in seen if "visit" in change and change["status"] == "completed"] in (
        [1, 2, 3],
        [2, 3],
        [3],
        [],
    )
    assert http.get(f"/v1/runs/{started['id']}").json()["result"] == ["s", "s", "s"]


def test_pages_hold_every_run_once(http):
    wanted = {_send(http, {"name": "shop.any", "data": {"key": str(n)}}).json()["events"][0]["runs"][0] for n in range(23)}
    found: list[str] = []
    cursor = None
    while True:
        params = {"limit": 5, "workflow": "everything", **({"cursor": cursor} if cursor else {})}
        page = http.get("/v1/runs", params=params).json()
        found += [run["id"] for run in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(found) == len(set(found))
    assert wanted <= set(found)
    assert found == sorted(found, reverse=True)
    for bad in ({"cursor": "x"}, {"limit": 0}, {"limit": 100_000}, {"since": "now"}, {"status": "asleep"}, {"unknown": 1}):
        assert http.get("/v1/runs", params=bad).status_code in {400, 422}, bad
