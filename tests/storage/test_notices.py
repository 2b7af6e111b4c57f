"""What other processes are told of a commit: all that they may wait for, and nothing that only its own process needs."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from flowgraph_runtime.records import SlotNeed, SlotRequest, Transition
from flowgraph_runtime.storage import Notice, Store
from flowgraph_runtime.storage.announcing import NAMED, read
from tests.storage.site import SECOND, Site


@pytest.mark.parametrize(
    ("text", "notice"),
    [
        ("", Notice("missed")),
        ("ready", Notice("ready")),
        ("inbox 7", Notice("inbox", 7)),
        ("inbox 7 run_a run_b", Notice("inbox", 7, ("run_a", "run_b"))),
        ("slots 7 3 4", Notice("slots", 7, ("3", "4"))),
        ("inbox", Notice("missed")),
        ("inbox all", Notice("missed")),
        ("ready now", Notice("missed")),
        ("of a later version", Notice("missed")),
    ],
)
def test_a_notice_is_read_and_an_unknown_one_says_look_around(text: str, notice: Notice) -> None:
    assert read(text) == notice


def test_on_sqlite_there_is_nobody_to_hear(tmp_path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/alone.db")
    try:
        assert asyncio.run(_until(store, 1)) == []
    finally:
        store.close()


async def _until(store: Store, count: int) -> list[Notice]:
    heard: list[Notice] = []
    async with aclosing(store.notices()) as notices:
        async for notice in notices:
            heard.append(notice)
            if len(heard) >= count:
                break
    return heard


class Ear:
    """A process that listens while the site commits: `heard(n)` are the next n notices."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._notices = site.another().notices()
        assert self.heard(1) == [Notice("missed")], "who begins to listen looks around"

    def heard(self, count: int) -> list[Notice]:
        async def following() -> list[Notice]:
            async with asyncio.timeout(20):
                return [await anext(self._notices) for _ in range(count)]

        return self._site.run(following())

    def close(self) -> None:
        self._site.run(self._notices.aclose())


@pytest.fixture
def ear(shared_site: Site):
    ear = Ear(shared_site)
    yield ear
    ear.close()


@pytest.mark.postgres
def test_new_runs_and_freed_ones_are_announced(shared_site: Site, ear: Ear) -> None:
    site = shared_site
    (run,) = site.started()
    assert ear.heard(1) == [Notice("ready")]
    site.commit(site.step(run, 1))  # of no interest to others
    site.run(site.store.hand_over(site.epoch, [run]))
    assert ear.heard(1) == [Notice("ready")]


@pytest.mark.postgres
def test_the_owner_hears_of_its_inbox_from_others_only(shared_site: Site, ear: Ear) -> None:
    site, other = shared_site, shared_site.another()
    epoch = site.run(other.open_epoch("other"))
    mine, theirs = site.started(), site.started(2, store=other, epoch=epoch)
    site.run(site.store.ask_cancel(mine[0], "by hand"))  # its own process is told by `on_commit`
    site.run(site.store.ask_cancel(theirs[0], "by hand"))
    site.run(other.ask_cancel(mine[0], "again"))  # is there already
    site.run(other.ask_cancel(theirs[1], "by hand"))
    site.started()
    assert ear.heard(4) == [Notice("ready"), Notice("ready"), Notice("inbox", epoch, (theirs[0],)), Notice("ready")]


@pytest.mark.postgres
def test_too_many_runs_are_not_named(shared_site: Site, ear: Ear) -> None:
    site, other = shared_site, shared_site.another()
    epoch = site.run(other.open_epoch("other"))
    runs = site.started(NAMED + 1, store=other, epoch=epoch)
    parent = site.started()[0]
    ear.heard(2)
    site.commit(Transition(parent, [site.journal(parent, 1)], cancel_runs=[(run, "enough") for run in runs]))
    assert ear.heard(1) == [Notice("inbox", epoch)]


@pytest.mark.postgres
def test_who_gets_a_slot_that_another_process_gave_back_hears_of_it(shared_site: Site, ear: Ear) -> None:
    site, other = shared_site, shared_site.another()
    epoch = site.run(other.open_epoch("other"))
    (run,) = site.started()
    ear.heard(1)
    needs = (SlotNeed("w", "s:a", 1),)
    site.run(site.store.slots.exchange(site.epoch, [SlotRequest(1, run, 1, 1, needs)], []))
    site.run(other.slots.exchange(epoch, [SlotRequest(5, run, 2, 2, needs)], []))
    site.run(site.store.slots.exchange(site.epoch, [], [1]))
    assert ear.heard(1) == [Notice("slots", epoch, ("5",))]


@pytest.mark.postgres
def test_whoever_fell_silent_is_due_for_take_over_when_its_lease_ends(shared_site: Site) -> None:
    site, other = shared_site, shared_site.another()
    assert site.run(site.store.take_over(site.epoch, lease=10 * SECOND)).next_in is None
    epoch = site.run(other.open_epoch("other"))
    site.clock.advance(4 * SECOND)
    assert site.run(site.store.take_over(site.epoch, lease=10 * SECOND)).next_in == 6 * SECOND
    site.run(other.heartbeat(epoch))
    assert site.run(site.store.take_over(site.epoch, lease=10 * SECOND)).next_in == 10 * SECOND
    site.clock.advance(10 * SECOND + 1)
    assert site.run(site.store.take_over(site.epoch, lease=10 * SECOND)).epochs == [epoch]


@pytest.mark.postgres
def test_who_was_out_of_touch_judges_nobody(shared_site: Site) -> None:
    """After an outage all heartbeats are old; the first worker back must not take the others for dead."""
    site, other = shared_site, shared_site.another()
    epoch = site.run(other.open_epoch("other"))
    writing = site.store._database.writing()
    writing._now -= 60 * SECOND  # type: ignore[attr-defined]  # as if its last transaction had been a minute ago
    site.clock.advance(60 * SECOND)
    assert site.run(site.store.take_over(site.epoch, lease=10 * SECOND)).epochs == []
    site.run(other.heartbeat(epoch))
    writing._in_touch_since -= 11 * SECOND  # type: ignore[attr-defined]  # it was in touch for a lease
    site.clock.advance(11 * SECOND)
    assert site.run(site.store.take_over(site.epoch, lease=10 * SECOND)).epochs == [epoch]


@pytest.mark.postgres
def test_signs_of_life_do_not_wait_for_commits(shared_site: Site) -> None:
    """A worker was stopped with a lock that every limit needs; the others wait for it, and must not be taken for dead."""
    site, stopped = shared_site, shared_site.another()
    epoch = site.run(stopped.open_epoch("stopped"))
    writing = stopped._database.writing()
    writing.begin()
    writing.lock_buckets(range(257))
    writing.flush()
    blocked = site.another()

    async def scenario() -> tuple[bool, list[int]]:
        waiting = asyncio.create_task(blocked.close_epoch(await blocked.open_epoch("blocked")))
        await asyncio.sleep(0.2)
        await site.store.heartbeat(site.epoch)
        site.clock.advance(60 * SECOND)
        await site.store.heartbeat(site.epoch)
        was_blocked = not waiting.done()
        taken = await site.store.take_over(site.epoch, lease=SECOND)
        await waiting
        return was_blocked, taken.epochs

    was_blocked, taken = site.run(scenario())
    writing.rollback()
    assert was_blocked
    assert epoch in taken
