"""The pages in a real browser: they follow a run by themselves, and nothing breaks their content policy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dashboard.browsing import Visitor

pytestmark = [pytest.mark.ci, pytest.mark.browser]


@pytest.mark.feature(19)
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
    visitor.until(lambda: len({url for url in visitor.requests if f"/{run_id}/diagram.svg" in url}) >= 4)
    assert visitor.page.locator(".diagram img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 100


def test_after_the_end_the_page_asks_for_nothing_more(visitor: Visitor):
    run_id = visitor.start("echo", text="x")
    visitor.go(f"/runs/{run_id}")
    visitor.sees(".chip.completed")
    visitor.falls_silent(4_000)


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


def test_an_answer_that_comes_late_closes_nothing(visitor: Visitor, closed: set[str]):
    """The answer to the regular question is held back while the stream tells of all the rest of the run."""
    run_id = visitor.book()
    late: list[tuple[Any, Any]] = []

    def delay(route: Any) -> None:
        if late or route.request.headers.get("hx-trigger") != "pulse":
            route.continue_()
        else:
            late.append((route, route.fetch()))

    visitor.page.route(f"**/runs/{run_id}", delay)
    visitor.go(f"/runs/{run_id}")
    visitor.sees("#step-1.running")
    visitor.page.click("#details-1 summary")
    visitor.until(lambda: late)
    visitor.page.evaluate("document.addEventListener('htmx:sseClose', () => { document.body.dataset.told = 'all' })")
    visitor.http.post(f"/v1/runs/{run_id}/cancel")
    visitor.sees("body[data-told]")
    [(route, answer)] = late
    route.fulfill(response=answer)
    visitor.sees(".chip.cancelled")
    visitor.falls_silent(3_000)
    assert visitor.page.locator("#run").count() == 1
    assert visitor.page.locator("#details-1[open]").count() == 1


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
