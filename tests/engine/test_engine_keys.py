"""Correlation keys: equal values, equal texts; different values, different texts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from flowgraph_runtime.keys import event_keys, key_text


class Colour(Enum):
    RED = 1


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    ONE = "one"


KEYS = st.recursive(
    st.one_of(
        st.text(st.characters(codec="utf-8"), max_size=4),
        st.integers(-3, 3),
        st.booleans(),
        st.sampled_from([*Colour, *Level, *Word, 1.0, 0.5, Decimal("0.50"), Decimal(2)]),
        st.uuids(),
        st.dates(),
        st.datetimes(timezones=st.just(UTC)),
    ),
    lambda inner: st.tuples(inner, inner),
    max_leaves=3,
)


@given(KEYS, KEYS)
def test_texts_are_equal_exactly_when_values_are(a: Any, b: Any) -> None:
    assert (key_text(a) == key_text(b)) == (a == b)


def test_moments_are_compared_not_their_zones() -> None:
    here = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert key_text(here) == key_text(here.astimezone(UTC))


def test_texts_of_tuples_cannot_be_confused() -> None:
    assert key_text(("a,s:b", "c")) != key_text(("a", "b,s:c"))


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, float("nan"), float("inf"), object()])
def test_what_is_no_key_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be a key"):
        key_text(value)


def test_the_keys_of_an_event_follow_its_paths() -> None:
    class Order(BaseModel):
        id: UUID
        day: date | None = None

    class Paid(BaseModel):
        order: Order
        n: int

    event = Paid(order=Order(id=UUID(int=5)), n=3)
    assert event_keys(event, ["n", "order.id", "order.day", "order.gone", "n.x"]) == (
        ("n", "n:3"),
        ("order.id", f"u:{UUID(int=5)}"),
    )
