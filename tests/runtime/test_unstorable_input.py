"""Input that fits its class but cannot be stored is refused where it comes in, with a pointer, and nothing is stored."""

from __future__ import annotations

import pytest

from flowgraph_runtime.app import create_app
from flowgraph_runtime.settings import Settings
from tests.runtime import sized_flows
from tests.runtime.live import serving
from tests.runtime.server import free_port
from tests.runtime.test_api_problems import _problem

SMALL, LARGE = {"width": 10}, {"width": 500}


def load(*boxes: dict[str, int]) -> dict[str, object]:
    return {"theLoad": {"loadBoxes": list(boxes)}}


def sent(*boxes: dict[str, int]) -> dict[str, object]:
    return {"name": "load.sent", "data": load(*boxes)}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    port = free_port()
    db = f"sqlite:///{tmp_path_factory.mktemp('sized')}/live.db"
    with serving(create_app(sized_flows, settings=Settings(db=db, port=port, poll_interval=0.05, grace=0.5)), port) as client:
        yield client


def _rows(client) -> int:
    return sum(len(client.get(path).json()["items"]) for path in ("/v1/events?limit=200", "/v1/runs?limit=200"))


CLOUD = {"specversion": "1.0", "type": "load.sent", "source": "/test", "id": "c1"}


@pytest.mark.parametrize(
    ("path", "body", "kind", "pointer"),
    [
        ("/v1/events", sent(SMALL, LARGE), "application/json", "/data/theLoad/loadBoxes/1"),
        ("/v1/events", [sent(SMALL), sent(LARGE)], "application/json", "/1/data/theLoad/loadBoxes/0"),
        ("/v1/events", {**CLOUD, "data": load(LARGE)}, "application/cloudevents+json", "/data/theLoad/loadBoxes/0"),
        ("/v1/events", [{**CLOUD, "data": load(LARGE)}], "application/cloudevents-batch+json", "/0/data/theLoad/loadBoxes/0"),
        ("/v1/workflows/receive/runs", {"input": load(LARGE)}, "application/json", "/theLoad/loadBoxes/0"),
        ("/v1/workflows/receive/runs", {"input": sent(LARGE)}, "application/json", "/data/theLoad/loadBoxes/0"),
        ("/v1/workflows/stack/runs", {"input": {"first": LARGE, "others": {}}}, "application/json", "/first"),
        (
            "/v1/workflows/stack/runs",
            {"input": {"first": SMALL, "others": {"a/b": LARGE}}},
            "application/json",
            "/others/a~1b",
        ),
    ],
)
def test_it_is_422_with_a_pointer_and_stores_nothing(client, path, body, kind, pointer):
    before = _rows(client)
    problem = _problem(client.post(path, json=body, headers={"Content-Type": kind}), 422)
    (fault,) = problem["errors"]
    assert fault["pointer"] == pointer
    assert "the attribute 'oversize', which is no field" in str(fault)
    assert _rows(client) == before


def test_an_sdk_is_never_refused_so_the_event_is_stored_as_invalid(client):
    answer = client.post("/e/key", json=[sent(SMALL), sent(LARGE)])
    assert answer.status_code == 200
    fits, does_not = (client.get(f"/v1/events/evt_{id}").json() for id in answer.json()["ids"])
    assert fits["status"] != does_not["status"] == "invalid"
    assert fits["runs"]
    assert "/data/theLoad/loadBoxes/0: dataclass 'Box' has the attribute 'oversize'" in does_not["reason"]
    assert does_not["runs"] == []


def test_what_can_be_stored_of_the_same_types_runs(client):
    assert client.post("/v1/events", json=sent(SMALL)).json()["events"][0]["runs"]
    assert client.post("/v1/workflows/stack/runs", json={"input": {"first": SMALL, "others": {"a": SMALL}}}).status_code == 201
