"""A visitor with a real browser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx2

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")


@dataclass
class Visitor:
    """A page of a browser, everything it complained about, and what it asked for."""

    page: Any
    http: httpx2.Client
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
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
        self.page.wait_for_selector(selector, timeout=20_000, **options)
