"""Races between processes on PostgreSQL: two stores write to one database at the same moment, 50 rounds each."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from flowgraph_runtime.records import SlotNeed, SlotRequest, Transition
from flowgraph_runtime.storage import Store
from flowgraph_runtime.storage.invariants import violations
from flowgraph_runtime.storage.transaction import Catalog, Tx
from flowgraph_runtime.storage.transitions import apply_transitions
from tests.storage.site import SECOND, Site

pytestmark = pytest.mark.postgres
ROUNDS = 50


def test_an_event_and_a_wait_do_not_miss_each_other(shared_site: Site) -> None:
    site, poster = shared_site, shared_site.another()
    runs = site.started(ROUNDS)

    async def round_(run: str, number: int) -> tuple[object, object]:
        event = site.event("paid", booking=f"s:{number}")
        return await asyncio.gather(
            poster.ingest([event], []), site.store.commit(site.epoch, [site.wait(run, booking=f"s:{number}")])
        )

    offers = []
    for number, run in enumerate(runs):
        _, errors = site.run(round_(run, number))
        assert errors == [None]
        offers.append(len(site.offered(run)))
    assert offers == [1] * ROUNDS


def test_many_posters_and_registrars_lose_nothing(shared_site: Site) -> None:
    site, poster = shared_site, shared_site.another()
    runs = site.started(ROUNDS)

    async def all_together() -> None:
        events = [site.event("paid", booking=f"s:{number}") for number in range(ROUNDS)]
        posts = [poster.ingest([event], []) for event in reversed(events)]
        waits = [site.store.commit(site.epoch, [site.wait(run, booking=f"s:{number}")]) for number, run in enumerate(runs)]
        await asyncio.gather(*posts, *waits)

    site.run(all_together())
    assert [len(site.offered(run)) for run in runs] == [1] * ROUNDS


def test_a_run_that_is_given_up_while_something_arrives_is_claimed_again(shared_site: Site) -> None:
    site, other = shared_site, shared_site.another()
    runs = site.started(ROUNDS)

    async def round_(run: str) -> list[str]:
        await asyncio.gather(site.store.commit(site.epoch, [site.wait(run)]), other.ask_cancel(run, "by hand"))
        return [row.id for row in await site.store.claim(site.epoch, 1)]

    assert [site.run(round_(run)) for run in runs] == [[run] for run in runs]


def test_one_client_id_is_stored_once_by_two_processes(shared_site: Site) -> None:
    site, other = shared_site, shared_site.another()

    async def round_(number: int) -> tuple[bool, bool]:
        first, second = (site.event(client_id=f"c-{number}") for _ in range(2))
        one, two = await asyncio.gather(
            site.store.ingest([first], [site.new_run(first)]), other.ingest([second], [site.new_run(second)])
        )
        assert (one[0].event_id, one[0].run_ids) == (two[0].event_id, two[0].run_ids)
        return one[0].duplicate, two[0].duplicate

    assert all(sorted(site.run(round_(number))) == [False, True] for number in range(ROUNDS))


def test_one_sender_s_id_starts_one_run_in_two_processes(shared_site: Site) -> None:
    site, other = shared_site, shared_site.another()

    async def round_(number: int) -> tuple[int, int]:
        first, second = (site.event(client_id=f"c-{number}", dedup="start") for _ in range(2))
        one, two = await asyncio.gather(
            site.store.ingest([first], [site.new_run(first)]), other.ingest([second], [site.new_run(second)])
        )
        assert (one[0].event_id, two[0].event_id) == (first.id, second.id)
        return len(one[0].run_ids), len(two[0].run_ids)

    assert all(sorted(site.run(round_(number))) == [0, 1] for number in range(ROUNDS))


def test_one_sending_that_arrives_twice_at_once_is_stored_once(shared_site: Site) -> None:
    site, other = shared_site, shared_site.another()

    async def round_() -> list[tuple[str, ...]]:
        event = site.event(dedup="start")
        one, two = await asyncio.gather(
            site.store.ingest([event], [site.new_run(event)]), other.ingest([replace(event)], [site.new_run(event)])
        )
        assert one[0].event_id == two[0].event_id == event.id
        return [one[0].run_ids, two[0].run_ids]

    for _ in range(ROUNDS):
        one, two = site.run(round_())
        assert one == two
        assert len(one) == 1


def test_one_idempotency_key_starts_one_run_in_two_processes(shared_site: Site) -> None:
    site, other = shared_site, shared_site.another()

    async def start(store: Store, number: int) -> tuple[str, bool]:
        return await store.start_run(site.new_run(idempotency_key=f"k{number}"))

    async def round_(number: int) -> tuple[tuple[str, bool], tuple[str, bool]]:
        return await asyncio.gather(start(site.store, number), start(other, number))

    for number in range(ROUNDS):
        (one, new_one), (two, new_two) = site.run(round_(number))
        assert one == two
        assert new_one != new_two


def test_runs_that_send_to_each_other_do_not_deadlock(shared_site: Site) -> None:
    site, other = shared_site, shared_site.another()
    epoch = site.run(other.open_epoch("second"))
    left, right = site.started(), site.started(store=other, epoch=epoch)
    site.commit(site.wait(left[0], release=False, booking="s:left"))
    assert site.run(other.commit(epoch, [site.wait(right[0], release=False, booking="s:right")])) == [None]

    async def send(store: Store, owner: int, run: str, target: str, seq: int) -> list[object]:
        event = site.event("paid", booking=target)
        return list(await store.commit(owner, [Transition(run, [site.journal(run, seq)], events=[event], status="running")]))

    async def round_(seq: int) -> list[list[object]]:
        sends = send(site.store, site.epoch, left[0], "s:right", seq), send(other, epoch, right[0], "s:left", seq)
        return list(await asyncio.gather(*sends))

    for seq in range(1, ROUNDS):
        assert site.run(round_(seq)) == [[None], [None]]
    assert len(site.offered(left[0])) == len(site.offered(right[0])) == ROUNDS - 1


def test_a_worker_stopped_inside_a_transaction_does_not_block_take_over(shared_site: Site) -> None:
    site, stopped = shared_site, shared_site.another()
    epoch = site.run(stopped.open_epoch("stopped"))
    (run,) = site.started(store=stopped, epoch=epoch)
    writing = stopped._database.writing()  # what a process that got SIGSTOP in the middle of a commit leaves open
    writing.begin()
    writing.rows("SELECT state FROM fg_epoch WHERE id = :epoch FOR SHARE", epoch=epoch)
    site.clock.advance(60 * SECOND)
    site.run(site.store.heartbeat(site.epoch))
    taken = site.run(site.store.take_over(site.epoch, lease=SECOND))
    assert taken.epochs == [epoch]
    assert [row.id for row in site.run(site.store.claim(site.epoch, 1))] == [run]
    writing.rollback()
    assert [type(error).__name__ for error in site.run(stopped.commit(epoch, [site.step(run, 1)]))] == ["Fenced"]


def test_an_epoch_does_not_die_under_a_commit_that_has_begun(shared_site: Site) -> None:
    site, busy = shared_site, shared_site.another()
    epoch = site.run(busy.open_epoch("busy"))
    (run,) = site.started(store=busy, epoch=epoch)
    writing = busy._database.writing()
    writing.begin()
    apply_transitions(Tx(busy._database, Catalog(), site.clock), epoch, [site.step(run, 1)])

    async def close_meanwhile() -> tuple[bool, int]:
        closing = asyncio.create_task(site.store.close_epoch(epoch))
        done, _ = await asyncio.wait({closing}, timeout=0.3)
        writing.commit()
        return bool(done), await closing

    assert site.run(close_meanwhile()) == (False, 1)
    assert site.seqs(run) == [1]
    assert [type(error).__name__ for error in site.run(busy.commit(epoch, [site.step(run, 2)]))] == ["Fenced"]


def test_three_processes_keep_a_limit_together(shared_site: Site) -> None:
    """Each asks for slots and gives them back as fast as it can; after every round the invariants are looked at."""
    site = shared_site
    stores = [site.store, site.another(), site.another()]
    epochs = [site.epoch, *(site.run(store.open_epoch("more")) for store in stores[1:])]
    (run,) = site.started()
    held: dict[int, set[int]] = {epoch: set() for epoch in epochs}
    needs = (SlotNeed("w", "s:a", 3), SlotNeed("all", "", 2))

    async def work(store: Store, epoch: int, ticket: int) -> None:
        request = SlotRequest(ticket, run, 1, ticket, needs[: 1 + ticket % 2])
        given_back = held[epoch]
        await store.slots.exchange(epoch, [request], given_back)
        held[epoch] = set(await store.slots.granted(epoch))

    async def round_(ticket: int) -> None:
        await asyncio.gather(*(work(store, epoch, ticket) for store, epoch in zip(stores, epochs, strict=True)))

    for ticket in range(1, ROUNDS + 1):
        site.run(round_(ticket))
        assert violations(site.store) == []
    for store, epoch in zip(stores[1:], epochs[1:], strict=True):
        site.run(store.close_epoch(epoch))
    served = set()
    while granted := site.run(site.store.slots.granted(site.epoch)):
        served.update(granted)
        site.run(site.store.slots.exchange(site.epoch, [], granted))
    assert ROUNDS in served, "the last one had its turn"
