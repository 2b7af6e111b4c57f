"""Lists, forms and buttons in a real browser, and by the keyboard alone."""

from __future__ import annotations

import pytest

from tests.dashboard.browsing import Visitor

pytestmark = [pytest.mark.ci, pytest.mark.browser]
light_only = pytest.mark.parametrize("visitor", ["light"], indirect=True)


def tab_to(visitor: Visitor, selector: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(30):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


@light_only
def test_the_keyboard_is_enough_to_filter_and_to_open_a_run(visitor: Visitor):
    wanted = visitor.start("fail", text="x")
    visitor.start("echo", text="x")
    visitor.go("/runs")
    visitor.sees(".chip.failed")
    visitor.page.keyboard.press("Tab")
    assert visitor.page.inner_text(":focus") == "Skip to content"
    visitor.page.keyboard.press("Enter")
    tab_to(visitor, "#status")
    visitor.page.keyboard.type("failed")
    tab_to(visitor, ".filters button")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/runs?*status=failed*")
    assert [row.get_attribute("id") for row in visitor.page.query_selector_all("tbody tr")] == [f"row-{wanted}"]
    tab_to(visitor, f"#row-{wanted} a.code")
    outline = visitor.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus can be seen"
    visitor.page.keyboard.press("Enter")
    visitor.sees("h1 .chip.failed")
    assert "raise NonRetriable(text)" in visitor.page.inner_text(".failure")


@light_only
def test_enter_in_a_field_filters_and_the_search_box_jumps(visitor: Visitor):
    run_id = visitor.book()
    visitor.start("echo", text="x")
    visitor.go("/runs")
    visitor.page.fill("#event", "stay.booked")
    visitor.page.press("#event", "Enter")
    visitor.page.wait_for_url("**/runs?*event=stay.booked*")
    assert visitor.page.locator("tbody tr").count() == 1
    visitor.page.fill("#search", run_id)
    visitor.page.press("#search", "Enter")
    visitor.page.wait_for_url(f"**/runs/{run_id}")
    visitor.page.click(".facts a")
    visitor.sees("h1:has-text('stay.booked')")
    assert '"stay": "s1"' in visitor.page.inner_text("main")
    visitor.page.click(f"#row-{run_id} a.code")
    visitor.page.wait_for_url(f"**/runs/{run_id}")


@light_only
def test_one_pages_through_and_back(visitor: Visitor):
    newest = [visitor.start("echo", text=str(number)) for number in range(60)][-1]
    visitor.go("/runs?workflow=echo")
    assert visitor.page.locator("tbody tr").count() == 50
    visitor.page.click(".pager >> text=Older")
    visitor.page.wait_for_url("**before=*")
    assert visitor.page.locator("tbody tr").count() == 10
    visitor.page.click(".pager >> text=Newest")
    visitor.sees(f"#row-{newest}")


@light_only
def test_a_cancel_is_confirmed_and_what_is_typed_survives_updates(visitor: Visitor, closed: set[str]):
    visitor.page.set_viewport_size({"width": 900, "height": 400})
    visitor.go(f"/runs/{visitor.book()}")
    visitor.sees("#step-1.running")
    visitor.page.click("#cancel summary")
    visitor.page.fill("#reason", "double booking")
    visitor.page.evaluate("window.scrollTo(0, 120)")
    closed.remove("validate")
    visitor.sees("#step-2.running")
    visitor.updated()
    assert visitor.page.input_value("#reason") == "double booking"
    assert visitor.page.evaluate("document.activeElement.id") == "reason"
    assert visitor.page.evaluate("window.scrollY") == 120
    visitor.page.click("text=Yes, cancel this run")
    visitor.sees("h1 .chip.cancelled")
    assert "double booking" in visitor.page.inner_text(".notice")
    assert visitor.page.locator("#cancel").count() == 0


@light_only
def test_a_failed_run_is_retried_by_its_button(visitor: Visitor):
    visitor.go(f"/runs/{visitor.start('fail', text='x')}")
    visitor.sees("h1 .chip.failed")
    visitor.page.reload()
    visitor.page.click("text=Retry from the failed step")
    visitor.sees(".attempts-table td:text-is('2')")


@light_only
def test_an_update_of_a_list_leaves_the_form_alone(visitor: Visitor):
    visitor.go("/runs")
    visitor.page.fill("#event", "half a na")
    run_id = visitor.start("echo", text="x")
    visitor.sees(f"#row-{run_id} .chip.completed")
    assert visitor.page.input_value("#event") == "half a na"
    assert visitor.page.evaluate("document.activeElement.id") == "event"


@light_only
def test_with_a_key_one_signs_in_and_sees_the_buttons_it_is_for(visitor: Visitor):
    run_id = visitor.start("rest", stay="s")
    admin = visitor.http.post("/v1/keys", json={"name": "first", "scopes": ["admin"]}).json()["key"]
    for scopes in (["read"], ["read", "operate"]):
        made = visitor.http.post("/v1/keys", json={"name": "x", "scopes": scopes}, headers={"Authorization": f"Bearer {admin}"})
        visitor.page.goto("about:blank")  # nothing of the page before asks on without a key
        visitor.page.context.clear_cookies()
        visitor.go("/login")
        visitor.page.fill("#key", made.json()["key"])
        visitor.page.click("main button")
        visitor.sees("h1:has-text('Workflows')")
        visitor.go(f"/runs/{run_id}")
        assert visitor.page.locator("text=Cancel run").count() == ("operate" in scopes)
    visitor.page.click("#cancel summary")
    visitor.page.click("text=Yes, cancel this run")
    visitor.sees("h1 .chip.cancelled")
