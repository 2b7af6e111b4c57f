"""The pages without a browser: every status, every kind of visitor, and nothing of what is stored ever becomes markup."""

from __future__ import annotations

import asyncio
import json
import re

import httpx2
import pytest

from flowgraph_runtime.api.shapes import RunStatus
from flowgraph_runtime.auth import COOKIE, key_hash, new_key
from flowgraph_runtime.dashboard.broken import create_broken_app
from flowgraph_runtime.records import Transition
from flowgraph_runtime.storage import ENDED, KeyRow
from tests.dashboard.conftest import Site
from tests.dashboard.markup import Markup

STATUSES = RunStatus.__args__


@pytest.mark.parametrize("status", STATUSES)
def test_a_run_in_every_status_has_its_pages(visit, status: str):
    async def visitor(site: Site) -> None:
        run_id = await site.start("rest", stay="s1")
        store = site.service.store
        if status != "queued":
            epoch = await store.open_epoch("test")
            await store.claim(epoch, 1)
            error = '{"type":"Crashed","message":"it was too much"}' if status in ("failed", "crashed") else None
            changed = Transition(run_id, status=status, error=error, release=status in ENDED)
            assert await store.commit(epoch, [changed]) == [None]
        page = await site.page(f"/runs/{run_id}")
        chips = [a for a in page.all("span") if (a.get("class") or "").startswith("chip")]
        assert [chip["class"] for chip in chips] == [f"chip {status}"]
        assert status in page.text
        assert ("it was too much" in page.text) is (status in ("failed", "crashed"))
        for path in ("/", "/workflows/rest"):
            listed = await site.page(path)
            assert f"chip {status}" in [a.get("class") for a in listed.all("span")]
        assert any("sse-connect" in a for a in page.all("div")) is (status not in ENDED)
        assert any(a.get("id") == "pulse" for a in page.all("span")) is (status not in ENDED)

    visit(visitor, worker=False)


def test_each_status_has_a_colour(visit):
    async def visitor(site: Site) -> None:
        style = (await site.client.get("/static/states.css")).text
        for status in STATUSES:
            assert re.search(rf"\.{status}\b[^{{]*\{{ --tone:", style), status

    visit(visitor, worker=False)


@pytest.mark.feature(19)
def test_a_run_page_shows_steps_attempts_and_what_is_to_come(visit):
    async def visitor(site: Site) -> None:
        sent = await site.client.post("/v1/events", json={"name": "stay.booked", "data": {"stay": "s1"}})
        (run_id,) = sent.json()["events"][0]["runs"]
        await site.reached(run_id, "running")
        states = _states(await site.page(f"/runs/{run_id}"))
        assert states[-1] == "step pending depth-1"
        await site.reached(run_id, "completed")
        page = await site.page(f"/runs/{run_id}")
        assert _states(page) == [f"step completed depth-{depth}" for depth in (0, 0, 0, 1, 1)]
        for text in ("stay.booked", "attempt 2", "ConnectionError: payments do not answer", "s1 is fine: 420", "420"):
            assert text in page.text, text
        assert "planned" not in page.text

    visit(visitor)


@pytest.mark.feature(3, 19)
def test_a_retry_shows_when_it_is_planned(visit):
    async def visitor(site: Site) -> None:
        sent = await site.client.post("/v1/events", json={"name": "stay.booked", "data": {"stay": "s1"}})
        (run_id,) = sent.json()["events"][0]["runs"]
        while "step retrying depth-0" not in _states(page := await site.page(f"/runs/{run_id}")):
            pass
        assert re.search(r"retrying (in \d|now)", page.text)
        assert "planned" in page.text
        assert [a["id"] for a in page.all("details") if "open" in a] == ["details-2"]

    visit(visitor)


@pytest.mark.feature(2, 19)
@pytest.mark.parametrize(("workflow", "status", "kind"), [("await_payment", "waiting", "wait"), ("rest", "sleeping", "sleep")])
def test_a_wait_and_a_sleep_are_not_shown_as_running(visit, workflow: str, status: str, kind: str):
    async def visitor(site: Site) -> None:
        run_id = await site.start(workflow, stay="s1")
        await site.reached(run_id, status)
        page = await site.page(f"/runs/{run_id}")
        assert _states(page) == [f"step {status} depth-0"]
        assert f"{kind} · line" in page.text

    visit(visitor)


def test_the_picture_has_a_new_address_when_it_changes(visit):
    async def visitor(site: Site) -> None:
        sent = await site.client.post("/v1/events", json={"name": "stay.booked", "data": {"stay": "s1"}})
        (run_id,) = sent.json()["events"][0]["runs"]
        seen: dict[str, set[str]] = {}
        while True:
            page = await site.page(f"/runs/{run_id}")
            (image,) = [a["src"] or "" for a in page.all("img") if "/v1/" in (a["src"] or "")]
            seen.setdefault(image, set()).add(" ".join(_states(page)))
            if "chip completed" in [a.get("class") for a in page.all("span")]:
                break
        assert len(seen) >= 4
        assert all(len(states) == 1 for states in seen.values())

    visit(visitor)


def _states(page: Markup) -> list[str]:
    return [a["class"] or "" for a in page.all("li") if (a.get("class") or "").startswith("step ")]


def test_what_is_not_there_is_told_as_a_page(visit):
    async def visitor(site: Site) -> None:
        assert "Run 'run_none' not found" in (await site.page("/runs/run_none", 404)).text
        assert "Workflow 'none' not found" in (await site.page("/workflows/none", 404)).text
        assert (await site.client.get("/static/none.css")).status_code == 404
        assert (await site.client.get("/static/../pages.py")).status_code == 404
        assert (await site.client.post("/")).status_code == 405

    visit(visitor, worker=False)


def test_with_keys_a_visitor_signs_in_first(visit):
    async def visitor(site: Site) -> None:
        reader, sender, revoked = new_key(), new_key(), new_key()
        store = site.service.store
        for name, key, scope in (("r", reader, "read"), ("s", sender, "event:write"), ("x", revoked, "read")):
            await store.create_key(KeyRow(name, name, key[:8], key_hash(key), (scope,), store.clock.now()))
        await store.revoke_key("x")
        site.service.keys.forget()
        run_id = "run_none"
        for path in ("/", f"/runs/{run_id}", "/workflows/rest"):
            assert "Sign in" in (await site.page(path, 401)).text
        for wrong in (sender, revoked, new_key(), "", "a\nb", "ключ"):
            refused = await site.client.post("/login", data={"key": wrong})
            assert refused.status_code == 401, wrong
            assert "unknown, revoked or lacks the scope" in refused.text
            assert not refused.cookies
            assert not wrong or wrong not in refused.text
        let_in = await site.client.post("/login", data={"key": reader})
        assert (let_in.status_code, let_in.headers["location"]) == (303, "/")
        cookie = let_in.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "Workflows" in (await site.page("/")).text
        refused = await site.client.post("/v1/workflows/rest/runs", json={"input": {"stay": "s"}})
        assert refused.status_code == 401, "the cookie is good for reading only"
        site.client.cookies.clear()
        site.client.cookies.set(COOKIE, revoked)
        assert "unknown, revoked or lacks the scope" in (await site.page("/", 401)).text

    visit(visitor, worker=False)


def test_a_login_from_another_site_is_refused(visit):
    async def visitor(site: Site) -> None:
        answer = await site.client.post("/login", data={"key": "x"}, headers={"origin": "https://evil.example"})
        assert answer.status_code == 403

    visit(visitor, worker=False)


@pytest.mark.feature(20)
def test_while_nothing_compiles_dev_shows_the_report():
    async def ask() -> None:
        transport = httpx2.ASGITransport(create_broken_app("stays.py:3:1 FG113 <b>step-not-awaited</b>"))
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            for path in ("/", "/runs/x"):
                page = await client.get(path, headers={"accept": "text/html"})
                assert page.status_code == 200
                markup = Markup(page.text)
                assert "FG113 <b>step-not-awaited</b>" in markup.text
                assert markup.active() == []
                assert "default-src 'none'" in page.headers["content-security-policy"]
            updated = await client.get("/runs/x", headers={"hx-request": "true"})
            assert (updated.text, updated.headers["hx-refresh"]) == ("", "true")
            asked = json.loads(next(a["hx-headers"] for a in markup.all("section")))
            still = await client.get("/runs/x", headers={"hx-request": "true", **asked})
            assert (still.status_code, "hx-refresh" in still.headers) == (503, False)
            refused = await client.post("/v1/events", json={"name": "x", "data": {}})
            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert (await client.get("/static/style.css")).status_code == 200
            assert (await client.get("/", headers={"accept": "text/html", "host": "evil.example"})).status_code == 421

    asyncio.run(ask())
