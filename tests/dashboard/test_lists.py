"""Lists, search, event pages and buttons, without a browser."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from flowgraph_runtime.dashboard import events, runs
from flowgraph_runtime.records import EventRow, NewRun
from flowgraph_runtime.storage import keysets
from tests.dashboard.conftest import Site
from tests.dashboard.markup import Markup


def listed(page: Markup) -> list[str]:
    """The ids of the rows of a list, in order."""
    return [str(row["id"]).removeprefix("row-") for row in page.all("tr") if str(row.get("id")).startswith("row-")]


def linked(page: Markup, relation: str) -> str | None:
    """Where the link to the next or previous page leads."""
    return next((link["href"] for link in page.all("a") if link.get("rel") == relation), None)


async def _send(site: Site, name: str, data: dict, **more) -> dict:
    answer = await site.client.post("/v1/events", json={"name": name, "data": data, **more})
    sent: dict = answer.json()["events"][0]
    return sent


def test_runs_are_filtered_by_what_the_form_offers(visit):
    async def visitor(site: Site) -> None:
        event = await _send(site, "stay.booked", {"stay": "s1"})
        (booked,) = event["runs"]
        rests = [await site.start("rest", stay=f"s{n}") for n in range(2)]
        everything = [*rests[::-1], booked]
        for query, expected in (
            ("", everything),
            ("?workflow=rest", rests[::-1]),
            ("?workflow=&status=&event=&within=&from=&to=", everything),
            ("?status=queued&workflow=book", [booked]),
            ("?status=failed", []),
            ("?event=stay.booked", [booked]),
            ("?event=+stay.booked+", [booked]),
            (f"?event={event['id']}", [booked]),
            ("?event=nobody", []),
            ("?within=1h", everything),
            ("?from=2020-01-01T00:00&to=2021-01-01T00:00", []),
            ("?from=2020-01-01T00:00", everything),
            ("?workflow=gone&status=completed", []),
        ):
            page = await site.page(f"/runs{query}")
            assert listed(page) == expected, query
            assert ("No run fits" in page.text) is (expected == []), query
        chosen = await site.page("/runs?workflow=rest&status=queued&within=24h&event=x&from=2020-01-01T00:00")
        assert [option.get("value") for option in chosen.all("option") if "selected" in option] == [None, None, "24h"]
        assert {field["name"]: field["value"] for field in chosen.all("input") if field["name"] in ("event", "from", "to")} == {
            "event": "x",
            "from": "2020-01-01T00:00",
            "to": "",
        }

    visit(visitor, worker=False)


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("/runs?status=finished", "'status' is one of queued, running"),
        ("/runs?state=failed", "'state' is not a field of this page"),
        ("/runs?within=1y", "'within' is one of 15m"),
        ("/runs?from=yesterday", "a time such as 2026-03-01T09:00"),
        ("/runs?from=2026-01-02T00:00&to=2026-01-01T00:00", "'from' is a time before 'to'"),
        ("/runs?before=abc", "a cursor is what the link"),
        ("/runs?before=1-2", "belongs to another list"),
        ("/runs?after=1&event=stay.booked", "belongs to another list"),
        ("/runs?workflow=a%00b", "'workflow' has at most"),
        (f"/runs?event={'x' * 201}", "at most 200 characters"),
        ("/events?status=queued", "'status' is one of stored"),
        ("/events?name=a%0Ab", "'name' has at most"),
        ("/events?before=1&name=x", "belongs to another list"),
        ("/events?x=1", "it has name, status"),
        (f"/search?q={'x' * 201}", "at most 200 characters"),
    ],
)
def test_what_a_page_cannot_use_is_told(visit, query: str, hint: str):
    async def visitor(site: Site) -> None:
        page = await site.page(query, 400)
        assert hint in page.text
        assert any(section.get("role") == "alert" for section in page.all("section"))

    visit(visitor, worker=False)


def test_one_pages_through_runs_and_back(visit, monkeypatch):
    monkeypatch.setattr(runs, "PAGE", 2)

    async def visitor(site: Site) -> None:
        started = [await site.start("rest", stay=f"s{n}") for n in range(5)]
        page = await site.page("/runs?workflow=rest")
        assert linked(page, "prev") is None
        seen = [listed(page)]
        while (older := linked(page, "next")) is not None:
            page = await site.page(older)
            seen.append(listed(page))
        assert seen == [started[:2:-1], started[2:0:-1], started[:1]]
        assert "workflow=rest" in (linked(page, "prev") or "")
        while (newer := linked(page, "prev")) is not None:
            page = await site.page(newer)
            seen.append(listed(page))
        assert seen[3:] == [started[2:0:-1], started[:2:-1]]

    visit(visitor, worker=False)


def test_a_search_that_would_take_long_says_how_far_it_went(visit, monkeypatch):
    monkeypatch.setattr(keysets, "MOST", 1)
    monkeypatch.setattr(runs, "PAGE", 1)

    async def visitor(site: Site) -> None:
        await _send(site, "stay.booked", {"stay": "s"})
        for number in range(3):
            await site.start("rest", stay=f"s{number}")
        page = await site.page("/runs?from=2020-01-01T00:00&to=2100-01-01T00:00&event=stay.booked&status=failed")
        assert "No run fits" in page.text
        await _send(site, "stay.booked", {"stay": "s"})
        await _send(site, "stay.booked", {"stay": "s"})
        page = await site.page("/runs?event=stay.booked&status=failed")
        assert "No run fits so far" in page.text
        assert linked(page, "next") is not None

    visit(visitor, worker=False)


def test_events_are_listed_with_status_and_runs(visit, monkeypatch):
    monkeypatch.setattr(events, "PAGE", 2)

    async def visitor(site: Site) -> None:
        booked = await _send(site, "stay.booked", {"stay": "s1"})
        viewed = await _send(site, "page.viewed", {})
        page = await site.page("/events")
        assert listed(page) == [viewed["id"], booked["id"]]
        assert "1 started" in page.text
        for query, expected in (
            ("?name=stay.booked", [booked["id"]]),
            ("?status=unknown", [viewed["id"]]),
            ("?status=stored", [booked["id"]]),
            ("?status=invalid", []),
            ("?name=page.viewed&status=unknown", [viewed["id"]]),
            ("?name=nothing", []),
        ):
            page = await site.page(f"/events{query}")
            assert listed(page) == expected, query
            assert ("No event fits" in page.text) is (expected == []), query
        await _send(site, "page.viewed", {})
        page = await site.page("/events")
        assert [len(listed(page)), listed(await site.page(linked(page, "next") or ""))] == [2, [booked["id"]]]

    visit(visitor, worker=False)


def test_an_event_page_has_data_and_the_runs_it_started_or_woke(visit):
    async def visitor(site: Site) -> None:
        waiting = await site.start("await_payment", stay="s1")
        await site.reached(waiting, "waiting")
        booked = await _send(site, "stay.booked", {"stay": "s1"}, id="shop-7")
        paid = await _send(site, "stay.paid", {"stay": "s1"})
        await site.reached(waiting, "completed")
        page = await site.page(f"/events/{booked['id']}")
        assert listed(page) == booked["runs"]
        for text in ("stay.booked", "shop-7", '"stay": "s1"', "api", "No run has taken it"):
            assert text in page.text, text
        woke = await site.page(f"/events/{paid['id']}")
        assert listed(woke) == [waiting]
        run = await site.page(f"/runs/{booked['runs'][0]}")
        assert f"/events/{booked['id']}" in [link["href"] for link in run.all("a")]

    visit(visitor)


def test_an_event_that_starts_nothing_says_why(visit):
    async def visitor(site: Site) -> None:
        viewed = await _send(site, "page.viewed", {})
        page = await site.page(f"/events/{viewed['id']}")
        assert "No workflow listens to page.viewed" in page.text
        assert 'class Received(Event, name="page.viewed")' in page.text
        now = site.service.clock.now()
        bad = EventRow("evt_bad", "stay.booked", '{"stay": 1}', "null", now, now, status="invalid", reason="/stay: not a text")
        await site.service.store.ingest([bad], [])
        page = await site.page("/events/evt_bad")
        for text in ("invalid", "/stay: not a text", "starts nothing"):
            assert text in page.text, text
        assert "Event 'evt_none' not found" in (await site.page("/events/evt_none", 404)).text

    visit(visitor, worker=False)


def test_the_search_box_jumps(visit):
    async def visitor(site: Site) -> None:
        event = await _send(site, "stay.booked", {"stay": "s1"})
        (booked,) = event["runs"]
        other = await site.start("rest", stay="s")

        async def jump(text: str) -> str:
            answer = await site.client.get(f"/search?q={quote(text)}", headers={"accept": "text/html"})
            return answer.headers["location"] if answer.status_code == 303 else str(answer.status_code)

        assert await jump(booked) == f"/runs/{booked}"
        assert await jump(f"  {event['id']} ") == f"/events/{event['id']}"
        assert await jump(booked[:-2].lower()) in (f"/runs/{booked}", "200")
        assert await jump("rest") == "/workflows/rest"
        assert await jump("stay.booked") == "/events?name=stay.booked"
        page = await site.page(f"/search?q={booked[:12]}")
        assert listed(page) == [other, booked]
        both = await site.page(f"/search?q={booked[4:12]}")
        assert event["id"] in both.text
        assert other in both.text
        assert "Nothing begins with" in (await site.page("/search?q=run_7ZZ")).text
        assert "What to type" in (await site.page("/search")).text

    visit(visitor, worker=False)


def test_empty_pages_teach_what_to_type(visit):
    async def visitor(site: Site) -> None:
        for path in ("/", "/runs", "/events", "/workflows/book"):
            assert "flowgraph send" in (await site.page(path)).text, path
        assert "flowgraph send stay.booked" in (await site.page("/")).text
        assert "/v1/workflows/rest/runs" in (await site.page("/workflows/rest")).text

    visit(visitor, worker=False)


@pytest.mark.feature(19)
def test_the_first_page_shows_how_each_workflow_is_doing(visit):
    async def visitor(site: Site) -> None:
        for number in range(3):
            await site.ended("fail" if number == 0 else "echo", text=str(number))
        resting = await site.start("rest", stay="s")
        await site.reached(resting, "sleeping")
        page = await site.page("/")
        for text in ("1 of 1 failed", "2 of 2 fine", "nothing ended yet", "2/hr", "1/hr", "stay.booked"):
            assert text in page.text, text
        charts = [chart["aria-label"] or "" for chart in page.all("svg")]
        assert [chart.partition(": ")[2] for chart in charts] == ["2 completed", "1 failed", "1 sleeping"]
        assert "/runs?workflow=rest&status=sleeping" in [link["href"] for link in page.all("a")]

    visit(visitor)


def test_a_workflow_page_tells_how_it_is_set_up(visit):
    async def visitor(site: Site) -> None:
        page = await site.page("/workflows/book")
        fingerprint = site.service.registry.current["book"]
        for text in (
            "stay.booked",
            fingerprint,
            "stays.py:",
            "4 (default)",
            "exponential from 1s, times 2, at most 1h",
            '"stay"',
        ):
            assert text in page.text, text

    visit(visitor, worker=False)


@pytest.mark.feature(19)
def test_a_failed_run_shows_the_line_that_raised_and_the_line_that_called(visit):
    async def visitor(site: Site) -> None:
        page = await site.page(f"/runs/{await site.ended('fail', text='no')}")
        for text in ("fail_with failed", "raise NonRetriable(text)", "return await fail_with(text)", "Traceback"):
            assert text in page.text, text
        assert page.text.count("stays.py:") >= 3

    visit(visitor)


@pytest.mark.feature(19)
def test_a_timeline_tells_queue_runs_backoff_and_waits_apart(visit):
    async def visitor(site: Site) -> None:
        sent = await _send(site, "stay.booked", {"stay": "s1"})
        await site.reached(sent["runs"][0], "completed")
        page = await site.page(f"/runs/{sent['runs'][0]}")
        bars = [bar["class"] for bar in page.all("rect")]
        assert {"queue", "completed", "failed", "backoff", "span"} == set(bars)
        assert (bars.count("failed"), bars.count("backoff"), bars.count("completed")) == (1, 1, 4)
        words = [chart["aria-label"] or "" for chart in page.all("svg") if chart.get("aria-label")]
        (charge,) = [text for text in words if text.startswith("charge:")]
        assert [part for part in ("attempt 1 failed", "backoff 8", "attempt 2 completed") if part not in charge] == []

    visit(visitor)


def test_a_button_cancels_a_run_with_its_reason(visit):
    async def visitor(site: Site) -> None:
        run_id = await site.start("rest", stay="s")
        await site.reached(run_id, "sleeping")
        assert "Cancel run" in (await site.page(f"/runs/{run_id}")).text
        answer = await site.client.post(f"/runs/{run_id}/cancel", data={"reason": "double booking"})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}")
        await site.reached(run_id, "cancelled")
        page = await site.page(f"/runs/{run_id}")
        assert "double booking" in page.text
        assert "Cancel run" not in page.text
        assert (await site.client.post(f"/runs/{run_id}/cancel", data={})).status_code == 303, "harmless"
        assert (await site.client.post("/runs/run_none/cancel", data={})).status_code == 404
        assert (await site.client.post(f"/runs/{run_id}/cancel", data={"reason": "x" * 501})).status_code == 400
        assert (await site.client.post(f"/runs/{run_id}/cancel", data={"reason": "a\0b"})).status_code == 400
        assert (await site.client.post(f"/runs/{run_id}/cancel", json={"reason": "x"})).status_code == 400
        assert (await site.client.get(f"/runs/{run_id}/cancel")).status_code == 405

    visit(visitor)


def test_a_button_retries_a_failed_run(visit):
    async def visitor(site: Site) -> None:
        run_id = await site.ended("fail", text="no")
        assert "Retry from the failed step" in (await site.page(f"/runs/{run_id}")).text
        answer = await site.client.post(f"/runs/{run_id}/retry")
        assert answer.status_code == 303, answer.text
        await site.reached(run_id, "failed")
        fine = await site.ended("echo", text="yes")
        assert "Retry" not in (await site.page(f"/runs/{fine}")).text
        refused = await site.client.post(f"/runs/{fine}/retry")
        assert refused.status_code == 400
        assert "cannot be retried" in refused.text
        assert (await site.client.post("/runs/run_none/retry")).status_code == 404

    visit(visitor)


def test_children_lead_to_their_parents(visit):
    async def visitor(site: Site) -> None:
        parent = await site.start("rest", stay="s")
        store, registry = site.service.store, site.service.registry
        child = NewRun("run_child", "rest", registry.current["rest"], '["s"]', store.clock.now(), parent_run=parent)
        await store.start_run(child)
        page = await site.page("/runs/run_child")
        assert f"/runs/{parent}" in [link["href"] for link in page.all("a")]

    visit(visitor, worker=False)
