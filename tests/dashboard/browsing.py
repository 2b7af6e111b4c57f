"""A visitor with a real browser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpx2

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
PATIENCE = 60_000
"""Milliseconds that a page may take for anything: far more than it does, because the machine may be slow and busy."""
ONE_AT_A_TIME = """
let asking = 0;
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (...body) {
  if (++asking > 1) console.error("the page asks for an update while another is under way");
  this.addEventListener("readystatechange", () => { if (this.readyState === XMLHttpRequest.DONE) asking--; });
  return send.apply(this, body);
};
"""


@dataclass
class Visitor:
    """A page of a browser, everything it complained about, and what it asked for. Updates that overlap are a complaint."""

    page: Any
    http: httpx2.Client
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE)
        self.page.add_init_script(ONE_AT_A_TIME)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def book(self) -> str:
        """Send a booking -> its run."""
        sent = self.http.post("/v1/events", json={"name": "stay.booked", "data": {"stay": "s1"}})
        run_id: str = sent.json()["events"][0]["runs"][0]
        return run_id

    def start(self, workflow: str, **inputs: Any) -> str:
        run_id: str = self.http.post(f"/v1/workflows/{workflow}/runs", json={"input": inputs}).json()["id"]
        return run_id

    def go(self, path: str) -> None:
        self.page.goto(f"{str(self.http.base_url).rstrip('/')}{path}", wait_until="load")

    def sees(self, selector: str, **options: Any) -> None:
        """Wait until something that matches is on the page."""
        self.page.wait_for_selector(selector, **options)

    def updated(self) -> None:
        """Wait until the page has taken one more update."""
        for _ in range(2):  # the page asks for the second one after it has taken the first
            with self.page.expect_request_finished(lambda request: "hx-request" in request.headers):
                pass

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that the test itself has to look up, while the page goes on."""
        end = monotonic() + PATIENCE / 1000
        while not condition():
            assert monotonic() < end, "it never came"
            self.page.wait_for_timeout(20)

    def falls_silent(self, milliseconds: int) -> None:
        """Wait until the page has asked for nothing for so long."""

        def silent() -> bool:
            self.requests.clear()
            self.page.wait_for_timeout(milliseconds)
            return not self.requests

        self.until(silent)
