"""A run's good end in its short form: what the same transition would store, and nothing is left of the run's live rows."""

from __future__ import annotations

import asyncio

import pytest

from flowgraph_runtime.records import Completed, TimerRow, Transition, transition_of
from flowgraph_runtime.storage import StorageError
from flowgraph_runtime.storage.writer import Commit
from tests.storage.site import SECOND, Site


def end(site: Site, run_id: str, seq: int = 1, result: str = '{"n":1}') -> Completed:
    return Completed(run_id, site.journal(run_id, seq), site.clock.now(), result)


def owned(site: Site, count: int = 1) -> list[str]:
    """Runs that began in this process with their owner."""
    runs = [site.new_run(owner=site.epoch) for _ in range(count)]

    async def start() -> None:
        await asyncio.gather(*(site.store.start_run(run) for run in runs))

    site.run(start())
    return [run.id for run in runs]


def test_it_stores_what_its_long_form_stores(site: Site) -> None:
    short, long = owned(site, 2)
    site.commit(end(site, short), transition_of(end(site, long)))
    one, other = site.load(short), site.load(long)
    assert (one.run.status, one.run.result, one.run.epoch) == ("completed", '{"n":1}', None)
    assert one.run.ended_at == site.clock.now()
    for name in ("status", "result", "error", "ended_at", "epoch", "reason", "failed_step"):
        assert getattr(one.run, name) == getattr(other.run, name)
    assert site.seqs(short) == site.seqs(long) == [1]
    assert [decided.run_id for news in site.news for decided in news.decisions() if decided.status == "completed"] == [
        short,
        long,
    ]


def test_several_in_a_group_stand_beside_rows_and_transitions(site: Site) -> None:
    runs = owned(site, 30)
    site.commit(*(end(site, run) for run in runs[:20]), *(site.journal(run, 1) for run in runs[20:28]), site.wait(runs[28]))
    found = [site.load(run).run.status for run in runs]
    assert found == ["completed"] * 20 + ["running"] * 8 + ["waiting", "running"]


def test_one_that_follows_on_a_change_of_its_run_in_one_transaction_comes_behind_it(site: Site) -> None:
    """The writer takes two commits of a worker together when they wait for it."""
    run, other = owned(site, 2)
    sleeping = Transition(run, rows=[site.journal(run, 1)], status="sleeping", reason="for a while")
    errors: list[StorageError | None] = [None, None, None]
    first = Commit(site.epoch, [sleeping], errors)
    site.store._transactor.process([first, Commit(site.epoch, [end(site, run, 2), end(site, other)], errors, 1)])
    assert errors == [None, None, None]
    found = [site.load(each).run for each in (run, other)]
    assert [(row.status, row.result, row.epoch) for row in found] == [("completed", '{"n":1}', None)] * 2
    assert [row.reason for row in found] == ["for a while", None]
    assert site.seqs(run) == [1, 2]


def test_one_that_cannot_be_stored_is_refused_alone(site: Site) -> None:
    good, bad, other = owned(site, 3)
    assert site.refusals(end(site, good), end(site, bad, result='"\0"'), end(site, other)) == [None, "UnstorableText", None]
    assert [site.load(run).run.status for run in (good, bad, other)] == ["completed", "running", "completed"]
    assert site.seqs(bad) == []


def test_only_the_owner_ends_a_run(site: Site) -> None:
    (run,) = owned(site)
    stranger = site.run(site.store.open_epoch("second"))
    assert site.refusals(end(site, run), epoch=stranger) == ["NotOwner"]
    assert site.load(run).run.status == "running"
    site.run(site.store.close_epoch(site.epoch))
    assert site.refusals(end(site, run)) == ["Fenced"]
    assert site.load(run).run.status == "running"


def test_a_parent_hears_of_it(site: Site) -> None:
    (parent,) = owned(site)
    child = site.new_run(owner=None)
    child.parent_run, child.parent_serial = parent, 4
    site.commit(Transition(parent, rows=[site.journal(parent, 1)], runs=[child]))
    (claimed,) = site.run(site.store.claim(site.epoch, 1))
    assert claimed.id == child.id
    site.commit(end(site, child.id))
    assert [(row.kind, row.serial) for row in site.run(site.store.inbox([parent]))] == [("child", 4)]


@pytest.mark.parametrize("had", ["timer", "wait", "inbox"])
def test_it_leaves_nothing_that_the_run_still_has(site: Site, had: str) -> None:
    """What the invariants, which end each of these tests, look at."""
    ending, other = owned(site, 2)
    for run in (ending, other):
        if had == "timer":
            timer = TimerRow(run, 1, site.clock.now() + SECOND, "sleep")
            site.commit(Transition(run, rows=[site.journal(run, 1)], timers=[timer]))
        elif had == "wait":
            site.commit(site.wait(run, release=False))
        else:
            assert site.run(site.store.ask_cancel(run, "enough")) == "cancelling"
    site.commit(end(site, ending, len(site.seqs(ending)) + 1))
    assert site.load(ending).run.status == "completed"
    assert site.run(site.store.inbox([ending])) == []
    assert len(site.run(site.store.inbox([other]))) == (had == "inbox")
    assert (site.run(site.store.next_timer()) is not None) == (had != "inbox")


@pytest.mark.postgres
def test_what_another_process_gave_a_run_goes_with_it(shared_site: Site) -> None:
    """The owner has never seen the row; a process that has come back to a run knows no longer what it has."""
    site = shared_site
    other = site.another()
    asked, lent = owned(site, 2)
    site.run(other.ask_cancel(asked, "enough"))
    site.commit(Transition(lent, release=True))
    theirs = site.run(other.open_epoch("second"))
    site.run(other.ask_cancel(lent, "enough"))
    (claimed,) = site.run(other.claim(theirs, 1))
    assert claimed.id == lent
    timer = TimerRow(lent, 9, site.clock.now() + SECOND, "sleep")
    site.run(other.commit(theirs, [Transition(lent, rows=[site.journal(lent, 1)], timers=[timer], release=True)]))
    site.run(other.close_epoch(theirs))
    (back,) = site.run(site.store.claim(site.epoch, 1))
    assert back.id == lent
    site.commit(end(site, asked), end(site, lent, 2))
    assert site.run(site.store.inbox([asked, lent])) == []
    assert site.run(site.store.next_timer()) is None
