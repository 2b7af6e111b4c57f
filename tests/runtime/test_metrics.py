"""`GET /metrics`: what Prometheus reads of a server that has worked."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from flowgraph_runtime.client import Client
from flowgraph_runtime.meter import Distribution, Meter
from tests.runtime.live import live, make_keys


@pytest.fixture
def http(tmp_path, stage) -> Iterator[httpx2.Client]:
    with live(tmp_path) as http:
        yield http


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_runs_attempts_events_and_commits_are_counted(http, stage):
    stage.fail["charge"] = 1
    client = Client(str(http.base_url))
    run_id = client.send("order.placed", {"order_id": "o1"}).runs[0]
    client.send("nobody.knows", {})
    assert client.run(run_id, wait="30s").status == "completed"
    answer = http.get("/metrics")
    client.close()
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = samples(answer.text)
    assert found[key("flowgraph_run_transitions_total", workflow="fulfil", status="completed")] == 1
    assert found[key("flowgraph_step_attempts_total", step="charge", outcome="failed")] == 1
    assert found[key("flowgraph_step_attempts_total", step="charge", outcome="completed")] == 1
    assert found[key("flowgraph_step_duration_seconds_count", step="charge")] == 2
    assert found[key("flowgraph_step_queue_delay_seconds_bucket", step="charge", le="+Inf")] == 2
    assert found[key("flowgraph_events_received_total", status="stored")] >= 1
    assert found[key("flowgraph_events_received_total", status="unknown")] == 1
    assert found[key("flowgraph_commit_transitions_count")] == found[key("flowgraph_commit_seconds_count")] > 0
    assert found[key("flowgraph_inbox_backlog")] == 0
    assert found[key("flowgraph_timer_lateness_seconds")] >= 0
    assert key("flowgraph_live_runs") in found
    assert found[key("process_cpu_seconds_total")] > 0


def test_it_needs_a_key_that_may_read(tmp_path, stage):
    keys = make_keys(tmp_path, {"reader": ("read",), "writer": ("event:write",)})
    with live(tmp_path) as http:
        answers = [http.get("/metrics", headers={"Authorization": f"Bearer {keys[name]}"}) for name in keys]
        assert [answer.status_code for answer in (*answers, http.get("/metrics"))] == [200, 403, 401]


def test_names_that_the_served_code_does_not_have_share_one_label():
    meter = Meter({"served"}, {"step"})
    for number in range(1000):
        meter.attempted(f"gone_{number}", False, 0, 1, 2)
        meter.moved(f"old_{number}", "completed")
    assert dict(meter.attempts) == {("other", "failed"): 1000}
    assert dict(meter.moves) == {("other", "completed"): 1000}


def test_a_value_on_a_bound_is_below_it():
    found = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 3.0):
        found.add(value)
    assert (found.counts, found.total) == ([2, 1, 1], 6.0)
