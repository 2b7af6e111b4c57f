"""A run has one owner: claims exclude each other, dead owners lose their runs, cancel requests go to the owner."""

from __future__ import annotations

import asyncio
import json

import pytest
from msgspec.structs import replace

from flowgraph.codec import TypeRegistry, loads
from flowgraph_runtime.records import Transition
from flowgraph_runtime.storage import Conflict, Fenced, UnknownMachine, UnknownRun
from flowgraph_runtime.storage.ownership import TakeOver
from tests.storage.site import SECOND, Site


def test_claims_exclude_each_other(site: Site) -> None:
    runs = [site.new_run() for _ in range(60)]
    for run in runs:
        site.run(site.store.start_run(run))
    other = site.run(site.store.open_epoch("second"))

    async def race() -> list[list[str]]:
        claims = [site.store.claim(epoch, 7) for _ in range(5) for epoch in (site.epoch, other)]
        return [[row.id for row in rows] for rows in await asyncio.gather(*claims)]

    claimed = [id for _ in range(4) for ids in site.run(race()) for id in ids]  # each takes its share of what is left
    assert sorted(claimed) == [run.id for run in runs]


@pytest.mark.postgres
def test_each_of_several_workers_takes_its_share(shared_site: Site) -> None:
    site = shared_site
    for _ in range(9):
        site.run(site.store.start_run(site.new_run()))
    epochs = [site.epoch, site.run(site.store.open_epoch("second")), site.run(site.store.open_epoch("third"))]
    assert [len(site.run(site.store.claim(epoch, 100))) for epoch in epochs] == [3, 2, 2]
    for epoch in epochs[1:]:
        site.run(site.store.close_epoch(epoch))
    assert len(site.run(site.store.claim(site.epoch, 100))) == 6, "alone it takes all that is left"


def test_a_claim_takes_the_oldest_runs_whose_machine_it_knows(site: Site) -> None:
    site.run(site.store.save_machine("m_2", "pay", "{}", "{}"))
    runs = [site.new_run() for _ in range(4)]
    runs[0].machine = runs[2].machine = "m_2"
    for run in runs:
        site.run(site.store.start_run(run))
    assert [row.id for row in site.run(site.store.claim(site.epoch, 10, ["m_2"]))] == [runs[0].id, runs[2].id]
    assert site.run(site.store.claim(site.epoch, 10, [])) == []
    (row,) = site.run(site.store.claim(site.epoch, 1))
    assert (row.id, row.started_at, row.epoch) == (runs[1].id, site.clock.now(), site.epoch)
    assert site.run(site.store.live_machines([])) == {"m_1": 2, "m_2": 2}
    assert site.run(site.store.live_machines(["m_1", "m_3"])) == {"m_2": 2}


def test_a_run_needs_a_saved_machine(site: Site) -> None:
    run = site.new_run()
    run.machine = "m_unknown"
    with pytest.raises(UnknownMachine, match="'m_unknown'"):
        site.run(site.store.start_run(run))


def test_an_idempotency_key_starts_one_run(site: Site) -> None:
    first, same, other = (site.new_run(idempotency_key="k") for _ in range(3))
    other.input = "[2]"
    assert site.run(site.store.start_run(first)) == (first.id, True)
    assert site.run(site.store.start_run(same)) == (first.id, False)
    with pytest.raises(Conflict, match="idempotency key 'k' was used before with other data"):
        site.run(site.store.start_run(other))
    elsewhere = site.new_run(idempotency_key="k")
    elsewhere.workflow = "audit"
    assert site.run(site.store.start_run(elsewhere)) == (elsewhere.id, True)


def test_a_cancel_goes_to_the_owner_once(site: Site) -> None:
    (run,) = site.started()
    assert site.run(site.store.ask_cancel(run, "by hand")) == "cancelling"
    assert site.run(site.store.ask_cancel(run, "again")) == "cancelling"
    (row,) = site.load(run).inbox
    assert (row.kind, row.payload) == ("cancel", "by hand")
    site.commit(Transition(run, [site.journal(run, 1, "cancel")], inbox=[row.position], status="cancelled", error='"c"'))
    assert site.run(site.store.ask_cancel(run, "late")) == "already cancelled"
    with pytest.raises(UnknownRun, match="'run_nobody'"):
        site.run(site.store.ask_cancel("run_nobody", "x"))


def test_a_cancel_wakes_a_parked_run(site: Site) -> None:
    (run,) = site.started()
    site.commit(site.wait(run))
    assert site.run(site.store.claim(site.epoch, 1)) == []
    site.run(site.store.ask_cancel(run, "by hand"))
    assert [row.id for row in site.run(site.store.claim(site.epoch, 1))] == [run]


def test_a_run_cancels_another(site: Site) -> None:
    parent, child = site.started(2)
    site.commit(Transition(parent, [site.journal(parent, 1)], cancel_runs=[(child, "its parent was cancelled")]))
    assert [(row.kind, row.payload) for row in site.load(child).inbox] == [("cancel", "its parent was cancelled")]


def test_take_over_fences_the_dead_and_frees_their_runs(site: Site) -> None:
    runs = site.started(3)
    site.commit(site.wait(runs[0]))
    site.clock.advance(60 * SECOND)
    successor = site.run(site.store.open_epoch("second"))
    taken = site.run(site.store.take_over(successor, lease=10 * SECOND))
    assert (taken.epochs, taken.freed, taken.crashed) == ([site.epoch], 2, [])
    assert site.refusals(site.step(runs[1], 1)) == ["Fenced"]
    with pytest.raises(Fenced, match=f"epoch {site.epoch} is dead"):
        site.run(site.store.heartbeat(site.epoch))
    with pytest.raises(Fenced):
        site.run(site.store.claim(site.epoch, 1))
    assert {(row.id, row.takeovers) for row in site.run(site.store.claim(successor, 10))} == {(runs[1], 1), (runs[2], 1)}


def _lose(site: Site, epoch: int, lived: int = SECOND) -> tuple[int, TakeOver]:
    """The owner beats once more and dies -> its successor, and what that found."""
    site.clock.advance(lived)
    site.run(site.store.heartbeat(epoch))
    site.clock.advance(60 * SECOND)
    successor = site.run(site.store.open_epoch(f"after {epoch}"))
    return successor, site.run(site.store.take_over(successor, lease=10 * SECOND))


def _claimed(site: Site, epoch: int, limit: int = 100) -> list[str]:
    return [row.id for row in site.run(site.store.claim(epoch, limit))]


def _claimed_in_time(site: Site, epoch: int) -> list[str]:
    """What one owner gets in the course of time, sorted."""
    claimed: list[str] = []
    while more := _claimed(site, epoch):
        claimed += more
        site.clock.advance(600 * SECOND)
    return sorted(claimed)


def _suspects(site: Site, count: int) -> tuple[list[str], int]:
    """Runs that lost two owners without progress, and a fresh epoch."""
    runs = site.started(count)
    epoch, _ = _lose(site, site.epoch)
    assert _claimed(site, epoch) == runs
    return runs, _lose(site, epoch)[0]


def test_a_run_that_takes_down_four_owners_is_parked(site: Site) -> None:
    poison, healthy = site.started(2)
    child = site.new_run(parent_run=healthy, parent_serial=9)
    site.commit(Transition(healthy, [site.journal(healthy, 1)], runs=[child]))
    epoch = site.epoch
    for round_ in range(4):
        if round_ == 3:
            assert poison not in _claimed(site, epoch), "an owner that may be killed by something else does not try it"
            site.clock.advance(5 * SECOND)
        assert poison in _claimed(site, epoch) or round_ == 0
        assert site.run(site.store.commit(epoch, [site.step(healthy, 2 + round_)])) == [None]
        epoch, taken = _lose(site, epoch)
        assert taken.crashed == ([poison] if round_ == 3 else [])
    crashed = site.load(poison).run
    assert (crashed.status, crashed.ended_at, crashed.epoch) == ("crashed", site.clock.now(), None)
    assert "4 workers in a row went down" in str(crashed.error)
    assert _claimed_in_time(site, epoch) == sorted([child.id, healthy])


def test_the_parent_of_a_parked_run_hears_of_it(site: Site) -> None:
    (parent,) = site.started()
    child = site.new_run(parent_run=parent, parent_serial=9)
    wait = site.wait(parent)
    site.commit(Transition(parent, [site.journal(parent, 1)], runs=[child]))
    site.commit(wait)
    epoch = site.epoch
    for _ in range(4):
        site.clock.advance(600 * SECOND)
        assert _claimed(site, epoch) == [child.id]
        epoch, taken = _lose(site, epoch)
    assert taken.crashed == [child.id]
    (told,) = site.load(parent).inbox
    assert (told.kind, told.serial) == ("child", 9)
    end = json.loads(told.payload)
    assert end["status"] == "crashed"
    error = loads(end["payload"], TypeRegistry())
    assert isinstance(error, Exception), "the parent raises it"
    assert "workers in a row went down" in str(error)


@pytest.mark.parametrize("place", [0, 11, 20])
@pytest.mark.parametrize("progress", [True, False])
def test_a_run_that_kills_its_owners_is_found_among_innocent_ones(site: Site, place: int, progress: bool) -> None:
    """Nobody writes a journal row while a killer is about; `progress`: those that are tried do."""
    runs = site.started(21)
    poison = runs[place]
    epoch, owners, crashed = site.epoch, 1, list[str]()
    epoch, _ = _lose(site, epoch)
    while not crashed:
        owners += 1
        assert owners <= 4
        for _ in range(200):
            tried = _claimed(site, epoch)
            if poison in tried:
                break
            if progress:
                steps = [site.step(run, 1) for run in tried if not site.seqs(run)]
                assert site.run(site.store.commit(epoch, steps)) == [None] * len(steps)
            site.clock.advance(6 * SECOND)
        epoch, taken = _lose(site, epoch)
        crashed = taken.crashed
    assert crashed == [poison]
    assert _claimed_in_time(site, epoch) == sorted(set(runs) - {poison})


def test_suspects_are_tried_a_few_at_a_time_and_all_others_are_claimed(site: Site) -> None:
    runs, epoch = _suspects(site, 9)
    fresh = site.new_run()
    site.run(site.store.start_run(fresh))
    assert _claimed(site, epoch) == [*runs[:3], fresh.id]
    assert _claimed(site, epoch) == []
    assert site.run(site.store.commit(epoch, [site.step(run, 1) for run in runs[:2]])) == [None, None]
    assert _claimed(site, epoch) == []
    site.run(site.store.commit(epoch, [Transition(runs[2], status="failed", error="{}")]))
    assert _claimed(site, epoch) == runs[3:6]


def test_a_suspect_that_outlives_its_trial_makes_room_for_others_and_is_not_blamed(site: Site) -> None:
    (first, second, third), epoch = _suspects(site, 3)
    assert _claimed(site, epoch) == [first, second]
    site.clock.advance(6 * SECOND)
    assert _claimed(site, epoch) == [third]
    site.run(site.store.heartbeat(epoch))
    epoch, _ = _lose(site, epoch)
    assert _claimed(site, epoch) == [first, second], "who outlived a trial is a suspect again"
    site.clock.advance(60 * SECOND)
    assert [(row.id, row.takeovers) for row in site.run(site.store.claim(epoch, 9))] == [(third, 3)]
    site.clock.advance(60 * SECOND)
    epoch, taken = _lose(site, epoch)
    assert taken.crashed == [], "the trial was over when the owner died"


def test_a_trial_lasts_twice_as_long_as_the_last_owner_lived(site: Site) -> None:
    runs = site.started(2)
    epoch, _ = _lose(site, site.epoch)
    _claimed(site, epoch)
    epoch, _ = _lose(site, epoch, lived=100 * SECOND)
    assert _claimed(site, epoch, limit=1) == runs[:1]
    site.clock.advance(199 * SECOND)
    assert _claimed(site, epoch) == []
    site.clock.advance(2 * SECOND)
    assert _claimed(site, epoch) == runs[1:]


def test_what_kills_every_owner_soon_is_blamed_on_no_run(site: Site) -> None:
    runs = site.started(4)
    epoch = site.epoch
    for _ in range(12):
        epoch, taken = _lose(site, epoch)
        assert taken.crashed == []
        _claimed(site, epoch)
    site.clock.advance(600 * SECOND)
    assert set(_claimed_in_time(site, epoch)) <= set(runs)
    assert all(site.load(run).run.epoch == epoch for run in runs)


def test_each_owner_tries_its_own_suspects(site: Site) -> None:
    runs, epoch = _suspects(site, 9)
    other = site.run(site.store.open_epoch("second"))
    assert _claimed(site, epoch) == runs[:3]
    assert _claimed(site, other) == runs[3:6]
    assert _claimed(site, epoch) == _claimed(site, other) == []


def test_runs_that_lost_an_owner_are_claimed_first(site: Site) -> None:
    lost = site.started(2)
    site.clock.advance(60 * SECOND)
    successor = site.run(site.store.open_epoch("second"))
    site.run(site.store.take_over(successor, lease=SECOND))
    site.run(site.store.claim(successor, 1))
    third = site.run(site.store.open_epoch("third"))
    site.clock.advance(60 * SECOND)
    site.run(site.store.heartbeat(third))
    fresh = site.new_run()
    site.run(site.store.start_run(fresh))
    site.run(site.store.take_over(third, lease=SECOND))
    assert [(row.id, row.takeovers) for row in site.run(site.store.claim(third, 9))] == [
        (lost[0], 2),
        (lost[1], 1),
        (fresh.id, 0),
    ]


def test_an_owner_asks_which_of_its_runs_got_something(site: Site) -> None:
    first, second = site.started(2)
    assert site.run(site.store.with_inbox(site.epoch)) == []
    site.run(site.store.ask_cancel(second, "by hand"))
    assert site.run(site.store.with_inbox(site.epoch)) == [second]
    assert site.run(site.store.with_inbox(site.epoch + 1)) == []
    assert site.load(first).inbox == []


def test_an_owner_asks_what_it_owns_after_a_claim_whose_answer_was_lost(site: Site) -> None:
    first, second = site.started(2)
    site.commit(site.wait(first))
    assert site.run(site.store.owned(site.epoch)) == [second]
    assert site.run(site.store.owned(site.epoch + 1)) == []


# --- runs that have an owner from their start


def test_a_run_may_have_an_owner_from_its_start(site: Site) -> None:
    event = site.event()
    by_hand, keyed = site.new_run(owner=site.epoch), site.new_run(owner=site.epoch, idempotency_key="k")
    by_event, free = site.new_run(event, owner=site.epoch), site.new_run()
    for run in (by_hand, keyed, free):
        site.run(site.store.start_run(run))
    site.ingest(event, runs=[by_event])
    own = [by_hand.id, keyed.id, by_event.id]
    assert [row.id for news in site.news for row in news.owned] == own
    assert [id for news in site.news for id in news.created] == [by_hand.id, keyed.id, free.id, by_event.id]
    assert [id for news in site.news for id in news.ready] == [free.id]
    assert site.run(site.store.owned(site.epoch)) == own
    assert [row for news in site.news for row in news.owned] == [site.run(site.store.run(id)) for id in own]
    assert [row.id for row in site.run(site.store.claim(site.epoch, 9))] == [free.id]
    site.commit(*(site.step(run, 1) for run in own))


def test_what_is_told_of_an_owned_run_is_what_a_claim_would_answer(site: Site) -> None:
    event = site.event()
    run = site.new_run(event, owner=site.epoch)
    site.ingest(event, runs=[run])
    (told,) = (row for news in site.news for row in news.owned)
    site.run(site.store.close_epoch(site.epoch))
    successor = site.run(site.store.open_epoch("second"))
    assert site.run(site.store.claim(successor, 1)) == [replace(told, epoch=successor)]


def test_a_repeated_start_owns_nothing(site: Site) -> None:
    first, same = (site.new_run(owner=site.epoch, idempotency_key="k") for _ in range(2))
    assert site.run(site.store.start_run(first)) == (first.id, True)
    assert site.run(site.store.start_run(same)) == (first.id, False)
    assert site.run(site.store.owned(site.epoch)) == [first.id]


def test_a_dead_owner_gets_no_new_runs_and_hinders_no_others(site: Site) -> None:
    dead = site.run(site.store.open_epoch("second"))
    site.run(site.store.close_epoch(dead))
    with pytest.raises(Fenced):
        site.run(site.store.start_run(site.new_run(owner=dead)))
    runs = [site.new_run(owner=dead if number % 3 else site.epoch) for number in range(30)]

    async def together() -> list[object]:
        return await asyncio.gather(*(site.store.start_run(run) for run in runs), return_exceptions=True)

    answers = site.run(together())
    assert [type(answer) for answer in answers] == [Fenced if number % 3 else tuple for number in range(30)]
    assert site.run(site.store.owned(dead)) == []
    assert site.run(site.store.owned(site.epoch)) == [run.id for run in runs[::3]]


def test_a_run_whose_owner_goes_down_right_after_its_start_is_taken_over(site: Site) -> None:
    run = site.new_run(owner=site.epoch)
    site.run(site.store.start_run(run))
    site.clock.advance(60 * SECOND)
    successor = site.run(site.store.open_epoch("second"))
    assert site.run(site.store.take_over(successor, lease=SECOND)).freed == 1
    assert [(row.id, row.takeovers) for row in site.run(site.store.claim(successor, 9))] == [(run.id, 1)]


def test_closing_an_epoch_frees_its_runs_without_blame(site: Site) -> None:
    (run,) = site.started()
    assert site.run(site.store.close_epoch(site.epoch)) == 1
    successor = site.run(site.store.open_epoch("second"))
    assert [(row.id, row.takeovers) for row in site.run(site.store.claim(successor, 10))] == [(run, 0)]


def test_a_released_run_with_something_in_its_inbox_can_be_claimed_at_once(site: Site) -> None:
    (run,) = site.started()
    site.run(site.store.ask_cancel(run, "by hand"))
    site.commit(site.wait(run))
    assert site.news[-1].ready == [run]
    assert [row.id for row in site.run(site.store.claim(site.epoch, 1))] == [run]
