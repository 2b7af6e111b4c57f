"""Events: names on the wire, and the meta of received ones."""

from datetime import UTC, datetime

import pytest

from flowgraph import Event, EventMeta
from flowgraph.events import attach_meta, meta_of


class Anything(Event):
    at: str


class Paid(Anything, name="payment.completed"):
    amount: int


class Nudge(Event, internal=True):
    pass


META = EventMeta("evt_1", "payment.completed", datetime(2026, 1, 2, tzinfo=UTC), "shop")


def test_the_wire_name_is_the_given_one_or_the_class_name() -> None:
    assert (Paid.event_name, Anything.event_name) == ("payment.completed", "Anything")


def test_only_the_class_that_says_so_has_a_name_of_its_own_or_is_internal() -> None:
    assert [c.has_own_name for c in (Event, Anything, Paid, Nudge)] == [False, False, True, False]
    assert [c.internal for c in (Event, Anything, Paid, Nudge)] == [False, False, False, True]


def test_a_made_event_has_no_meta_and_says_so() -> None:
    with pytest.raises(LookupError, match=r"'payment\.completed' was made here"):
        _ = Paid(at="x", amount=1).meta


def test_meta_takes_no_part_in_equality_fields_or_data() -> None:
    event = Paid(at="x", amount=1)
    attach_meta(event, META)
    assert event.meta is META
    assert event == Paid(at="x", amount=1)
    assert event.model_dump() == {"at": "x", "amount": 1}
    assert set(Paid.model_fields) == {"at", "amount"}


def test_events_do_not_share_their_meta() -> None:
    first, second = Paid(at="x", amount=1), Paid(at="x", amount=1)
    attach_meta(first, META)
    assert meta_of(second) is None
