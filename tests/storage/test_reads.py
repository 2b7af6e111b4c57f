"""What the API asks: pages newest first, journals, events with their runs, counts, keys."""

from __future__ import annotations

from typing import Any

from flowgraph_runtime.records import NewRun, Transition
from flowgraph_runtime.storage import KeyRow
from tests.storage.site import SECOND, Site


def _runs(site: Site, count: int) -> list[NewRun]:
    runs = [site.new_run() for _ in range(count)]
    for run in runs:
        run.workflow = "pay" if int(run.id[-1]) % 2 else "audit"
        run.created_at = site.clock.advance(SECOND)
        site.run(site.store.start_run(run))
    return runs


def test_runs_come_in_pages_newest_first(site: Site) -> None:
    expected = [run.id for run in reversed(_runs(site, 7))]
    seen: list[str] = []
    page, cursor = site.run(site.store.runs(limit=3))
    while True:
        seen += [row.id for row in page]
        if cursor is None:
            break
        page, cursor = site.run(site.store.runs(limit=3, cursor=cursor))
    assert seen == expected


def test_runs_are_filtered(site: Site) -> None:
    runs = _runs(site, 6)
    event = site.event()
    triggered = site.new_run(event)
    site.ingest(event, runs=[triggered])
    audits = [run.id for run in reversed(runs) if run.workflow == "audit"]
    assert [row.id for row in site.run(site.store.runs(workflow="audit"))[0]] == audits
    assert [row.id for row in site.run(site.store.runs(event_id=event.id))[0]] == [triggered.id]
    assert [row.id for row in site.run(site.store.runs(since=runs[-1].created_at))[0]] == [triggered.id, runs[-1].id]
    (claimed,) = site.run(site.store.claim(site.epoch, 1))
    site.commit(Transition(claimed.id, status="failed", error='"e"', failed_step="charge", failed_attempt=3, reason="why"))
    ((failed,), _) = site.run(site.store.runs(status="failed"))
    assert (failed.id, failed.failed_step, failed.failed_attempt, failed.reason) == (claimed.id, "charge", 3, "why")
    assert site.run(site.store.run(claimed.id)) == failed
    assert site.run(site.store.run("run_nobody")) is None


def test_the_rows_of_a_load_and_of_a_page_agree(site: Site) -> None:
    site.started(2)
    page, _ = site.run(site.store.runs())
    assert [site.load(row.id).run for row in page] == page


def test_events_come_in_pages_with_their_runs(site: Site) -> None:
    events = [site.event(name) for name in ("a", "b", "a")]
    runs = [site.new_run(events[0]), site.new_run(events[0])]
    runs[1].workflow = "audit"
    site.ingest(*events, runs=runs)
    page, cursor = site.run(site.store.events(name="a", limit=1))
    assert [row.id for row in page] == [events[2].id]
    page, cursor = site.run(site.store.events(name="a", limit=1, cursor=cursor))
    assert ([row.id for row in page], cursor) == ([events[0].id], None)
    found = site.run(site.store.event(events[0].id))
    assert found is not None
    assert (found.event.name, found.started, found.taken_by) == ("a", (runs[0].id, runs[1].id), ())
    assert site.run(site.store.event("evt_nobody")) is None


def test_events_are_listed_by_name_status_and_time_in_pages(site: Site) -> None:
    events = []
    for number in range(6):
        events.append(site.event("ab"[number % 2]))
        events[-1].status = ("stored", "stored", "invalid", "unknown")[number % 4]
        site.ingest(events[-1])
        site.clock.advance(number % 3)  # some are received at one instant
    ids = [event.id for event in reversed(events)]

    def pages(**filters: Any) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page, cursor = site.run(site.store.events(cursor=cursor, limit=1, **filters))
            found += [event.id for event in page]
            if cursor is None:
                return found

    by_id = {event.id: event for event in events}
    assert pages() == ids
    assert pages(name="b") == [id for id in ids if by_id[id].name == "b"]
    for status in ("stored", "invalid", "unknown"):
        assert pages(status=status) == [id for id in ids if by_id[id].status == status]
    assert pages(name="a", status="invalid") == [events[2].id]
    assert pages(since=events[3].received_at) == [id for id in ids if by_id[id].received_at >= events[3].received_at]
    assert pages(name="c") == pages(since=site.clock.now() + 1) == []


def test_workflows_have_their_current_machine(site: Site) -> None:
    site.run(site.store.save_machine("m_2", "pay", '{"new":1}', '{"needs":1}', [("paid", "amount")]))
    site.run(site.store.set_current("pay", "m_2"))
    site.run(site.store.save_machine("m_2", "pay", '{"changed":1}', "{}"))
    (workflow,) = site.run(site.store.workflows())
    assert (workflow.name, workflow.machine) == ("pay", "m_2")
    machine = site.run(site.store.machine("m_2"))
    assert machine is not None
    assert (machine.text, machine.manifest, machine.workflow) == ('{"new":1}', '{"needs":1}', "pay")
    assert site.run(site.store.machine("m_nobody")) is None
    assert site.run(site.store.key_paths()) == {"paid": ("amount", "booking", "guest")}


def test_outcomes_are_counted_by_workflow(site: Site) -> None:
    runs = _runs(site, 4)
    site.run(site.store.claim(site.epoch, 2))
    site.commit(Transition(runs[0].id, status="completed", result="1"), Transition(runs[1].id, status="running"))
    counted = site.run(site.store.outcomes(runs[0].created_at))
    assert sum(count for by_status in counted.values() for count in by_status.values()) == 4
    assert {status for by_status in counted.values() for status in by_status} == {"completed", "running", "queued"}
    assert site.run(site.store.outcomes(runs[-1].created_at + 1)) == {}


def test_keys_are_found_until_they_are_revoked(site: Site) -> None:
    key = KeyRow("key_1", "ci", "fg_abc", "5" * 64, ("read", "operate"), site.clock.now())
    site.run(site.store.create_key(key))
    assert site.run(site.store.find_key("5" * 64)) == key
    assert site.run(site.store.find_key("6" * 64)) is None
    assert site.run(site.store.revoke_key("key_1")) is True
    assert site.run(site.store.revoke_key("key_1")) is False
    assert site.run(site.store.find_key("5" * 64)) is None
    assert [row.revoked_at for row in site.run(site.store.list_keys())] == [site.clock.now()]


def test_news_tell_what_a_commit_changed(site: Site) -> None:
    (run,) = site.started()
    site.commit(site.wait(run, booking="s:1"))
    event = site.event("paid", booking="s:1")
    seen = len(site.news)
    site.ingest(event)
    (news,) = site.news[seen:]
    assert (news.events, news.inbox_runs, news.ready, news.created) == ([event.id], [run], [run], [])
    assert [news.sequence for news in site.news] == sorted({news.sequence for news in site.news})
