"""The pages in a real browser: they follow a run by themselves, and nothing breaks their content policy."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flowgraph_runtime.app import create_app
from flowgraph_runtime.settings import Settings
from tests.dashboard import stays
from tests.dashboard.conftest import compilation
from tests.runtime.live import serving

pytestmark = [pytest.mark.ci, pytest.mark.browser]
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


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (dependency group ci)")
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    if binary is None:
        pytest.skip(f"no browser on PATH: {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=binary, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[httpx2.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(db=f"sqlite:///{tmp_path}/pages.db", port=port, poll_interval=0.05, grace=0.5)
    with serving(create_app(compilation(), settings=settings), port) as client:
        yield client


@pytest.fixture
def closed() -> Iterator[set[str]]:
    """The steps of a booking, none of which goes on until a test says so."""
    stays.CLOSED.update({"validate", "charge", "tell"})
    yield stays.CLOSED
    stays.CLOSED.clear()


@pytest.fixture(params=["light", "dark"])
def visitor(request: pytest.FixtureRequest, chromium: Any, served: httpx2.Client) -> Iterator[Visitor]:
    context = chromium.new_context(viewport={"width": 1400, "height": 900}, color_scheme=request.param)
    visitor = Visitor(context.new_page(), served)
    yield visitor
    context.close()
    assert visitor.complaints == []
    assert all(url.startswith(str(served.base_url).rstrip("/")) for url in visitor.requests), visitor.requests


def test_a_run_page_follows_the_run_to_its_end(visitor: Visitor, closed: set[str]):
    run_id = visitor.book()
    visitor.go(f"/runs/{run_id}")
    visitor.page.evaluate("document.body.dataset.mine = 'never reloaded'")
    visitor.sees("#step-1.running")
    assert visitor.page.locator(".step.pending").count() == 4
    closed.remove("validate")
    visitor.sees("#step-2.running")
    closed.remove("charge")
    visitor.sees("#step-2.retrying details[open] tr.planned")
    visitor.sees(".step.running.depth-1")
    closed.remove("tell")
    visitor.sees(".chip.completed")
    assert visitor.page.locator(".step.completed").count() == 5
    assert "completed" in visitor.page.title()
    charge = visitor.page.locator("#step-2")
    assert "attempt 2" in charge.inner_text()
    assert charge.locator(".number").first.inner_text().endswith(" s")
    assert visitor.page.evaluate("document.body.dataset.mine") == "never reloaded"
    pictures = {url for url in visitor.requests if f"/{run_id}/diagram.svg" in url}
    assert len(pictures) >= 4, "the diagram changed with the run"
    assert visitor.page.locator(".diagram img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 100


def test_after_the_end_the_page_asks_for_nothing_more(visitor: Visitor):
    run_id = visitor.start("echo", text="x")
    visitor.go(f"/runs/{run_id}")
    visitor.sees(".chip.completed")
    visitor.page.wait_for_timeout(500)
    visitor.requests.clear()
    visitor.page.wait_for_timeout(4_000)
    assert visitor.requests == []


def test_what_a_reader_opens_stays_open_and_the_keyboard_is_enough(visitor: Visitor, closed: set[str]):
    visitor.go(f"/runs/{visitor.book()}")
    closed.remove("validate")
    visitor.sees("#step-2.running")
    visitor.page.focus("#details-1 summary")
    visitor.page.keyboard.press("Enter")
    visitor.sees("#details-1[open]")
    closed.remove("charge")
    visitor.sees("#details-2[open]")
    visitor.page.keyboard.press("Tab")
    visitor.page.keyboard.press("Enter")
    visitor.sees("#details-2:not([open])")
    closed.remove("tell")
    visitor.sees(".chip.completed")
    assert visitor.page.locator("#details-1[open]").count() == 1
    assert visitor.page.locator("#details-2[open]").count() == 0
    assert visitor.page.evaluate("document.activeElement.closest('details').id") == "details-2"


def test_a_waiting_run_goes_on_when_its_event_comes(visitor: Visitor):
    run_id = visitor.start("await_payment", stay="s1")
    visitor.go(f"/runs/{run_id}")
    visitor.sees(".step.waiting")
    visitor.sees(".chip.waiting")
    visitor.http.post("/v1/events", json={"name": "stay.paid", "data": {"stay": "s1"}})
    visitor.sees(".chip.completed")


def test_the_first_page_shows_new_runs_by_itself(visitor: Visitor):
    visitor.go("/")
    visitor.sees("text=No run yet")
    run_id = visitor.start("echo", text="x")
    visitor.sees(f"#row-{run_id} .chip.completed")
    visitor.page.click(f"#row-{run_id} a.code")
    visitor.sees(".chip.completed")
    visitor.page.click("nav >> text=echo")
    visitor.sees(".diagram img")


def test_hostile_texts_do_nothing(visitor: Visitor):
    hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(1)><svg/onload=alert(1)>"
    alerts: list[str] = []
    visitor.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    for workflow in ("echo", "fail"):
        run_id = visitor.start(workflow, text=hostile)
        visitor.go(f"/runs/{run_id}")
        visitor.sees(".chip.completed, .chip.failed")
        assert hostile in visitor.page.inner_text("body").replace('\\"', '"')
        assert visitor.page.locator("pre script, pre img, pre svg").count() == 0
    assert alerts == []


@pytest.mark.parametrize("width", [390, 1400])
def test_no_page_is_wider_than_its_window(visitor: Visitor, width: int):
    visitor.page.set_viewport_size({"width": width, "height": 800})
    for path in ("/", "/workflows/book", f"/runs/{visitor.book()}"):
        visitor.go(path)
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width, path
