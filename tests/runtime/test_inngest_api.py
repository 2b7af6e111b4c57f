"""`POST /e/<key>` on the wire: what Inngest's SDKs rely on, byte for byte. The SDKs themselves are in `test_inngest_sdks`."""

from __future__ import annotations

import base64
import json
import logging
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import uvicorn
from ulid import ULID

from flowgraph_runtime.access_log import without_key
from tests.runtime.live import live, make_keys
from tests.runtime.test_api_problems import BROKEN

KEY = "NO_EVENT_KEY_SET"
GOOD = {"name": "order.placed", "data": {"order_id": "o1"}}
PAGE = "https://shop.example"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with live(tmp_path_factory.mktemp("inngest"), body_limit=600_000, event_origins=(PAGE,)) as client:
        yield client


def _sent(client, body, **headers: str) -> list[str]:
    answer = client.post(f"/e/{KEY}", json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"ids", "status"}
    assert answer.json()["status"] == 200
    ids: list[str] = answer.json()["ids"]
    return ids


def _refused(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "status"}
    assert answer.json()["status"] == status
    assert KEY not in answer.text
    error: str = answer.json()["error"]
    return error


def _event(client, id: str):
    return client.get(f"/v1/events/{id}").json()


def _count(client) -> int:
    """How many events were sent here; runs of earlier tests send some, too."""
    return sum(item["source"] == "inngest" for item in client.get("/v1/events?limit=200").json()["items"])


def _seed(milliseconds: int = 1_700_000_000_000, chance: bytes = b"abcdef\xff\xff\xff\xfe") -> str:
    return f"{milliseconds},{base64.b64encode(chance).decode()}"


def test_one_event_and_arrays_are_answered_with_bare_ids_in_order(client):
    (one,) = _sent(client, GOOD)
    several = _sent(client, [{"name": "a", "data": {"n": 1}}, GOOD, {"name": "b"}])
    assert _sent(client, []) == []
    assert all(str(ULID.from_str(id)) == id for id in (one, *several))
    assert [_event(client, id)["name"] for id in several] == ["a", "order.placed", "b"]
    assert len(_event(client, one)["runs"]) == 1
    assert _event(client, one)["source"] == "inngest"
    assert _event(client, several[2])["data"] == {}


@pytest.mark.parametrize("media", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"])
def test_any_media_type_is_read_as_json(client, media):
    answer = client.post(f"/e/{KEY}", content=json.dumps(GOOD), headers={"Content-Type": media})
    assert answer.status_code == 200


def test_what_stands_beside_the_data_is_kept_or_ignored(client):
    event = {**GOOD, "v": "2026-01", "user": {"id": "u1"}, "ts": 1_700_000_000_123, "trace": {"x": 1}, "id": ""}
    (id,) = _sent(client, event, x_inngest_env="branch-1")
    stored = _event(client, id)
    assert stored["envelope"] == {"env": "branch-1", "user": {"id": "u1"}, "v": "2026-01"}
    assert (stored["ts"], stored["client_id"]) == ("2023-11-14T22:13:20.123000Z", None)
    (bare,) = _sent(client, {**GOOD, "ts": 0, "data": {"order_id": "o"}, "user": None, "id": None})
    assert _event(client, bare)["envelope"] is None
    assert _event(client, bare)["ts"] > stored["received_at"], "0 is no time: it is now"


def test_a_seed_gives_the_ids_and_a_repetition_stores_nothing(client):
    events = [{"name": "seeded", "data": {"n": n}} for n in range(3)]
    before = _count(client)
    ids = _sent(client, events, x_inngest_event_id_seed=_seed())
    chances = [b"abcdef\xff\xff\xff\xff", b"abcdef\0\0\0\0", b"abcdef\0\0\0\1"]
    assert [ULID.from_str(id).bytes for id in ids] == [(1_700_000_000_000).to_bytes(6) + chance for chance in chances]
    assert _sent(client, events, x_inngest_event_id_seed=_seed()) == ids
    assert _sent(client, [{"name": "seeded", "data": {"other": True}}], x_inngest_event_id_seed=_seed()) == ids[:1]
    assert _event(client, ids[0])["data"] == {"n": 0}
    assert _count(client) == before + 3


def test_a_repetition_starts_no_second_run(client):
    events = [{"name": "order.placed", "data": {"order_id": f"seed-{n}"}, "id": f"seed-{n}"} for n in (1, 1, 2)]
    seed = _seed(chance=b"0123456789")
    ids = _sent(client, events, x_inngest_event_id_seed=seed)
    runs = [_event(client, id)["runs"] for id in ids]
    assert [len(started) for started in runs] == [1, 0, 1]
    assert _sent(client, events, x_inngest_event_id_seed=seed) == ids
    assert [_event(client, id)["runs"] for id in ids] == runs


@pytest.mark.parametrize("seed", ["x", "1", "1,", "1,!!", "-1,MDEyMzQ1Njc4OQ==", f"{2**48},MDEyMzQ1Njc4OQ==", "1,MDEy", "1" * 99])
def test_a_seed_that_is_none_is_400(client, seed):
    assert "x-inngest-event-id-seed" in _refused(
        client.post(f"/e/{KEY}", json=GOOD, headers={"x-inngest-event-id-seed": seed}), 400
    )


@pytest.mark.feature(22)
def test_an_id_starts_once_in_a_day_and_is_never_a_conflict(client):
    first = {"name": "order.placed", "data": {"order_id": "once"}, "id": "mine"}
    (one,) = _sent(client, first)
    (two,) = _sent(client, {**first, "data": {"order_id": "other"}})
    assert two != one
    assert [len(_event(client, id)["runs"]) for id in (one, two)] == [1, 0]
    assert one in _event(client, two)["reason"]
    assert _event(client, two)["client_id"] == "mine"
    assert len(_event(client, _sent(client, {**first, "id": "mine-2"})[0])["runs"]) == 1


def test_posters_at_one_moment_start_one_run_for_one_id(client):
    event = {"name": "order.placed", "data": {"order_id": "race"}, "id": "race"}
    with ThreadPoolExecutor(8) as posters:
        ids = [id for (id,) in posters.map(lambda _: _sent(client, event), range(16))]
        same = {tuple(answered) for answered in posters.map(lambda _: _seeded(client), range(16))}
    assert len(set(ids)) == 16
    assert sorted(len(_event(client, id)["runs"]) for id in ids) == [0] * 15 + [1]
    ((one, other),) = same
    assert [len(_event(client, id)["runs"]) for id in (one, other)] == [1, 1]


def _seeded(client) -> list[str]:
    return _sent(client, [GOOD, GOOD], x_inngest_event_id_seed=_seed(chance=b"atonemomen"))


@pytest.mark.feature(10, 22)
def test_data_that_does_not_fit_is_stored_with_the_reason(client):
    (bad, good) = _sent(client, [{"name": "order.placed", "data": {"order_id": 7}, "id": "fit"}, {**GOOD, "id": "fit"}])
    stored = _event(client, bad)
    assert (stored["status"], stored["data"], stored["runs"]) == ("invalid", {"order_id": 7}, [])
    assert "/data/order_id: Input should be a valid string" in stored["reason"]
    assert len(_event(client, good)["runs"]) == 1
    listed = client.get("/v1/events?status=invalid&name=order.placed").json()["items"]
    assert bad in [item["id"].removeprefix("evt_") for item in listed]


@pytest.mark.parametrize(
    ("event", "pointer", "reason"),
    [
        ({"name": ""}, "/name", "String should have at least 1 character"),
        ({"data": {}}, "/name", "Field required"),
        ({"name": "inngest/function.failed"}, "/name", "Inngest's own"),
        ({"name": "x" * 201}, "/name", "String should have at most 200 characters"),
        ({"name": "x", "data": [1]}, "/data", "an object"),
        ({"name": "x", "data": "text"}, "/data", "an object"),
        ({"name": "x", "ts": 315_532_799_999}, "/ts", "from 1980 on"),
        ({"name": "x", "ts": 10**18}, "/ts", "from 1980 on"),
        ({"name": "x", "ts": "2026-01-01"}, "/ts", "valid integer"),
        ({"name": "x", "ts": True}, "/ts", "valid integer"),
        ({"name": "x", "id": 7}, "/id", "valid string"),
        ({"name": "x", "id": "x" * 201}, "/id", "String should have at most 200 characters"),
        ("text", "", "an object"),
    ],
)
def test_an_event_that_is_none_is_400_and_nothing_is_stored(client, event, pointer, reason):
    before = _count(client)
    for body, place in ((event, pointer), ([GOOD, event], f"/1{pointer}")):
        error = _refused(client.post(f"/e/{KEY}", json=body), 400)
        assert error.startswith(f"nothing was stored: {place or '/'}: ")
        assert reason in error
    assert _count(client) == before


@pytest.mark.parametrize("what", BROKEN)
def test_unacceptable_json_is_400(client, what):
    before = _count(client)
    assert "JSON" in _refused(client.post(f"/e/{KEY}", content=BROKEN[what]), 400)
    assert _count(client) == before


def test_limits_are_413_and_nothing_is_stored(client):
    before = _count(client)
    assert "5,001 events" in _refused(client.post(f"/e/{KEY}", json=[{"name": "n"}] * 5001), 413)
    assert "512,000" in _refused(client.post(f"/e/{KEY}", json=[GOOD, {"name": "x", "data": {"a": "x" * 520_000}}]), 413)
    _refused(client.post(f"/e/{KEY}", json={"name": "x", "user": {"a": "x" * 520_000}}), 413)
    _refused(client.post(f"/e/{KEY}", json={"name": "x", "data": {"a": "x" * 700_000}}), 413)
    assert _count(client) == before


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_405_in_json(client, method):
    answer = client.request(method, f"/e/{KEY}")
    _refused(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_every_refusal_is_json_for_the_sdks(client):
    _refused(client.post(f"/e/{KEY}/more", json=GOOD), 404)
    _refused(client.post(f"/e/{KEY}", json=GOOD, headers={"Host": "evil.example"}), 421)
    _refused(client.post(f"/e/{KEY}", json=GOOD, headers={"Origin": "https://evil.example"}), 403)
    _refused(client.post(f"/e/{KEY}", json=GOOD, headers={"x-inngest-env": "a\tb"}), 400)
    _refused(client.post("/e/%00", json=GOOD), 400)


def test_a_page_of_a_configured_origin_may_send_and_others_may_not(client):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-inngest-sdk"}
    preflight = client.options(f"/e/{KEY}", headers={"Origin": PAGE, **asks})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert preflight.headers["access-control-allow-headers"] == "*"
    sent = client.post(f"/e/{KEY}", json=GOOD, headers={"Origin": PAGE})
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (200, PAGE)
    broken = client.post(f"/e/{KEY}", content=b"{", headers={"Origin": PAGE})
    assert (broken.status_code, broken.headers["access-control-allow-origin"]) == (400, PAGE)
    foreign = client.options(f"/e/{KEY}", headers={"Origin": "https://evil.example", **asks})
    assert foreign.status_code == 405
    assert "access-control-allow-origin" not in foreign.headers
    elsewhere = client.options("/v1/events", headers={"Origin": PAGE, **asks})
    assert "access-control-allow-origin" not in elsewhere.headers
    assert client.post("/v1/events", json=GOOD, headers={"Origin": PAGE}).status_code == 403


def test_keys_are_asked_for_once_there_are_any(tmp_path):
    secrets = make_keys(tmp_path, {"shop": ("event:write",), "reader": ("read",), "old": ("admin",)}, revoked=("old",))
    with live(tmp_path) as client:
        assert client.post(f"/e/{secrets['shop']}", json=GOOD).status_code == 200
        assert _refused(client.post(f"/e/{secrets['reader']}", json=GOOD), 403).startswith("the key may not do this")
        for key in (secrets["old"], "fg_unknown", KEY):
            assert key not in _refused(client.post(f"/e/{key}", json=GOOD), 401)


def test_no_log_shows_an_event_key(caplog: pytest.LogCaptureFixture):
    assert without_key("/e/secret?x=1 /e/other HTTP/1.1") == "/e/***?x=1 /e/*** HTTP/1.1"
    uvicorn.Config("app:app")  # sets up the loggers, as the start of a server does
    logger = logging.getLogger("uvicorn.access")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "uvicorn.access"):
            logger.info('%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "POST", "/e/secret", "1.1", 200)
            logger.info("%d of %s", 1, "/v1/events")
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages == ['127.0.0.1:5 - "POST /e/*** HTTP/1.1" 200', "1 of /v1/events"]


def test_a_failure_that_nobody_foresaw_is_json_and_hides_the_key(tmp_path, monkeypatch, caplog):
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is on fire")

    with live(tmp_path) as client:
        monkeypatch.setattr("flowgraph_runtime.intake.Intake.send", broken)
        answer = httpx2.post(f"{str(client.base_url).rstrip('/')}/e/fg_secret", json=GOOD)
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal server error", "status": 500}
    assert "/e/***" in caplog.text
    assert "fg_secret" not in caplog.text
