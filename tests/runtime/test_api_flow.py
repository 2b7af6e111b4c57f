"""The interface used as it is meant to be: events, starts, idempotency, lists, steps, diagrams, the document."""

from __future__ import annotations

import re

import pytest

from flowgraph_runtime.api.table import ENDPOINTS
from flowgraph_runtime.client import ApiError, AsyncClient, Client
from tests.runtime.live import live


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with live(tmp_path_factory.mktemp("shop")) as http:
        yield http


@pytest.fixture
def client(shop, stage):
    with Client(str(shop.base_url)) as client:
        yield client


def _ended(client: Client, run_id: str):
    with client.stream(run_id) as changes:
        for _ in changes:
            pass
    return client.run(run_id)


def test_an_event_starts_runs_and_both_know_each_other(client):
    sent = client.send("order.placed", {"order_id": "a1", "amount": 3}, ts="2026-01-01T10:00:00+01:00")
    run = _ended(client, sent.runs[0])
    assert (run.workflow, run.event_id, run.input) == ("fulfil", sent.id, {"order_id": "a1", "amount": 3})
    assert run.result == {"order_id": "a1", "reference": "pay-res-a1-3"}
    event = client.event(sent.id)
    assert (event.runs, event.ts, event.data) == (sent.runs, "2026-01-01T09:00:00.000000Z", {"order_id": "a1", "amount": 3})
    shipped = client.events(name="order.shipped").items[0]
    assert shipped.source == run.id


def test_a_repeated_event_id_is_stored_once(client):
    first = client.send("order.placed", {"order_id": "b1"}, id="sender-1")
    again = client.send("order.placed", {"order_id": "b1"}, id="sender-1")
    assert (again.id, again.runs) == (first.id, first.runs)
    assert again.reason == "stored before under this id"
    with pytest.raises(ApiError) as refused:
        client.send("order.placed", {"order_id": "b2"}, id="sender-1")
    assert refused.value.status == 409


def test_events_are_listed_by_name_status_and_time(client):
    ids = [client.send(name, {"order_id": name}).id for name in ("listed.a", "listed.b", "listed.a")]
    assert [event.id for event in client.events(name="listed.a", status="unknown").items] == [ids[2], ids[0]]
    page = client.events(name="listed.a", limit=1)
    assert [event.id for event in client.events(name="listed.a", limit=1, cursor=page.next_cursor).items] == [ids[0]]
    assert client.events(name="listed.a", status="stored").items == client.events(status="invalid").items == []
    received = client.event(ids[1]).received_at
    assert {event.id for event in client.events(since=received).items} >= set(ids[1:])
    assert ids[0] not in {event.id for event in client.events(since=client.event(ids[2]).received_at).items}
    with pytest.raises(ApiError, match="'status' is one of stored, unknown, invalid"):
        client.events(status="lost")


def test_the_asynchronous_client_reads_events_too(client, run):
    sent = client.send("order.placed", {"order_id": "async"})

    async def read() -> None:
        async with AsyncClient(client.url) as there:
            assert (await there.event(sent.id)).runs == sent.runs
            assert sent.id in [event.id for event in (await there.events(name="order.placed", status="stored")).items]

    run(read())


@pytest.mark.feature(10)
def test_an_unknown_event_is_kept_and_visible(client):
    sent = client.send("nobody.knows", {"x": 1})
    assert sent.runs == []
    assert "no event of this name" in sent.reason
    assert client.event(sent.id).status == "unknown"


def test_an_idempotency_key_starts_one_run(shop, client, stage):
    answers = [
        shop.post("/v1/workflows/thank/runs", json={"input": {"order_id": "k"}}, headers={"Idempotency-Key": "key-1"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert answers[0].headers["location"] == f"/v1/runs/{answers[0].json()['id']}"
    with pytest.raises(ApiError) as refused:
        client.start("thank", {"order_id": "other"}, idempotency_key="key-1")
    assert refused.value.status == 409
    run_id = answers[0].json()["id"]
    _ended(client, run_id)
    assert [name for name, key, _ in stage.calls if run_id in key] == ["tell thanks"]


def test_runs_are_paged_and_filtered(client):
    ids = [client.start("thank", {"order_id": str(number)}, wait="5s").id for number in range(5)]
    first = client.runs(workflow="thank", limit=2)
    assert [run.id for run in first.items] == ids[:2:-1]
    second = client.runs(workflow="thank", limit=2, cursor=first.next_cursor)
    assert [run.id for run in second.items] == ids[2:0:-1]
    assert client.runs(workflow="thank", status="failed").items == []
    assert client.runs(workflow="nobody").items == []


def test_steps_show_what_is_done_what_runs_and_what_is_pending(client, stage):
    stage.fail["charge"] = 1
    run_id = client.send("order.placed", {"order_id": "s1"}).runs[0]
    before = {step.id: step for step in client.steps(run_id)}
    assert list(before) == [
        "fulfil/reserve",
        "fulfil/charge",
        "fulfil/parallel",
        "fulfil/pack",
        "fulfil/label",
        "fulfil/send.Shipped",
        "$on_failure/on_failed",
    ]
    assert before["fulfil/pack"].status == "pending"
    assert before["fulfil/pack"].parent == "fulfil/parallel"
    _ended(client, run_id)
    after = {step.id: step for step in client.steps(run_id)}
    statuses = {name: step.status for name, step in after.items()}
    assert statuses.pop("$on_failure/on_failed") == "skipped"
    assert set(statuses.values()) == {"completed"}
    (charge,) = after["fulfil/charge"].instances
    assert [attempt.status for attempt in charge.attempts] == ["failed", "completed"]
    assert (charge.attempts[0].error.type, charge.output) == ("ConnectionError", "pay-res-s1-1")
    assert all(attempt.started_at and attempt.ended_at for attempt in charge.attempts)


def test_a_failed_run_says_which_step_and_why(client, stage):
    stage.fail["charge"] = 9
    run = _ended(client, client.send("order.placed", {"order_id": "f1"}).runs[0])
    assert run.status == "failed"
    assert (run.error.type, run.error.message, run.error.step, run.error.attempt) == (
        "ConnectionError",
        "charge does not answer",
        "charge",
        3,
    )
    statuses = {step.id: step.status for step in client.steps(run.id)}
    assert (statuses["fulfil/charge"], statuses["fulfil/pack"], statuses["$on_failure/on_failed"]) == (
        "failed",
        "skipped",
        "completed",
    )


def test_the_journal_is_paged(client):
    run = _ended(client, client.send("order.placed", {"order_id": "j1"}).runs[0])
    first = client.journal(run.id, limit=2)
    second = client.journal(run.id, limit=50, cursor=first.next_cursor)
    assert [entry.seq for entry in (*first.items, *second.items)] == [1, 2, 3, 4]
    assert (first.items[0].kind, first.items[0].data) == ("done", "res-j1")
    assert second.items[-1].kind == "done"


@pytest.mark.feature(2)
def test_a_wait_is_shown_as_waiting_and_cancel_answers_the_truth(client):
    run = client.start("await_payment", {"order_id": "w1"}, wait="200ms")
    assert client.run(run.id).status == "waiting"
    assert client.cancel(run.id, "changed my mind").status == "cancelling"
    assert _ended(client, run.id).status == "cancelled"
    assert client.cancel(run.id).status == "already cancelled"
    (wait, _) = client.steps(run.id)
    assert wait.status == "cancelled"
    with pytest.raises(ApiError, match="404"):
        client.cancel("run_none")


def test_a_failed_run_is_retried_from_its_failed_step(client, stage):
    stage.fail["pack"] = 1
    run_id = client.send("order.placed", {"order_id": "o5"}).runs[0]
    failed = _ended(client, run_id)
    assert (failed.status, failed.error and failed.error.step) == ("failed", "pack")
    again = client.retry(run_id)
    assert (again.id, again.status, again.error, again.ended_at) == (run_id, "running", None, None)
    assert _ended(client, run_id).status == "completed"
    assert [name for name, _, _ in stage.calls].count("charge") == 1
    with pytest.raises(ApiError, match=r"409 .* is completed; only a failed run can be retried"):
        client.retry(run_id)
    with pytest.raises(ApiError, match="404"):
        client.retry("run_none")


@pytest.mark.feature(11)
def test_workflows_have_schema_triggers_and_options(client):
    by_name = {workflow.name: workflow for workflow in client.workflows()}
    fulfil = by_name["fulfil"]
    assert fulfil.triggers == [{"kind": "event", "events": ["order.placed"], "where": False}]
    assert fulfil.input_schema["required"] == ["order_id"]
    assert fulfil.options == {"on_failure": "on_failed"}
    assert set(by_name["await_payment"].input_schema["properties"]) == {"order_id", "patience"}


def test_a_workflow_shows_its_schedules(shop, client):
    shown = shop.get("/v1/workflows/yearly").json()
    trigger = {
        "kind": "cron",
        "cron": "0 9 1 1 *",
        "zone": "Europe/Paris",
        "catch_up": "latest",
        "overlap": "skip",
        "jitter": None,
    }
    assert shown["triggers"] == [trigger]
    assert shown["schema"] == {"type": "object", "additionalProperties": False}
    (schedule,) = shown["schedules"]
    next_at = schedule.pop("next_at")
    assert next_at.endswith("-01-01T08:00:00.000000Z")
    assert schedule == {
        "expression": "0 9 1 1 *",
        "tz": "Europe/Paris",
        "words": "at 09:00 on January 1, Europe/Paris",
        "catch_up": "latest",
        "overlap": "skip",
        "jitter": 0.0,
        "due_at": next_at,
        "last_at": None,
        "skipped": [],
    }
    assert shop.get("/v1/workflows/fulfil").json()["schedules"] == []
    refused = shop.post("/v1/workflows/yearly/runs", json={"input": {"at": "now"}})
    assert (refused.status_code, refused.json()["errors"][0]["detail"]) == (422, "it takes no input: give {}")
    assert shop.post("/v1/workflows/yearly/runs", json={"input": {}}).status_code == 201


@pytest.mark.feature(12)
def test_machine_and_diagrams(shop, client):
    machine = shop.get("/v1/workflows/fulfil/machine")
    assert "fulfil/charge" in machine.text
    run = client.start("fulfil", {"order_id": "drawn", "amount": 1})
    for path in ("/v1/workflows/fulfil/diagram.svg", f"/v1/runs/{run.id}/diagram.svg"):
        picture = shop.get(path)
        assert picture.headers["content-type"] == "image/svg+xml"
        assert "<svg" in picture.text
        assert "charge" in picture.text


def test_the_document_describes_every_route(shop):
    document = shop.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    text = shop.get("/openapi.json").text
    names = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert names <= set(document["components"]["schemas"])
    assert {"RunOut", "ProblemOut", "StepOut", "EventIn"} <= set(document["components"]["schemas"])
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["x-scope"]
