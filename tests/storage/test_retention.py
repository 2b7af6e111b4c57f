"""Retention: what is old goes in small transactions, what a live run needs stays, and every invariant holds at each moment."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from flowgraph_runtime.clock import SystemClock
from flowgraph_runtime.meter import Meter
from flowgraph_runtime.records import Transition
from flowgraph_runtime.retention import Retention
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage import UnknownRun, retention
from flowgraph_runtime.storage.errors import NotFailed
from flowgraph_runtime.storage.invariants import violations
from tests.storage.site import SECOND, Site

DAY = 86_400 * SECOND


class Swept:
    """A site whose database is swept, with the invariants looked at after every transaction."""

    def __init__(self, site: Site, **keep: Any) -> None:
        self.site, self.meter = site, Meter()
        job = Retention(site.store.expiry, site.clock, Settings(**keep), self.meter, pause=0)
        write = site.store.expiry._write

        async def watched(act: Any, **how: Any) -> Any:
            answer = await write(act, **how)
            if site.url.startswith("sqlite"):  # PostgreSQL takes a second for them; the site looks at the end
                assert violations(site.store) == []
            return answer

        site.store.expiry._write = watched  # type: ignore[method-assign]
        site.run(job.sweep())

    def runs(self) -> set[str]:
        rows, _ = self.site.run(self.site.store.runs(limit=500))
        return {row.id for row in rows}

    def events(self) -> set[str]:
        rows, _ = self.site.run(self.site.store.events(limit=500))
        return {row.id for row in rows}


def ended(site: Site, count: int, status: str = "completed") -> list[str]:
    runs = site.started(count)
    for run in runs:
        site.commit(site.step(run, 1))
        site.commit(Transition(run, rows=[site.journal(run, 2)], snapshot=(2, "{}"), status=status, result="1"))
    return runs


def test_runs_and_events_that_are_old_go_and_younger_ones_stay(site: Site) -> None:
    old = ended(site, 250)
    site.clock.advance(20 * DAY)
    young = ended(site, 2)
    site.clock.advance(11 * DAY)
    swept = Swept(site)
    assert swept.runs() == set(young)
    assert len(swept.events()) == 2
    assert swept.meter.deleted == {"run": len(old), "event": len(old)}
    for run in old[:3]:
        with pytest.raises(UnknownRun):
            site.load(run)
    assert [row.seq for row in site.load(young[0]).journal] == []  # behind its snapshot
    assert site.seqs(young[0]) == [1, 2]


def test_live_runs_keep_all_that_they_need(site: Site) -> None:
    waiting, working, parent = site.started(3)
    site.commit(site.wait(waiting, booking="b"))
    site.commit(site.step(working, 1))
    child = site.new_run(parent_run=parent, parent_serial=None)
    site.commit(Transition(parent, runs=[child]))
    (claimed,) = site.run(site.store.claim(site.epoch, 1))
    site.commit(Transition(claimed.id, status="completed", result="1"))
    (newest,) = ended(site, 1)
    site.clock.advance(400 * DAY)
    swept = Swept(site)
    assert swept.runs() == {waiting, working, parent, newest}  # the child was over
    assert len(swept.events()) == 4  # those that started them
    site.ingest(site.event("paid", booking="b"))
    assert [serials for _, serials in site.offered(waiting)] == [(1,)]
    site.commit(Transition(parent, status="completed", result="1"))


def test_a_parent_stays_as_long_as_a_child_of_it(site: Site) -> None:
    (parent,) = site.started()
    child = site.new_run(parent_run=parent, parent_serial=None)
    site.commit(Transition(parent, runs=[child], status="completed", result="1"))
    site.clock.advance(400 * DAY)
    assert Swept(site).runs() == {parent, child.id}


def test_an_event_that_is_offered_stays_and_one_that_was_taken_goes(site: Site) -> None:
    taker, holder = site.started(2)
    site.commit(site.wait(taker, booking="t", release=False), site.wait(holder, booking="h", release=False))
    taken, offered = site.event("paid", booking="t"), site.event("paid", booking="h")
    site.ingest(taken, offered)
    row = site.run(site.store.inbox([taker]))[0]
    site.commit(
        Transition(
            taker,
            rows=[site.journal(taker, 1, "event")],
            inbox=[row.position],
            taken=taken.id,
            closed_waits=[1],
            cleared_timers=[1],
        )
    )
    site.ingest(site.event("other"))  # the newest one always stays
    site.clock.advance(400 * DAY)
    events = Swept(site).events()
    assert taken.id not in events
    assert offered.id in events
    assert [id for id, _ in site.offered(holder)] == [offered.id]


def test_an_event_goes_with_the_last_run_that_it_started(site: Site) -> None:
    (run,) = site.started()
    ended(site, 1)
    site.clock.advance(400 * DAY)
    assert len(Swept(site).events()) == 2  # one is of the live run, one is the newest
    site.commit(Transition(run, status="completed", result="1"))
    ended(site, 1)
    site.clock.advance(400 * DAY)
    assert len(Swept(site).events()) == 1


def test_early_events_are_found_by_their_key_until_they_are_old(site: Site) -> None:
    (run,) = site.started()
    early = [site.event("paid", booking="b") for _ in range(2)]
    site.ingest(early[0])
    site.clock.advance(20 * DAY)
    site.ingest(early[1])
    site.clock.advance(20 * DAY)
    Swept(site)
    site.commit(site.wait(run, booking="b"))
    assert [id for id, _ in site.offered(run)] == [early[1].id]


def test_a_long_journal_goes_from_its_end_and_cannot_be_retried_meanwhile(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 10)
    (run,) = site.started()
    for seq in range(1, 36):
        site.commit(site.step(run, seq))
    site.commit(Transition(run, status="failed", error="{}", snapshot=(35, "{}")))
    ended(site, 1)
    site.clock.advance(400 * DAY)
    once = site.run(site.store.expiry.runs(site.clock.now() - DAY, (0, 0)))
    assert (once.runs, once.place) == (0, (0, 0))
    assert site.seqs(run) == list(range(1, 26))
    assert violations(site.store) == []
    with pytest.raises(NotFailed):
        site.run(site.store.reopen(Transition(run, rows=[site.journal(run, 26, "retry")])))
    assert run not in Swept(site).runs()


def test_a_number_is_never_given_twice(site: Site) -> None:
    """SQLite gives the number of a deleted newest row to the next one; waits compare numbers of events."""
    (last,) = ended(site, 1)
    site.clock.advance(400 * DAY)
    swept = Swept(site)
    assert swept.runs() == {last}
    assert len(swept.events()) == 1


def test_what_is_kept_for_ever_stays(site: Site) -> None:
    runs = ended(site, 3)
    site.clock.advance(4000 * DAY)
    assert Swept(site, keep_runs="forever", keep_events="forever").runs() == set(runs)


def test_one_process_of_all_takes_a_turn(site: Site) -> None:
    other = site.another() if not site.url.startswith("sqlite") else site.store
    turns = [site.run(store.expiry.claim(60 * SECOND)) for store in (site.store, other, site.store)]
    site.clock.advance(61 * SECOND)
    turns += [site.run(store.expiry.claim(60 * SECOND)) for store in (other, site.store)]
    assert turns == [True, False, False, True, False]


def test_dead_epochs_and_skips_go(site: Site) -> None:
    dead = site.run(site.store.open_epoch("second"))
    site.run(site.store.close_epoch(dead))
    newest = site.run(site.store.open_epoch("third"))
    site.clock.advance(400 * DAY)
    site.run(site.store.expiry.rest(site.clock.now() - DAY))
    site.run(site.store.heartbeat(site.epoch))
    site.run(site.store.heartbeat(newest))
    assert site.store.read(lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM fg_epoch").scalar()) == 2


@pytest.mark.parametrize("wrong", [{"keep_runs": "soon"}, {"keep_events": "1h"}, {"keep_events": "-1d"}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]


def test_a_database_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        def __init__(self) -> None:
            self.asked, self.often = 0, asyncio.Event()

        async def claim(self, every: int) -> bool:
            self.asked += 1
            if self.asked == 3:
                self.often.set()
            raise ConnectionError("away")

    async def scenario() -> None:
        away = Away()
        job = Retention(away, SystemClock(), Settings(), Meter())  # type: ignore[arg-type]
        task = asyncio.create_task(job.run())
        await away.often.wait()
        task.cancel()

    monkeypatch.setattr("flowgraph_runtime.retention.EVERY", 0.001)
    monkeypatch.setattr("flowgraph_runtime.retention.FIRST", 0.001)
    asyncio.run(scenario())
    assert "trying again: away" in caplog.text
