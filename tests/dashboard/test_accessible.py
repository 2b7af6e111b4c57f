"""Who cannot see the pages, or sees them badly, can use them: landmarks, headings, names, contrast, nothing by colour alone."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.dashboard.browsing import Visitor
from tests.dashboard.conftest import Site
from tests.dashboard.markup import Markup

LISTS = ("/", "/runs", "/runs?status=failed", "/events", "/search?q=0", "/workflows/book", "/workflows/rest")


async def _pages(site: Site) -> dict[str, Markup]:
    sent = await site.client.post("/v1/events", json={"name": "stay.booked", "data": {"stay": "s1"}})
    event = sent.json()["events"][0]
    waiting = await site.start("await_payment", stay="s1")
    await site.reached(waiting, "waiting")
    failed = await site.ended("fail", text="no")
    await site.reached(event["runs"][0], "completed")
    single = (f"/events/{event['id']}", *(f"/runs/{run}" for run in (waiting, failed, event["runs"][0])))
    pages = {path: await site.page(path) for path in (*LISTS, *single)}
    return pages | {"/runs/none": await site.page("/runs/none", 404), "/runs?x=1": await site.page("/runs?x=1", 400)}


def test_every_page_has_landmarks_headings_and_names(visit):
    async def visitor(site: Site) -> None:
        for path, page in (await _pages(site)).items():
            tags = [tag for tag, _ in page.elements]
            assert (tags.count("main"), tags.count("h1"), tags.count("header")) == (1, 1, 1), path
            assert page.all("html")[0]["lang"] == "en"
            assert page.all("a")[0]["href"] == "#main", "the first link skips to the content"
            levels = [int(tag[1]) for tag in tags if tag in ("h1", "h2", "h3", "h4")]
            assert all(later <= earlier + 1 for earlier, later in pairwise(levels)), (path, levels)
            _named(path, page)
            _tables(path, page)

    visit(visitor)


def _named(path: str, page: Markup) -> None:
    labelled = {label["for"] for label in page.all("label")}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)), (path, "an id stands twice")
    for tag in ("input", "select", "textarea"):
        assert all(field.get("id") in labelled or field.get("aria-label") for field in page.all(tag)), (path, tag)
    for _, attributes in page.elements:
        for reference in ("aria-labelledby", "aria-describedby", "for"):
            assert attributes.get(reference) is None or attributes[reference] in ids, (path, attributes)
    assert all(image.get("alt") is not None for image in page.all("img")), path
    assert all(nav.get("aria-label") for nav in page.all("nav")), path
    for chart in page.all("svg"):
        assert chart.get("aria-label") if chart.get("role") == "img" else True, (path, chart)


def _tables(path: str, page: Markup) -> None:
    assert all(head.get("scope") in ("col", "row") for head in page.all("th")), path
    times = page.all("time")
    assert all(time["datetime"] and "UTC" in (time["title"] or "") for time in times), path


def test_a_state_is_a_word_beside_its_colour(visit):
    async def visitor(site: Site) -> None:
        for path, page in (await _pages(site)).items():
            for position, (tag, attributes) in enumerate(page.elements):
                words = (attributes.get("class") or "").split()
                if tag == "span" and words[:1] == ["chip"]:
                    assert words[1] in page.text, path
                    assert page.elements[position + 1][1].get("aria-hidden") == "true", "its sign says the same"

    visit(visitor)


def test_a_change_of_status_is_told(visit):
    async def visitor(site: Site) -> None:
        page = await site.page(f"/runs/{await site.ended('echo', text='x')}")
        assert {"role": "status", "aria-live": "polite"} in page.all("span")

    visit(visitor)


_CONTRASTS = """() => {
  const parts = (text) => {
    const numbers = (text.match(/[\\d.]+(e-?\\d+)?/g) || []).map(Number);
    const scale = text.startsWith("color(srgb") ? 255 : 1;
    return [numbers[0] * scale, numbers[1] * scale, numbers[2] * scale, numbers.length > 3 ? numbers[3] : 1];
  };
  const over = (top, below) => top.slice(0, 3).map((part, i) => part * top[3] + below[i] * (1 - top[3]));
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const own = parts(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own.slice(0, 3) : over(own, ground(element.parentElement));
  };
  const light = (color) => {
    const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = color.map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest(".unseen, .skip, option, title, datalist")) continue;
    const behind = ground(element);
    const style = getComputedStyle(element);
    const color = over(parts(element.closest("svg") ? style.fill : style.color), behind);
    const [high, low] = [light(color), light(behind)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < 4.5) found.push([texts.currentNode.data.trim().slice(0, 40), element.className, ratio.toFixed(2)]);
  }
  return found;
}"""


@pytest.mark.ci
@pytest.mark.browser
def test_all_text_can_be_read_in_light_and_dark(visitor: Visitor):
    failed, booked = visitor.start("fail", text="x"), visitor.book()
    waiting = visitor.start("await_payment", stay="s")
    visitor.http.post("/v1/events", json={"name": "page.viewed", "data": {"a": [1, None, "x"]}})
    event = visitor.http.get("/v1/events").json()["items"][0]["id"]
    for path in ("/", "/runs", "/runs?event=nobody", "/events", f"/events/{event}", "/workflows/book", "/login", "/search"):
        visitor.go(path)
        assert visitor.page.evaluate(_CONTRASTS) == [], path
    for run_id in (failed, booked, waiting):
        visitor.go(f"/runs/{run_id}")
        visitor.page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        assert visitor.page.evaluate(_CONTRASTS) == [], run_id
