"""CloudEvents at `/v1/events`: structured, batched and binary, as the library `cloudevents` writes them and by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.runtime.live import live
from tests.runtime.test_api_problems import BROKEN, _problem, _stored

TIME = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
ONE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with live(tmp_path_factory.mktemp("cloudevents")) as client:
        yield client


def _attributes(id: str, **more: object) -> dict[str, object]:
    return {"specversion": "1.0", "type": "order.placed", "source": "/shop/ä 1", "id": id, **more}


@pytest.mark.parametrize("write", [to_structured_event, to_binary_event])
def test_what_the_library_writes_starts_a_run(client, write):
    given = _attributes(write.__name__, time=TIME, subject='größe "%41"', datacontenttype="application/json", tenant="t-1")
    message = write(CloudEvent(given, {"order_id": "ce-ö"}))
    answers = [client.post("/v1/events", content=message.body, headers=message.headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    (first,), (again,) = (answer.json()["events"] for answer in answers)
    assert (again["id"], again["runs"]) == (first["id"], first["runs"])
    assert again["reason"] == "stored before under this id"
    stored = client.get(f"/v1/events/{first['id']}").json()
    assert (stored["name"], stored["source"], stored["client_id"]) == ("order.placed", "/shop/ä 1", write.__name__)
    assert (stored["data"], stored["ts"]) == ({"order_id": "ce-ö"}, "2026-03-01T09:00:00.000000Z")
    assert stored["envelope"].items() >= {"subject": 'größe "%41"', "tenant": "t-1"}.items()
    assert stored["runs"] == first["runs"]
    assert len(first["runs"]) == 1


def test_a_batch_is_all_or_nothing(client):
    good, bad = _attributes("b-1", data={"order_id": "x"}), _attributes("b-2", data={"order_id": 1})
    before = _stored(client)
    answer = client.post("/v1/events", json=[good, bad], headers={"Content-Type": BATCH})
    assert [error["pointer"] for error in _problem(answer, 422)["errors"]] == ["/1/data/order_id"]
    assert _stored(client) == before
    events = client.post("/v1/events", json=[good, _attributes("b-3", type="other")], headers={"Content-Type": BATCH}).json()
    assert [event["name"] for event in events["events"]] == ["order.placed", "other"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"specversion": "0.3"}, "/specversion"),
        ({"id": None}, "/id"),
        ({"source": ""}, "/source"),
        ({"type": ""}, "/type"),
        ({"time": "yesterday"}, "/time"),
        ({"time": "2026-03-01T09:00:00"}, "/time"),
        ({"data": [1]}, "/data"),
        ({"data_base64": "AAAA"}, "/data_base64"),
        ({"data": {}}, "/data/order_id"),
    ],
)
def test_faults_have_pointers_and_store_nothing(client, change, pointer):
    before = _stored(client)
    event = _attributes("fault", data={"order_id": "x"}) | change
    answer = client.post("/v1/events", json=event, headers={"Content-Type": f"{ONE}; charset=utf-8"})
    assert [error["pointer"] for error in _problem(answer, 422)["errors"]] == [pointer]
    assert _stored(client) == before


@pytest.mark.parametrize("media", [ONE, BATCH, "application/json"])
@pytest.mark.parametrize("what", BROKEN)
def test_unacceptable_json_is_400_in_every_mode(client, what, media):
    binary = {f"ce-{name}": str(value) for name, value in _attributes("x", source="s").items()}
    headers = binary if media == "application/json" else {}
    answer = client.post("/v1/events", content=BROKEN[what], headers={"Content-Type": media, **headers})
    if what == "empty" and headers:
        _problem(answer, 422)  # an event without data is one; this class needs some
    else:
        _problem(answer, 400)


def test_headers_that_are_no_attributes_are_refused(client):
    base = {"Content-Type": "application/json", **{f"ce-{name}": str(v) for name, v in _attributes("h", source="s").items()}}
    for headers in ({**base, "ce-subject": "%ff"}, {**base, "ce-subject": "%00"}, [*base.items(), ("CE-Type", "x")]):
        _problem(client.post("/v1/events", json={"order_id": "x"}, headers=headers), 400)
    _problem(client.post("/v1/events", content=b"<x/>", headers=base | {"Content-Type": "text/xml"}), 415)
