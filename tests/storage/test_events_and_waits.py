"""An event is stored once, starts its runs once, and reaches every wait it matches, whether it came before or after."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from flowgraph_runtime.records import EventRow, NewRun, Transition, WaitRow
from flowgraph_runtime.storage import Conflict, IngestResult, UnstorableText, early, event_pages
from tests.storage.site import SECOND, Site


def test_an_event_starts_its_runs(site: Site) -> None:
    event = site.event()
    first, second = site.new_run(event), site.new_run(event)
    second.workflow = "audit"
    (result,) = site.ingest(event, runs=[first, second])
    assert (result.event_id, result.run_ids, result.duplicate) == (event.id, (first.id, second.id), False)
    claimed = site.run(site.store.claim(site.epoch, 10))
    assert [(row.id, row.workflow, row.event_id) for row in claimed] == [
        (first.id, "pay", event.id),
        (second.id, "audit", event.id),
    ]
    assert [news.ready for news in site.news if news.events] == [[first.id, second.id]]


def test_a_repeated_client_id_is_the_first_event(site: Site) -> None:
    first = site.event(client_id="c-1", data='{"n":1}')
    run = site.new_run(first)
    site.ingest(first, runs=[run])
    again = site.event(client_id="c-1", data='{"n":1}')
    (result,) = site.ingest(again, runs=[site.new_run(again)])
    assert (result.event_id, result.run_ids, result.duplicate) == (first.id, (run.id,), True)
    assert len(site.run(site.store.claim(site.epoch, 10))) == 1


def test_the_same_client_id_under_another_name_is_another_event(site: Site) -> None:
    results = site.ingest(site.event("a", client_id="c-1"), site.event("b", client_id="c-1", data='{"other":1}'))
    assert [result.duplicate for result in results] == [False, False]


def test_a_client_id_with_other_data_conflicts_and_nothing_of_the_batch_is_stored(site: Site) -> None:
    first = site.event(client_id="c-1", data='{"n":1}')
    site.ingest(first)
    fresh = site.event()
    with pytest.raises(Conflict, match="'c-1' was used before with other data") as caught:
        site.ingest(fresh, site.event(client_id="c-1", data='{"n":2}'), runs=[site.new_run(fresh)])
    assert caught.value.existing == first.id
    assert site.run(site.store.event(fresh.id)) is None
    assert site.run(site.store.claim(site.epoch, 10)) == []


def together(site: Site, *sends: Coroutine[Any, Any, list[IngestResult] | None]) -> list[Any]:
    """Send while the writer is busy, so that all of them wait for it -> results and errors."""
    gate = threading.Event()

    async def open_gate() -> None:
        gate.set()

    async def all_of_them() -> list[Any]:
        busy = site.store._write(lambda _: gate.wait(30))
        return await asyncio.gather(busy, *sends, open_gate(), return_exceptions=True)

    return site.run(all_of_them())[1:-1]


def test_those_who_send_while_the_writer_is_busy_share_a_transaction_and_each_gets_its_own_answer(site: Site) -> None:
    events = [site.event(order=str(number)) for number in range(5)]
    runs = {event.id: site.new_run(event) for event in events[1:]}
    sends = [site.store.ingest([event], [runs[event.id]] if event.id in runs else []) for event in events]
    answers = together(site, *sends)
    found = [(result.event_id, result.run_ids) for (result,) in answers]
    assert found == [(event.id, (runs[event.id].id,) if event.id in runs else ()) for event in events]
    assert [len(news.events) for news in site.news if news.events] == [5]


def test_of_several_senders_of_one_id_at_once_the_first_one_starts_its_run_alone(site: Site) -> None:
    event = site.event(client_id="c-1")
    copies = [replace(event) for _ in range(3)]
    runs = [site.new_run(event) for _ in copies]
    answers = together(site, *(site.store.ingest([copy], [run]) for copy, run in zip(copies, runs, strict=True)))
    assert [(result.run_ids, result.duplicate) for (result,) in answers] == [((runs[0].id,), n > 0) for n in range(3)]
    assert [row.id for row in site.run(site.store.claim(site.epoch, 10))] == [runs[0].id]


def test_a_conflict_of_one_sender_leaves_the_others_of_its_transaction_alone(site: Site) -> None:
    first, other, fresh = site.event(client_id="c-1"), site.event(client_id="c-1", data='{"n":2}'), site.event()
    stored, refused, alone = together(site, *(site.store.ingest([event], []) for event in (first, other, fresh)))
    assert isinstance(refused, Conflict)
    assert refused.existing == first.id
    assert [stored[0].event_id, alone[0].event_id] == [first.id, fresh.id]
    assert site.run(site.store.event(other.id)) is None


def test_the_order_of_members_makes_no_other_data(site: Site) -> None:
    first = site.event(client_id="c-1", data='{"a":1,"b":[true]}')
    site.ingest(first)
    (result,) = site.ingest(site.event(client_id="c-1", data='{"b":[true],"a":1}'))
    assert (result.event_id, result.duplicate) == (first.id, True)
    with pytest.raises(Conflict):
        site.ingest(site.event(client_id="c-1", data='{"b":[1],"a":1}'))


def _starting(site: Site, client_id: str | None = "c-1", **more: Any) -> tuple[EventRow, NewRun]:
    """An event whose sender's id deduplicates the starts, and the run that it starts."""
    event = site.event(client_id=client_id, dedup="start", **more)
    return event, site.new_run(event)


def test_an_id_that_deduplicates_starts_is_stored_again_and_starts_nothing(site: Site) -> None:
    (first, run), (again, other) = _starting(site), _starting(site, data='{"other":1}')
    assert [result.run_ids for result in site.ingest(first, runs=[run])] == [(run.id,)]
    (result,) = site.ingest(again, runs=[other])
    assert (result.event_id, result.run_ids, result.duplicate) == (again.id, (), False)
    assert first.id in str(result.reason)
    assert [row.id for row in site.run(site.store.claim(site.epoch, 10))] == [run.id]
    found = site.run(site.store.event(again.id))
    assert found is not None
    assert (found.event.client_id, found.event.reason, found.started) == ("c-1", result.reason, ())


def test_starts_are_deduplicated_for_a_day_from_the_start(site: Site) -> None:
    started = []
    for hours in (0, 23, 2, 22, 3):  # at 0, 23, 25, 47 and 50 hours
        site.clock.advance(hours * 3600 * SECOND)
        event, run = _starting(site)
        started.append(len(site.ingest(event, runs=[run])[0].run_ids))
    assert started == [1, 0, 1, 0, 1]


@pytest.mark.feature(22)
def test_an_event_that_starts_nothing_wakes_waits(site: Site) -> None:
    (waiting,) = site.started()
    first, run = _starting(site, booking="s:1")
    site.ingest(first, runs=[run])
    site.commit(site.wait(waiting, since_start=False, name="start", booking="s:1"))
    again, other = _starting(site, booking="s:1")
    site.ingest(again, runs=[other])
    assert site.offered(waiting) == [(again.id, (1,))]


def test_a_batch_starts_once_for_each_id_and_name(site: Site) -> None:
    given = [_starting(site), _starting(site), _starting(site, client_id="c-2"), _starting(site, client_id=None)]
    given.append(_starting(site, name="other"))
    results = site.ingest(*(event for event, _ in given), runs=[run for _, run in given])
    assert [result.run_ids for result in results] == [(run.id,) if number != 1 else () for number, (_, run) in enumerate(given)]


def test_a_repeated_sending_with_the_same_ids_changes_nothing(site: Site) -> None:
    given = [_starting(site), _starting(site), _starting(site, client_id=None)]
    events, runs = [event for event, _ in given], [run for _, run in given]
    first = site.ingest(*events, runs=runs)
    again = site.ingest(*events, runs=[site.new_run(event) for event in events])
    assert [result.event_id for result in again] == [event.id for event in events]
    assert [result.run_ids for result in again] == [result.run_ids for result in first] == [(runs[0].id,), (), (runs[2].id,)]
    assert len(site.run(site.store.claim(site.epoch, 10))) == 2


def test_an_event_that_could_start_nothing_does_not_use_its_id_up(site: Site) -> None:
    invalid = site.event(client_id="c-1", dedup="none")
    invalid.status = "invalid"
    site.ingest(invalid, invalid)
    event, run = _starting(site)
    assert site.ingest(event, runs=[run])[0].run_ids == (run.id,)


def test_a_batch_may_repeat_an_event(site: Site) -> None:
    first, second = site.event(client_id="c-1"), site.event(client_id="c-1")
    results = site.ingest(first, second, runs=[site.new_run(first), site.new_run(second)])
    assert [(result.event_id, result.duplicate) for result in results] == [(first.id, False), (first.id, True)]
    assert results[0].run_ids == results[1].run_ids
    assert len(site.run(site.store.claim(site.epoch, 10))) == 1


def test_a_repeated_event_id_is_stored_once(site: Site) -> None:
    event = site.event()
    run = site.new_run(event)
    site.ingest(event, runs=[run])
    (result,) = site.ingest(event, runs=[site.new_run(event)])
    assert (result.duplicate, result.run_ids) == (True, (run.id,))


@pytest.mark.parametrize("text", ["a\0b", "\udc00"])
def test_bad_text_in_an_event_stores_nothing(site: Site, text: str) -> None:
    good = site.event()
    with pytest.raises(UnstorableText, match="event 'start' cannot be stored"):
        site.ingest(good, site.event(data=text))
    assert site.run(site.store.event(good.id)) is None


def test_alike_events_are_stored_as_each_of_them_would_be(site: Site) -> None:
    alike = site.alike("paid", *(f'{{"n":{n}}}' for n in range(1_500)), source="api")
    first, *_, last = rows = alike.rows()
    assert first.payload == f'{{"$model":"Started","v":{{"n":0}},"meta":{{"id":"{first.id}"}}}}'
    site.run(site.store.ingest_alike(alike))
    single = replace(rows[700], id=site.name("evt"))
    site.ingest(single)
    alone = site.run(site.store.event(single.id))
    for row in (first, last, rows[700]):
        page = site.run(site.store.event(row.id))
        assert alone is not None
        assert page is not None
        found = replace(page.event, received_at=0), page.started, page.taken_by
        assert found == (replace(alone.event, id=row.id, data=row.data, payload=row.payload, received_at=0), (), ())
        shown = site.run(site.store.ask(partial(event_pages.event_row, id=row.id)))
        assert shown == replace(page.event, dedup=None)
    newest, _ = site.run(site.store.events(limit=1_600))
    assert [row.id for row in reversed(newest)] == [*(row.id for row in rows), single.id]
    assert [row.payload for row in reversed(newest)] == [*(row.payload for row in rows), single.payload]


@pytest.mark.parametrize("early", [True, False])
def test_a_wait_gets_alike_events_in_their_order(site: Site, early: bool) -> None:
    (run,) = site.started()
    keyed, bare = site.wait(run, 1, release=False, booking="s:1"), site.wait(run, 2, release=False)
    alike = site.alike("paid", "{}", '{"n":1}')
    others = site.alike("sold", "{}")
    if not early:
        site.commit(keyed, bare)
    together(site, site.store.ingest_alike(alike), site.store.ingest_alike(others))
    if early:
        site.commit(keyed, bare)
    assert site.offered(run) == [(id, (2,)) for id in alike.ids]
    assert [row.payload for row in site.run(site.store.inbox([run]))] == alike.payloads()


def test_alike_events_of_several_senders_keep_their_own_times_and_sources(site: Site) -> None:
    parts = [site.alike("paid", '{"n":1}', source="a"), site.alike("sold", *["{}"] * 70), site.alike("paid", "{}", "{}")]
    site.clock.advance(5)
    parts += [site.alike("lost", '{"n":2}', source="b")]
    assert together(site, *(site.store.ingest_alike(part) for part in parts)) == [None] * 4
    found, _ = site.run(site.store.events(limit=100))
    wanted = [row for part in parts for row in part.rows()]
    assert len({row.received_at for row in found}) == 1
    assert [replace(row, received_at=0) for row in reversed(found)] == [replace(row, received_at=0, names=()) for row in wanted]


def test_alike_events_wake_a_wait_for_an_earlier_name(site: Site) -> None:
    (run,) = site.started()
    site.commit(site.wait(run, name="bought"))
    renamed = site.alike("paid", "{}")._replace(names=("paid", "bought"))
    site.run(site.store.ingest_alike(renamed))
    assert site.offered(run) == [(renamed.ids[0], (1,))]


def test_alike_events_of_which_one_is_there_already_are_refused(site: Site) -> None:
    first = site.alike("paid", "{}")
    site.run(site.store.ingest_alike(first))
    again = site.alike("paid", "{}", "{}", "{}")
    again.ids[1] = first.ids[0]
    other = site.alike("paid", "{}")
    answers = together(site, site.store.ingest_alike(again), site.store.ingest_alike(other))
    assert isinstance(answers[0], Conflict)
    assert answers[1] is None
    stored, _ = site.run(site.store.events(limit=10))
    assert [row.id for row in stored] == [other.ids[0], first.ids[0]]


def test_alike_events_with_ids_of_their_sender_are_stored_once(site: Site) -> None:
    first = site.alike("paid", "{}", "{}")._replace(client_ids=["c-1", "c-2"])
    again = site.alike("paid", "{}", "{}")._replace(client_ids=["c-3", "c-2"])
    other = site.alike("sold", "{}")._replace(client_ids=["c-1"])
    answers = together(site, *(site.store.ingest_alike(events) for events in (first, again, other)))
    assert (answers[0], type(answers[1]), answers[2]) == (None, Conflict, None)
    stored, _ = site.run(site.store.events(limit=10))
    assert [(row.id, row.client_id) for row in reversed(stored)] == [
        *zip(first.ids, ["c-1", "c-2"], strict=True),
        (other.ids[0], "c-1"),
    ]
    (repeated,) = site.ingest(site.event("paid", client_id="c-2"))
    assert (repeated.event_id, repeated.duplicate) == (first.ids[1], True)


@pytest.mark.parametrize("text", ["a\0b", "\udc00"])
def test_bad_text_in_one_of_alike_events_stores_nothing(site: Site, text: str) -> None:
    alike = site.alike("paid", "{}", text)
    with pytest.raises(UnstorableText, match="event 'paid' cannot be stored"):
        site.run(site.store.ingest_alike(alike))
    assert site.run(site.store.event(alike.ids[0])) is None


_KEYS: list[dict[str, Any]] = [{"booking": "s:1"}, {"booking": "s:1", "guest": "s:g"}, {}, {"booking": "s:" + "long" * 200}]


@pytest.mark.parametrize("keys", _KEYS)
@pytest.mark.parametrize("early", [True, False])
def test_a_wait_gets_its_event(site: Site, keys: dict[str, Any], early: bool) -> None:
    (run,) = site.started()
    matching = site.event("paid", **({"booking": "s:1", "guest": "s:g"} | keys))
    other = site.event("paid", booking="s:2", guest="s:h")
    wait = site.wait(run, 3, **keys)
    if early:
        site.ingest(other, matching)
        site.commit(wait)
    else:
        site.commit(wait)
        site.ingest(other, matching)
    expected = [(matching.id, (3,))] if keys else [(other.id, (3,)), (matching.id, (3,))]
    assert site.offered(run) == expected
    assert [row.id for row in site.run(site.store.claim(site.epoch, 5))] == [run]


@pytest.mark.parametrize("early", [True, False])
def test_every_key_of_a_wait_has_to_match(site: Site, early: bool) -> None:
    (run,) = site.started()
    near_miss = site.event("paid", booking="s:1", guest="s:other")
    wait = site.wait(run, booking="s:1", guest="s:g")
    if early:
        site.ingest(near_miss)
    site.commit(wait)
    if not early:
        site.ingest(near_miss)
    assert site.offered(run) == []


def test_early_events_come_in_the_order_they_were_received(site: Site) -> None:
    (run,) = site.started()
    events = []
    for _ in range(4):
        events += [site.event("paid", booking="s:1"), site.event("paid", booking="s:1")]
        site.ingest(*events[-2:])
        site.clock.advance(10)
    site.commit(site.wait(run, booking="s:1"))
    assert [id for id, _ in site.offered(run)] == [event.id for event in events]


def test_events_from_before_the_run_and_its_trigger_are_not_offered(site: Site) -> None:
    site.ingest(site.event("paid", booking="s:1"))
    site.clock.advance(1)
    trigger = site.event("paid", booking="s:1")
    site.ingest(trigger, runs=[site.new_run(trigger)])
    site.clock.advance(1)
    later = site.event("paid", booking="s:1")
    site.ingest(later)
    (run,) = site.run(site.store.claim(site.epoch, 1))
    site.commit(site.wait(run.id, booking="s:1"))
    assert site.offered(run.id) == [(later.id, (1,))]


def test_a_wait_from_now_on_sees_no_early_event(site: Site) -> None:
    (run,) = site.started()
    site.ingest(site.event("paid", booking="s:1"))
    site.commit(site.wait(run, since_start=False, booking="s:1"))
    assert site.offered(run) == []
    late = site.event("paid", booking="s:1")
    site.ingest(late)
    assert site.offered(run) == [(late.id, (1,))]


def test_an_event_is_offered_once_for_all_waits_that_it_matches(site: Site) -> None:
    (run,) = site.started()
    site.commit(site.wait(run, 2, release=False, booking="s:1"), site.wait(run, 1, release=False))
    event = site.event("paid", booking="s:1")
    site.ingest(event)
    assert site.offered(run) == [(event.id, (1, 2))]


def test_a_run_takes_an_event_once(site: Site) -> None:
    (run,) = site.started()
    event = site.event("paid", booking="s:1")
    site.ingest(event)
    site.commit(site.wait(run, 1, release=False, booking="s:1"), site.wait(run, 2, release=False, booking="s:1"))
    first, second = site.load(run).inbox
    taking = Transition(run, [site.journal(run, 1, "event")], inbox=[first.position], taken=event.id, closed_waits=[1])
    site.commit(taking)
    assert site.offered(run) == []
    site.commit(Transition(run, inbox=[second.position]))
    assert site.refusals(Transition(run, [site.journal(run, 2, "event")], taken=event.id)) == ["Refused"]
    site.load(run)
    site.commit(Transition(run, [site.journal(run, 2, "timer")], closed_waits=[2], cleared_timers=[1, 2]))
    site.commit(site.wait(run, 3, booking="s:1"))
    assert site.offered(run) == []
    found = site.run(site.store.event(event.id))
    assert found is not None
    assert found.taken_by == (run,)


def test_an_inbox_row_becomes_one_journal_row(site: Site) -> None:
    (run,) = site.started()
    site.commit(site.wait(run, release=False, booking="s:1"))
    site.ingest(site.event("paid", booking="s:1"))
    (offer,) = site.load(run).inbox
    site.commit(Transition(run, [site.journal(run, 1, "event")], inbox=[offer.position]))
    assert site.refusals(Transition(run, [site.journal(run, 2, "event")], inbox=[offer.position])) == ["StaleInbox"]
    assert site.seqs(run) == [1]


def test_a_wait_for_several_names_gets_any_of_them(site: Site) -> None:
    (run,) = site.started()
    site.commit(Transition(run, waits=[WaitRow(run, 1, ("paid.card", "paid.cash"), (), True)], status="waiting"))
    events = [site.event("paid.cash"), site.event("paid.other"), site.event("paid.card")]
    site.ingest(*events)
    assert [id for id, _ in site.offered(run)] == [events[0].id, events[2].id]


def test_unknown_and_invalid_events_wake_nobody(site: Site) -> None:
    (run,) = site.started()
    event = site.event("paid", booking="s:1")
    event.status = "invalid"
    site.ingest(event)
    site.commit(site.wait(run, booking="s:1"))
    assert site.offered(run) == []


def test_an_emitted_event_is_matched_like_a_received_one(site: Site) -> None:
    sender, waiter = site.started(2)
    site.commit(site.wait(waiter, booking="s:1"))
    emitted = site.event("paid", booking="s:1")
    started = site.new_run(emitted)
    site.commit(Transition(sender, [site.journal(sender, 1)], events=[emitted], event_runs=[started]))
    assert site.offered(waiter) == [(emitted.id, (1,))]
    assert {row.id for row in site.run(site.store.claim(site.epoch, 10))} == {waiter, started.id}


def test_a_run_may_wait_for_what_it_sent_itself(site: Site) -> None:
    (run,) = site.started()
    site.clock.advance(1)
    emitted = site.event("paid", booking="s:1")
    sending = site.wait(run, 2, booking="s:1")
    sending.events = [emitted]
    site.commit(sending)
    assert site.offered(run) == [(emitted.id, (2,))]


def test_what_is_sent_before_a_wait_from_now_on_is_not_for_it(site: Site) -> None:
    (run,) = site.started()
    sending = site.wait(run, 2, since_start=False, sent=1, booking="s:1")
    sending.events = [site.event("paid", booking="s:1")]
    site.commit(sending)
    assert site.offered(run) == []


def test_what_is_sent_behind_a_wait_from_now_on_is_for_it(site: Site) -> None:
    (run,) = site.started()
    sending = site.wait(run, 2, since_start=False, sent=1, booking="s:1")
    sending.events = [site.event("paid", booking="s:1") for _ in range(3)]
    site.commit(sending)
    assert site.offered(run) == [(event.id, (2,)) for event in sending.events[1:]]


def test_a_wait_from_now_on_sees_what_later_transitions_of_its_commit_send(site: Site) -> None:
    run, other = site.started(2)
    before, mine, its = (site.event("paid", booking="s:1") for _ in range(3))
    site.commit(
        Transition(run, [site.journal(run, 1)], events=[before]),
        site.wait(run, 2, since_start=False, release=False, booking="s:1"),
        Transition(run, [site.journal(run, 2)], events=[mine]),
        Transition(other, [site.journal(other, 1)], events=[its]),
    )
    assert site.offered(run) == [(mine.id, (2,)), (its.id, (2,))]


def test_a_wait_from_now_on_that_its_commit_closes_sees_nothing(site: Site) -> None:
    (run,) = site.started()
    site.commit(
        site.wait(run, 2, since_start=False, release=False, booking="s:1"),
        Transition(run, [site.journal(run, 1)], closed_waits=[2], cleared_timers=[2], events=[site.event("paid", booking="s:1")]),
    )
    assert site.offered(run) == []


def _read_all(site: Site, run: str, serial: int) -> list[str]:
    """Consume offers one by one without taking any, as an owner does whose residual predicate refuses them."""
    seen: list[str] = []
    while offers := site.load(run).inbox:
        assert offers[0].serials == (serial,)
        seen.append(offers[0].id)
        site.commit(Transition(run, inbox=[offers[0].position]))
    return seen


@pytest.mark.parametrize("key", [{"booking": "s:1"}, {}])
def test_early_events_come_in_batches_and_none_is_left_out(
    site: Site, monkeypatch: pytest.MonkeyPatch, key: dict[str, Any]
) -> None:
    _shrink_batches(monkeypatch, 3)
    (run,) = site.started()
    events = [site.event("paid", booking="s:1") for _ in range(8)]
    site.ingest(*events)
    site.commit(site.wait(run, 1, release=False, **key))
    assert len(site.offered(run)) == 3
    late = site.event("paid", booking="s:1")
    site.ingest(late)
    assert len(site.offered(run)) == 3
    assert _read_all(site, run, 1) == [event.id for event in [*events, late]]
    last = site.event("paid", booking="s:1")
    site.ingest(last)
    assert site.offered(run) == [(last.id, (1,))]


def test_batches_go_on_past_events_without_the_further_key(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _shrink_batches(monkeypatch, 2)
    (run,) = site.started()
    misses = [site.event("paid", booking="s:1", guest="s:other") for _ in range(5)]
    match = site.event("paid", booking="s:1", guest="s:g")
    site.ingest(*misses, match)
    site.commit(site.wait(run, 1, release=False, booking="s:1", guest="s:g"))
    assert site.offered(run) == [(match.id, (1,))]


def test_batches_of_several_names_keep_the_order(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _shrink_batches(monkeypatch, 2)
    (run,) = site.started()
    events = [site.event(name) for name in ("a", "a", "a", "b", "a", "b", "b", "b", "a")]
    site.ingest(*events)
    wait = WaitRow(run, 1, ("a", "b"), (), True)
    site.commit(Transition(run, waits=[wait], status="waiting"))
    assert _read_all(site, run, 1) == [event.id for event in events]


def test_a_batch_goes_on_when_its_last_offer_is_withdrawn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _shrink_batches(monkeypatch, 2)
    (run,) = site.started()
    events = [site.event("paid", booking="s:1") for _ in range(4)]
    site.ingest(*events)
    site.commit(site.wait(run, 1, release=False, booking="s:1"), site.wait(run, 2, release=False, booking="s:1"))
    taken = next(row for row in site.load(run).inbox if row.id == events[1].id and row.serials == (1,))
    site.commit(Transition(run, [site.journal(run, 1, "event")], inbox=[taken.position], taken=events[1].id, closed_waits=[1]))
    offered = [id for id, serials in site.offered(run) if serials == (2,)]
    assert offered == [events[0].id, events[2].id, events[3].id]


def _shrink_batches(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(early, "BATCH", size)
    for name in ("_KEYED", "_UNKEYED"):
        monkeypatch.setattr(early, name, getattr(early, name).replace("LIMIT 200", f"LIMIT {size}"))


def test_of_many_events_the_new_ones_are_stored_and_reach_their_waits(site: Site) -> None:
    runs = site.started(3)
    site.commit(*(site.wait(run, name="paid", order=f"s:{number}") for number, run in enumerate(runs)))
    before = [site.event("paid", client_id="c-1"), site.event("noted")]
    site.ingest(*before)
    keyed = [replace(site.event("paid", order=f"s:{number}"), source=f"shop {number}") for number in range(3)]
    others = [site.event("noted") for _ in range(1_500)]
    again = replace(site.event("paid"), client_id="c-1")
    results = site.ingest(*others[:700], keyed[2], again, before[1], *others[700:], keyed[0], keyed[1], replace(others[0]))
    assert [result.duplicate for result in results] == [False] * 701 + [True] * 2 + [False] * 802 + [True]
    assert [results[701].event_id, results[702].event_id] == [before[0].id, before[1].id]
    assert [site.offered(run) for run in runs] == [[(event.id, (1,))] for event in keyed]
    stored, _ = site.run(site.store.events(name="paid", limit=10))
    assert [event.id for event in stored] == [keyed[1].id, keyed[0].id, keyed[2].id, before[0].id]
    page = site.run(site.store.event(keyed[0].id))
    assert page is not None
    assert (page.event.source, page.taken_by) == ("shop 0", ())


def test_events_stored_at_once_keep_what_tells_them_apart(site: Site) -> None:
    plain, told = site.event(data='{"n":1}'), replace(site.event("ünlike", data='{"n":2}', client_id="c"), ts=5, source="shop")
    told.status, told.reason, told.dedup, told.envelope = "invalid", "why", "none", '{"env":"x"}'
    site.ingest(plain, told)
    for event in (plain, told):
        page = site.run(site.store.event(event.id))
        assert page is not None
        found = page.event
        assert (found.name, found.data, found.ts, found.source) == (event.name, event.data, event.ts, event.source)
        assert (found.client_id, found.status, found.reason) == (event.client_id, event.status, event.reason)
        assert found.envelope == event.envelope


def test_many_unstorable_texts_name_the_event_at_fault(site: Site) -> None:
    good, bad = site.event("good"), site.event("bad", data='{"a":"\ud800"}')
    with pytest.raises(UnstorableText, match="event 'bad'"):
        site.ingest(good, bad)
    with pytest.raises(UnstorableText, match="event 'bad'"):
        site.ingest(good, site.event("bad", path="s:\0"))
    assert site.run(site.store.event(good.id)) is None
