"""Several triggers, base classes as wildcards over several modules, and `where=`, on a real engine."""

from __future__ import annotations

from functools import cache

import pytest

from flowgraph_compiler import Compilation
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.report import text as report_text
from flowgraph_compiler.source import from_text
from flowgraph_runtime.api.workflows import workflow_view
from flowgraph_runtime.registry import Registry
from tests.integration.harness import serving

BASE = """
from flowgraph import Event

class Parcel(Event):
    "Any news of a parcel; has no name of its own."
    id: str

class Sent(Parcel, name="parcel.sent"):
    weight: int = 1
"""
FLOWS = """
from flowgraph import Concurrency, Event, wait_for, workflow
from triggered_base import Parcel, Sent

class Weighed(Event, name="weighed"):
    id: str
    weight: int

@workflow(on=Parcel)
async def audit(event: Parcel) -> str:
    return f"{event.meta.name} {event.id}"

@workflow(on=(Sent, Weighed, Parcel), where=lambda e: e.weight > 10)
async def heavy(event: Parcel | Weighed) -> str:
    if isinstance(event, Sent):
        return f"sent {event.weight}"
    return "weighed" if isinstance(event, Weighed) else "other"

@workflow(retries=1, concurrency=Concurrency(3, key=lambda e: e.id), on=Sent)
async def limited(event: Sent) -> None: ...

@workflow
async def track(id: str) -> list[str]:
    seen: list[str] = []
    for _ in range(2):
        news = await wait_for(Parcel, where=lambda p: p.id == id, timeout="1h")
        seen.append("none" if news is None else news.meta.name)
    return seen
"""
MORE = """
from triggered_base import Parcel

class Lost(Parcel, name="parcel.lost"):
    reason: str
    weight: int = 100
"""


@cache
def parcels() -> Compilation:
    """Three modules: nothing but the base is common to the flows and to the last one."""
    sources = [from_text(text, name) for name, text in (("triggered_base", BASE), ("triggered", FLOWS), ("triggered_more", MORE))]
    compilation = compile_application(sources)
    assert compilation.ok, report_text(compilation.diagnostics)
    return compilation


POSTS = [
    ("parcel.sent", {"weight": 11}, {"audit": "parcel.sent p", "heavy": "sent 11", "limited": None}),
    ("parcel.sent", {"weight": 10}, {"audit": "parcel.sent p", "limited": None}),
    ("weighed", {"weight": 50}, {"heavy": "weighed"}),
    ("weighed", {"weight": 5}, {}),
    ("parcel.lost", {"reason": "rain"}, {"audit": "parcel.lost p", "heavy": "other"}),
    ("Parcel", {}, {"audit": "Parcel p"}),
]


@pytest.mark.feature(9)
def test_each_workflow_that_an_event_fits_has_one_run(run, url):
    async def scenario():
        async with serving(parcels(), url) as served:
            posts = [await served.send(name, id="p", **data) for name, data, _ in POSTS]
            return [[((await served.row(id)).workflow, await served.outcome(id)) for id in ids] for ids in posts]

    found = run(scenario())
    assert [dict(started) for started in found] == [
        {workflow: ("completed", result) for workflow, result in started.items()} for _, _, started in POSTS
    ]
    assert [len(started) for started in found] == [len(started) for _, _, started in POSTS]


def test_a_wait_for_a_base_class_hears_the_classes_of_other_modules(run, each_url):
    async def scenario():
        async with serving(parcels(), each_url, skip_time=False) as served:
            run_id = await served.start("track", id="p")
            await served.reaches(run_id, "waiting")
            await served.send("parcel.lost", id="q", reason="")
            await served.send("weighed", id="p", weight=1)
            await served.send("parcel.lost", id="p", reason="")
            await served.send("Parcel", id="p")
            return await served.outcome(run_id)

    assert run(scenario()) == ("completed", ["parcel.lost", "Parcel"])


def test_a_run_by_hand_says_which_of_its_events_it_is_given(run, url):
    async def scenario():
        async with serving(parcels(), url) as served:
            given = [
                ("weighed", {"id": "p", "weight": 1}),
                ("parcel.sent", {"id": "p"}),
                ("parcel.lost", {"id": "p", "reason": ""}),
            ]
            ids = [await served.start("heavy", name=name, data=data) for name, data in given]
            return [await served.outcome(id) for id in ids]

    assert run(scenario()) == [("completed", "weighed"), ("completed", "sent 1"), ("completed", "other")]


def test_the_list_of_workflows_shows_every_name_and_option_as_written():
    registry = Registry.from_compilation(parcels())
    every = ["Parcel", "parcel.lost", "parcel.sent"]
    audit, heavy, limited, track = (workflow_view(registry, name, {}) for name in ("audit", "heavy", "limited", "track"))
    assert audit.triggers == [{"kind": "event", "events": every, "where": False}]
    names = [["parcel.sent"], ["weighed"], every]
    assert heavy.triggers == [{"kind": "event", "events": each, "where": True} for each in names]
    assert track.triggers == []
    schema = heavy.model_dump(by_alias=True)["schema"]
    assert [each["title"] for each in schema["anyOf"]] == ["Sent", "Weighed", "Parcel", "Lost"]
    assert (heavy.options, limited.options) == ({}, {"retries": 1, "concurrency": "Concurrency(3, key=lambda e: e.id)"})
