"""Lists for people: pages by key with filters, each row once and in order, whatever the filter and the direction."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from flowgraph_runtime.records import TimerRow, Transition
from flowgraph_runtime.storage import keysets, overview
from flowgraph_runtime.storage.event_pages import EventsWanted, event_page, event_row, runs_of_event
from flowgraph_runtime.storage.keysets import Cursor, KeyPage, cursor_of
from flowgraph_runtime.storage.run_pages import RunsWanted, number_at, run_page
from tests.storage.site import SECOND, Site

MINUTE = 60 * SECOND


def _runs(site: Site, wanted: RunsWanted, cursor: Cursor, limit: int) -> KeyPage:
    return site.store.read(lambda connection: run_page(connection, wanted, cursor, limit))


def _events(site: Site, wanted: EventsWanted, cursor: Cursor, limit: int) -> KeyPage:
    return site.store.read(lambda connection: event_page(connection, wanted, cursor, limit))


def _walk(pages, limit: int = 3) -> list[str]:
    """Go to the oldest page and back to the newest -> ids, newest first; both ways have to agree."""
    older: list[str] = []
    page = pages(Cursor(), limit)
    assert page.newer is None
    last = page
    while True:
        older += [row.id for row in page.items]
        last = page
        if page.older is None:
            break
        page = pages(cursor_of(page.older), limit)
    newer = [row.id for row in reversed(last.items)]
    while last.newer is not None:
        last = pages(cursor_of(last.newer, newer=True), limit)
        newer += [row.id for row in reversed(last.items)]
    assert newer == older[::-1]
    return older


def _seen(site: Site, **wanted) -> list[str]:
    return _walk(lambda cursor, limit: _runs(site, RunsWanted(**wanted), cursor, limit))


def _history(site: Site) -> dict[str, str]:
    """Twelve runs, a minute apart -> their ids by a letter: workflow, trigger and status differ."""
    ids: dict[str, str] = {}
    for index, letter in enumerate("abcdefghijkl"):
        event = site.event(("start", "begin")[index % 2]) if index % 3 else None
        run = replace(site.new_run(event), workflow=("pay", "audit", "audit")[index % 3])
        ids[letter] = run.id
        if event is None:
            site.run(site.store.start_run(run))
        else:
            site.ingest(event, runs=[run])
        site.clock.advance(MINUTE)
    for row in site.run(site.store.claim(site.epoch, 9)):
        letter = next(letter for letter, id in ids.items() if id == row.id)
        if letter != "i":  # owned, nothing written yet
            status = {"a": "failed", "b": "failed", "g": "sleeping"}.get(letter, "completed")
            timers = [TimerRow(row.id, 1, site.clock.now() + MINUTE, "sleep")] if status == "sleeping" else []
            site.commit(Transition(row.id, status=status, timers=timers, release=True))
    return ids


FILTERS = (
    ({}, "lkjihgfedcba"),
    ({"workflow": "pay"}, "jgda"),
    ({"workflow": "nobody"}, ""),
    ({"status": "failed"}, "ba"),
    ({"status": "failed", "workflow": "audit"}, "b"),
    ({"status": "queued"}, "lkj"),
    ({"status": "running"}, "i"),
    ({"status": "completed"}, "hfedc"),
    ({"status": "paused"}, ""),
    ({"status": "paused", "parked": frozenset({"m_1"})}, "lkjig"),
    ({"status": "sleeping", "parked": frozenset({"m_1"})}, ""),
    ({"event_name": "start"}, "kiec"),
    ({"event_name": "begin"}, "lhfb"),
    ({"event_name": "start", "status": "completed"}, "ec"),
    ({"event_name": "nothing"}, ""),
    ({"event_id": "evt_nobody"}, ""),
)


def test_each_filter_finds_its_runs(site: Site):
    ids = _history(site)
    for wanted, letters in FILTERS:
        assert _seen(site, **wanted) == [ids[letter] for letter in letters], wanted


def test_runs_are_found_by_time_and_by_event(site: Site):
    ids = _history(site)
    created = {row.id: row.created_at for row in site.run(site.store.runs(limit=50))[0]}
    since, until = created[ids["d"]], created[ids["h"]]
    assert _seen(site, since=since, until=until) == [ids[letter] for letter in "gfed"]
    assert _seen(site, since=since + 1, until=until + 1, workflow="audit") == [ids[letter] for letter in "hfe"]
    assert _seen(site, since=created[ids["l"]] + 1) == []
    assert _seen(site, until=created[ids["a"]]) == []
    run = site.run(site.store.run(ids["k"]))
    assert run is not None
    assert _seen(site, event_id=run.event_id) == [ids["k"]]
    assert _seen(site, event_id=run.event_id, status="failed") == []


def test_the_first_run_of_a_time_is_found_by_halving(site: Site):
    ids = _history(site)
    page = _runs(site, RunsWanted(), Cursor(), 50).items
    for position, run in enumerate(reversed(page)):
        number = site.store.read(lambda connection, at=run.created_at: number_at(connection, at))
        (found,) = _runs(site, RunsWanted(), Cursor((number + 1,)), 1).items
        assert found.id == ids["abcdefghijkl"[position]]
    assert site.store.read(lambda connection: number_at(connection, site.clock.now() + 1)) > number
    assert site.store.read(lambda connection: number_at(connection, 0)) <= number


def test_a_page_goes_on_where_it_was_although_runs_are_added(site: Site):
    ids = _history(site)
    first = _runs(site, RunsWanted(), Cursor(), 3)
    site.run(site.store.start_run(site.new_run()))
    second = _runs(site, RunsWanted(), cursor_of(first.older or ""), 3)
    assert [row.id for row in second.items] == [ids[letter] for letter in "ihg"]


def test_a_rare_match_ends_the_page_early_and_the_next_one_goes_on(site: Site, monkeypatch):
    ids = _history(site)
    monkeypatch.setattr(keysets, "MOST", 2)
    rare = RunsWanted(event_name="begin", status="failed")
    empty = _runs(site, rare, Cursor(), 1)
    assert (empty.items, empty.newer, empty.cut) == ([], None, 2)
    assert empty.older is not None
    found = _runs(site, rare, cursor_of(empty.older), 5)
    assert ([row.id for row in found.items], found.older, found.cut) == ([ids["b"]], None, None)
    back = _runs(site, rare, cursor_of(found.newer or "", newer=True), 5)
    assert (back.items, back.newer, back.cut) == ([], None, None)


def test_an_event_that_starts_several_runs_is_cut_between_them(site: Site):
    event = site.event()
    runs = [site.new_run(event) for _ in range(4)]
    for run, workflow in zip(runs, ("pay", "audit", "bill", "mail"), strict=True):
        run.workflow = workflow
    site.ingest(event, runs=runs)
    pages = [_walk(lambda cursor, _, n=n: _runs(site, RunsWanted(event_name="start"), cursor, n)) for n in (1, 3, 4)]
    assert pages == [[run.id for run in reversed(runs)]] * 3


def test_a_cursor_of_another_list_is_refused(site: Site):
    for read, wanted, fits in (
        (_runs, RunsWanted(), (1,)),
        (_runs, RunsWanted(event_name="start"), (2, 3)),
        (_events, EventsWanted(), (1,)),
        (_events, EventsWanted(name="start"), (2,)),
    ):
        for cursor in ((1,), (1, 2), (1, 2, 3)):
            if len(cursor) in fits:
                assert read(site, wanted, Cursor(cursor), 3).items == []
            else:
                with pytest.raises(ValueError, match="another list"):
                    read(site, wanted, Cursor(cursor), 3)


@pytest.mark.parametrize("text", ["", "x", "1-", "-1", "1-2-3-4", "1" * 19, "١", "1 OR 1=1"])
def test_only_a_cursor_is_taken_for_one(text: str):
    with pytest.raises(ValueError, match="cursor"):
        cursor_of(text)


def test_events_are_filtered_and_counted(site: Site):
    events = [site.event(name) for name in ("start", "paid", "start", "gone", "start")]
    events[3].status = "unknown"
    events[4].status, events[4].reason = "invalid", "/n: not a number"
    runs = [site.new_run(events[0]), site.new_run(events[0])]
    runs[1].workflow = "audit"
    for event in events:
        site.clock.advance(SECOND)
        site.ingest(event, runs=[run for run in runs if run.event_id == event.id])
    (claimed, _) = site.run(site.store.claim(site.epoch, 2))
    site.commit(site.wait(claimed.id, name="paid"))
    offered = site.load(claimed.id).inbox
    site.run(site.store.claim(site.epoch, 1))
    taking = Transition(claimed.id, [site.journal(claimed.id, 1, kind="event")], [offered[0].position], taken=events[1].id)
    taking.closed_waits, taking.cleared_timers = [1], [1]
    site.commit(taking)

    def seen(**wanted) -> list[str]:
        return _walk(lambda cursor, limit: _events(site, EventsWanted(**wanted), cursor, limit), 2)

    ids = [event.id for event in events]
    assert seen() == ids[::-1]
    assert seen(name="start") == [ids[4], ids[2], ids[0]]
    assert seen(status="stored") == [ids[2], ids[1], ids[0]]
    assert (seen(status="unknown"), seen(status="invalid")) == ([ids[3]], [ids[4]])
    assert (seen(name="start", status="invalid"), seen(name="gone", status="stored")) == ([ids[4]], [])
    shown = {event.id: event for event in _events(site, EventsWanted(), Cursor(), 9).items}
    assert [(shown[id].started, shown[id].woken) for id in ids] == [(2, 0), (0, 1), (0, 0), (0, 0), (0, 0)]
    assert shown[ids[4]].reason == "/n: not a number"
    row = site.store.read(lambda connection: event_row(connection, ids[1]))
    assert row is not None
    assert (row.id, row.data) == (ids[1], events[1].data)
    assert site.store.read(lambda connection: event_row(connection, "evt_nobody")) is None
    of_first = site.store.read(lambda connection: runs_of_event(connection, ids[0], frozenset(), 1))
    assert ([run.id for run in of_first.started], of_first.woken, of_first.more) == ([runs[0].id], (), True)
    of_second = site.store.read(lambda connection: runs_of_event(connection, ids[1], frozenset(), 5))
    assert ([run.id for run in of_second.woken], of_second.started, of_second.more) == ([claimed.id], (), False)


def test_live_runs_are_counted_by_workflow_and_status(site: Site, monkeypatch):
    _history(site)
    counts = site.store.read(overview.live_counts)
    assert (counts.of("pay", "queued"), counts.of("audit", "queued"), counts.of("nobody", "queued")) == (1, 3, 0)
    assert (counts.of("pay", "sleeping", "queued"), counts.bounded) == (2, False)
    monkeypatch.setattr(overview, "MOST_COUNTED", 2)
    assert site.store.read(overview.live_counts).bounded


def test_the_newest_runs_of_a_workflow_come_first(site: Site):
    ids = _history(site)
    newest = site.store.read(lambda connection: overview.recent_runs(connection, "pay", limit=2))
    assert [run.id for run in newest] == [ids["j"], ids["g"]]
    assert site.store.read(lambda connection: overview.recent_runs(connection, "nobody")) == []


def test_a_search_for_what_is_no_id_finds_nothing(site: Site):
    _history(site)
    for text in ("run_", "x%", "run_'; --", "evt_" + "0" * 27, "key_1", "ключ", "a_b_c", "", "run_0_1"):
        found = site.store.read(lambda connection, text=text: overview.find(connection, text))
        assert (found.runs, found.events) == ((), ()), text


def test_a_search_finds_ids_by_their_beginning(site: Site):
    ids = _history(site)
    run = site.run(site.store.run(ids["b"]))
    assert run is not None
    assert run.event_id is not None

    def found(text: str) -> tuple[list[str], list[str]]:
        matches = site.store.read(lambda connection: overview.find(connection, text))
        return [row.id for row in matches.runs], [event.id for event in matches.events]

    assert found(run.id) == ([run.id], [])
    assert found(run.event_id) == ([], [run.event_id])
    assert found(run.id[4:])[0] == [run.id]
    runs, events = found("0" * 20)
    assert (len(runs), len(events)) == (12, 8)
    assert runs == sorted(runs, reverse=True)
    assert found("run_" + "0" * 20) == (runs, [])
    assert found("evt_" + "0" * 20) == ([], events)
