"""Nothing of what is stored or typed ever becomes markup: every field of every page with every payload."""

from __future__ import annotations

from json import dumps
from typing import Any
from urllib.parse import quote

import pytest

from flowgraph_runtime.dashboard.lines import AttemptLine, ErrorLine, InstanceLine, StepLine
from flowgraph_runtime.dashboard.shell import broken_page, render
from flowgraph_runtime.dashboard.sources import Place, raised
from flowgraph_runtime.dashboard.timeline import Bar, Lane, Timeline
from flowgraph_runtime.records import EventRow
from tests.dashboard.conftest import Site
from tests.dashboard.markup import Markup

PAYLOADS = (
    "<script>alert(1)</script>",
    "</pre></details><script src=//evil.example/x.js></script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "<svg/onload=alert(1)>",
    "<style>*{display:none}</style>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "<base href=//evil.example>",
    "{{ 7 * 7 }} {% raw %}",
    "<div hx-get=/v1/runs hx-trigger=load hx-on:load=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!-- -->]]><xmp><script>alert(1)</script>",
    "\u202e<ſcript>alert(1)</ſcript>",
    '"/onmouseover=alert(1)//',
    "javascript:alert(1)",
    "</title><script>alert(1)</script>",
    "</option></select><script>alert(1)</script>",
    '<math><mi xlink:href="data:x,<script>alert(1)</script>">',
    '" hx-get="/v1/runs" hx-trigger="load',
    "<template><script>alert(1)</script></template>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
)
"""Texts that would do something if any of them became markup."""


def told(page: Markup, payload: str) -> bool:
    """Whether the payload is on the page as text, also where it stands in JSON."""
    return payload in page.text.replace('\\"', '"')


def test_texts_of_runs_stay_texts(visit):
    async def visitor(site: Site) -> None:
        for payload in PAYLOADS:
            for workflow in ("echo", "fail"):
                run_id = await site.ended(workflow, text=payload)
                assert told(await site.page(f"/runs/{run_id}"), payload), payload
            waiting = await site.start("await_payment", stay=payload)
            await site.reached(waiting, "waiting")
            reason = payload if payload.isprintable() else "x"
            assert (await site.client.post(f"/runs/{waiting}/cancel", data={"reason": reason})).status_code == 303
            await site.reached(waiting, "cancelled")
            assert told(await site.page(f"/runs/{waiting}"), reason), payload
        for path in ("/", "/runs"):
            await site.page(path)

    visit(visitor)


def test_texts_of_events_stay_texts(visit):
    async def visitor(site: Site) -> None:
        now = site.service.clock.now()
        for number, payload in enumerate(PAYLOADS):
            fields: dict[str, Any] = {"source": payload, "client_id": payload, "reason": payload, "status": "invalid"}
            fields["envelope"] = dumps({"user": payload}, ensure_ascii=False)
            data = dumps({"stay": payload}, ensure_ascii=False)
            await site.service.store.ingest([EventRow(f"evt_{number}", payload, data, "null", now, now, **fields)], [])
            page = await site.page(f"/events/evt_{number}")
            assert page.text.replace('\\"', '"').count(payload) >= 6, payload
            unknown = EventRow(f"evt_u{number}", payload, "{}", "null", now, now, status="unknown")
            await site.service.store.ingest([unknown], [])
            assert told(await site.page(f"/events/evt_u{number}"), f"No workflow listens to {payload}"), payload
            if payload.isprintable():
                assert told(await site.page(f"/events?name={quote(payload)}"), payload), payload
        assert told(await site.page("/events"), PAYLOADS[-1])

    visit(visitor, worker=False)


def test_what_is_typed_stays_text(visit):
    async def visitor(site: Site) -> None:
        for payload in PAYLOADS:
            typed = quote(payload, safe="")
            for path in ("/search?q=", "/runs?event=", "/runs?workflow=", "/events?name="):
                answer = await site.client.get(f"{path}{typed}", headers={"accept": "text/html"})
                assert answer.status_code == (200 if payload.isprintable() or "search" in path else 400), (path, payload)
                markup = Markup(answer.text)
                assert markup.active() == [], (path, payload)
            for path in (f"/runs?status={typed}", f"/runs?{typed}=1", f"/runs?before={typed}", f"/events?status={typed}"):
                assert (await site.page(path, 400)).active() == []
            for folder in ("runs", "workflows", "events"):
                if "/" not in payload:
                    assert told(await site.page(f"/{folder}/{typed}", 404), payload)

    visit(visitor, worker=False)


def test_reports_stay_texts():
    for payload in PAYLOADS:
        markup = Markup(broken_page(f"error: {payload}"))
        assert payload in markup.text
        assert markup.active() == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_names_files_and_tracebacks_stay_texts(visit, payload: str):
    """Of a machine that somebody else compiled, whatever names its steps have."""

    async def visitor(site: Site) -> None:
        place = Place(payload, 1, payload)
        error = ErrorLine(payload, payload, raised(_traced(payload)))
        attempts = (AttemptLine(1, "failed", 1, 1, 1, error),)
        step = StepLine(
            payload, payload, place, 0, "failed", payload, 2, 1, 1, (InstanceLine(1, "failed", attempts, payload, error, 1),)
        )
        lanes = (Lane(payload, "failed", 0, (Bar("failed", 0, 1, payload),), payload),)
        facts: dict[str, Any] = dict.fromkeys(
            ("id", "workflow", "event_id", "event_name", "machine", "reason", "steps", "version"), payload
        )
        facts |= {
            "status": "failed",
            "parent": None,
            "error": error,
            "failed_step": payload,
            "failed_at": place,
            "origin": "event",
        }
        facts |= dict.fromkeys(("created_at", "started_at", "ended_at", "duration", "queue_delay"), 1)
        facts |= {"input": {payload: payload}, "result": [payload], "current": False}
        line = Timeline(lanes, ((0.0, payload),))
        page = render("run.html", site.service, run=facts, steps=[step], timeline=line, operator=True)
        markup = Markup(bytes(page.body).decode())
        assert markup.active() == []
        assert markup.text.count(payload) >= 20

    visit(visitor, worker=False)


def _traced(payload: str) -> str:
    return dumps({"type": "x", "message": "y", "traceback": f'  File "{payload}", line 1, in {payload}\n    {payload}\n'})
