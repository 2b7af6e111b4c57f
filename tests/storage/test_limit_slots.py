"""Slots of concurrency limits: never more than the limit, in turn, all or none, and gone with their owner."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from flowgraph_runtime.records import SlotNeed, SlotRequest, Transition
from flowgraph_runtime.storage.invariants import violations
from flowgraph_runtime.storage.limits import RunRequest
from tests.storage.site import SECOND, Site


class Owner:
    """A worker's view: what it asked for, and what it was told."""

    def __init__(self, site: Site, epoch: int | None = None) -> None:
        self.site, self.store = site, site.store
        self.epoch = site.epoch if epoch is None else epoch
        self.ready = 0
        self.news: list[tuple[int, int]] = []
        self.store.on_commit = lambda news: self.news.extend(news.slots)

    def exchange(self, *requests: SlotRequest, back: tuple[int, ...] = ()) -> list[int]:
        """Give back and ask -> the tickets that got their slots by it, in order."""
        self.news.clear()
        self.site.run(self.store.slots.exchange(self.epoch, requests, back))
        return [ticket for epoch, ticket in self.news if epoch == self.epoch]

    def request(self, run: str, ticket: int, *needs: tuple[str, int], key: str = "s:a", at: int | None = None) -> SlotRequest:
        self.ready += 1
        slots = tuple(SlotNeed(pool, key, limit) for pool, limit in needs)
        return SlotRequest(ticket, run, 1, self.ready if at is None else at, slots)


@pytest.fixture
def owner(site: Site) -> Owner:
    return Owner(site)


def test_no_more_than_the_limit_hold_a_slot_and_the_next_follow_in_turn(site: Site, owner: Owner) -> None:
    (run,) = site.started()
    assert owner.exchange(*(owner.request(run, ticket, ("w", 2)) for ticket in range(1, 6))) == [1, 2]
    assert owner.exchange(back=(1,)) == [3]
    assert owner.exchange(back=(2, 3)) == [4, 5]
    assert owner.exchange(back=(4, 5)) == []


def test_keys_do_not_stand_in_each_others_way(site: Site, owner: Owner) -> None:
    (run,) = site.started()
    requests = [owner.request(run, number, ("w", 1), key=f"s:{number % 3}") for number in range(1, 7)]
    assert owner.exchange(*requests) == [1, 2, 3]
    assert owner.exchange(back=(2,)) == [5]


def test_whose_turn_it_is_goes_by_the_time_since_when_it_is_ready(site: Site, owner: Owner) -> None:
    (run,) = site.started()
    owner.exchange(owner.request(run, 1, ("w", 1), at=10))
    for ticket, at in ((2, 40), (3, 20), (4, 30)):
        owner.exchange(owner.request(run, ticket, ("w", 1), at=at))
    assert [owner.exchange(back=(back,)) for back in (1, 3, 4)] == [[3], [4], [2]]


def test_a_request_gets_all_its_slots_or_none(site: Site, owner: Owner) -> None:
    (run,) = site.started()
    assert owner.exchange(owner.request(run, 1, ("narrow", 1), ("wide", 2))) == [1]
    assert owner.exchange(owner.request(run, 2, ("narrow", 1), ("wide", 2))) == []
    assert owner.exchange(owner.request(run, 3, ("wide", 2))) == [3], "it does not need what the one before it waits for"
    assert owner.exchange(owner.request(run, 4, ("wide", 2))) == []
    assert owner.exchange(back=(1,)) == [2], "the first in turn, not the first that fits"
    assert owner.exchange(back=(3,)) == [4]


def test_two_limits_in_any_order_do_not_lock_each_other_up(site: Site, owner: Owner) -> None:
    (run,) = site.started()
    requests = [owner.request(run, n, *((("a", 1), ("b", 1)) if n % 2 else (("b", 1), ("a", 1)))) for n in range(1, 7)]
    order = owner.exchange(*requests)
    while len(order) < 6:
        order += owner.exchange(back=(order[-1],))
    assert order == [1, 2, 3, 4, 5, 6]


def test_a_repeated_request_changes_nothing(site: Site, owner: Owner) -> None:
    (run,) = site.started()
    requests = [owner.request(run, ticket, ("w", 1)) for ticket in (1, 2)]
    assert owner.exchange(*requests) == [1]
    assert owner.exchange(*requests) == []
    assert site.run(site.store.slots.granted(owner.epoch)) == [1]
    assert owner.exchange(back=(1,)) == [2]
    assert owner.exchange(back=(1,)) == []


def test_what_waits_can_be_taken_back(site: Site, owner: Owner) -> None:
    (run,) = site.started()
    owner.exchange(*(owner.request(run, ticket, ("w", 1)) for ticket in (1, 2, 3)))
    assert owner.exchange(back=(2,)) == []
    assert owner.exchange(back=(1,)) == [3]


def test_what_a_run_waits_for_is_told(site: Site, owner: Owner) -> None:
    one, two = site.started(2)
    owner.exchange(owner.request(one, 1, ("w", 1), ("other", 5), at=7), owner.request(two, 2, ("w", 1), ("other", 5), at=8))
    assert site.run(site.store.slots.waiting(one)) == []
    (told,) = site.run(site.store.slots.waiting(two))
    assert (told.serial, told.pool, told.key, told.limit, told.at) == (1, "w", "s:a", 1, 8)


def test_a_run_that_ends_waits_for_nothing_more_and_its_running_attempt_keeps_its_slot(site: Site, owner: Owner) -> None:
    one, two = site.started(2)
    owner.exchange(owner.request(one, 1, ("w", 1)), owner.request(one, 2, ("w", 1)), owner.request(two, 3, ("w", 1)))
    site.commit(Transition(one, status="failed", error="null", release=True, frees_slots=True))
    assert owner.exchange(owner.request(one, 4, ("w", 1))) == [], "a request that comes after the end is dropped"
    assert owner.exchange(back=(1,)) == [3]


def test_slots_of_an_epoch_go_with_it(site: Site, owner: Owner) -> None:
    (run,) = site.started()
    other = site.run(site.store.open_epoch("other"))
    assert owner.exchange(owner.request(run, 1, ("w", 1)), owner.request(run, 2, ("w", 1))) == [1]
    later = Owner(site, other)
    assert later.exchange(later.request(run, 1, ("w", 1), at=9)) == []
    later.news.clear()
    site.run(site.store.close_epoch(site.epoch))
    assert later.news == [(other, 1)]
    assert site.run(site.store.slots.granted(other)) == [1]
    assert site.run(site.store.slots.granted(site.epoch)) == []


def test_a_dead_epoch_asks_in_vain(site: Site, owner: Owner) -> None:
    (run,) = site.started()
    site.run(site.store.close_epoch(site.epoch))
    with pytest.raises(Exception, match="epoch"):
        owner.exchange(owner.request(run, 1, ("w", 1)))


def test_every_schedule_keeps_the_limits_and_lets_everybody_through(site: Site, owner: Owner) -> None:
    chance = random.Random(11)
    runs = site.started(5)
    pools = {"a": 1, "b": 2, "c": 3}
    waiting: dict[int, list[tuple[str, str]]] = {}
    held: dict[int, list[tuple[str, str]]] = {}
    for ticket in range(1, 61):
        chosen = chance.sample(sorted(pools), chance.randint(1, 3))
        request = owner.request(chance.choice(runs), ticket, *((p, pools[p]) for p in chosen), key=chance.choice("xy"))
        waiting[ticket] = [(need.pool, need.key) for need in request.needs]
        back = tuple(chance.sample(sorted(held), chance.randint(0, min(2, len(held)))))
        for given in back:
            del held[given]
        for granted in owner.exchange(request, back=back):
            held[granted] = waiting.pop(granted)
        counts = Counter(lane for lanes in held.values() for lane in lanes)
        assert all(count <= pools[pool] for (pool, _), count in counts.items())
        if not ticket % 10:
            assert violations(site.store) == []
    while held:
        (first, *_) = held
        del held[first]
        for granted in owner.exchange(back=(first,)):
            held[granted] = waiting.pop(granted)
    assert waiting == {}


# --- limits of runs


def _request(run: str, limit: int = 1, key: str = "s:a") -> RunRequest:
    return RunRequest(run, 0, (SlotNeed("w", key, limit),))


def _admit(site: Site, *runs: str, **more: int) -> list[str]:
    answer = site.run(site.store.slots.admit(site.epoch, [_request(run, **more) for run in runs]))
    return [answer[run] for run in runs]


def _end(run: str) -> Transition:
    return Transition(run, status="completed", result="null", release=True, frees_slots=True)


def test_a_run_that_is_not_admitted_is_given_up_until_it_is_its_turn(site: Site) -> None:
    one, two, three = site.started(3)
    assert _admit(site, one, two, three) == ["admitted", "queued", "queued"]
    queued = site.run(site.store.run(two))
    assert queued is not None
    assert (queued.status, queued.epoch, queued.started_at) == ("queued", None, None)
    assert site.run(site.store.claim(site.epoch, 9)) == []
    site.news.clear()
    site.commit(_end(one))
    assert [run for news in site.news for run in news.ready] == [two]
    assert [row.id for row in site.run(site.store.claim(site.epoch, 9))] == [two]
    assert _admit(site, two) == ["admitted"]
    site.commit(_end(two))
    assert [row.id for row in site.run(site.store.claim(site.epoch, 9))] == [three]


def test_asking_again_after_an_outcome_that_was_not_heard_lets_no_second_run_live(site: Site) -> None:
    """The first request gave the run up; by the second it may be somebody else's already."""
    one, two = site.started(2)
    assert _admit(site, one, two) == ["admitted", "queued"]
    assert _admit(site, one, two) == ["admitted", "queued"]
    site.commit(_end(one))
    assert _admit(site, two) == ["queued"], "it has its slot, and nobody has claimed it"
    assert [row.id for row in site.run(site.store.claim(site.epoch, 9))] == [two]
    assert _admit(site, two) == ["admitted"]


def test_a_sleeping_run_keeps_its_slot_over_the_end_of_its_owner(site: Site) -> None:
    one, two = site.started(2)
    assert _admit(site, one, two) == ["admitted", "queued"]
    site.commit(site.wait(one))
    site.run(site.store.close_epoch(site.epoch))
    site.epoch = site.run(site.store.open_epoch("next"))
    assert site.run(site.store.claim(site.epoch, 9)) == []
    site.run(site.store.ask_cancel(one, "by hand"))
    assert [row.id for row in site.run(site.store.claim(site.epoch, 9))] == [one]
    assert _admit(site, one) == ["admitted"]


def test_a_queued_run_that_is_cancelled_is_claimed_without_a_slot(site: Site) -> None:
    one, two = site.started(2)
    assert _admit(site, one, two) == ["admitted", "queued"]
    assert site.run(site.store.ask_cancel(two, "by hand")) == "cancelling"
    assert [row.id for row in site.run(site.store.claim(site.epoch, 9))] == [two]
    assert _admit(site, two) == ["called"]
    site.commit(_end(two))
    assert site.run(site.store.slots.waiting(two)) == []


def test_a_run_that_took_its_owners_down_frees_its_slot_when_it_is_parked(site: Site) -> None:
    one, two = site.started(2)
    assert _admit(site, one, two) == ["admitted", "queued"]
    while one in (claimed := _next_life(site)):
        assert _admit(site, one) == ["admitted"]
    row = site.run(site.store.run(one))
    assert row is not None
    assert row.status == "crashed"
    assert claimed == [two]


def _next_life(site: Site) -> list[str]:
    """The owner dies, another one takes over and claims when it has lived for a while."""
    site.epoch = site.run(site.store.open_epoch("next life"))
    site.clock.advance(700 * SECOND)
    site.run(site.store.heartbeat(site.epoch))
    site.run(site.store.take_over(site.epoch))
    return [row.id for row in site.run(site.store.claim(site.epoch, 9))]
