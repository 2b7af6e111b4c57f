"""Laws of the codec over random values, shared and cyclic ones included."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from flowgraph.codec import CodecError, Decoder, Encoder, TypeRegistry, copy_value, decode, dumps, encode, loads, plain


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Bits(enum.Flag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: Any
    y: Any


class Model(BaseModel):
    a: Any = None
    b: Any = 7


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    a: Any = None


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: Any = None


@dataclasses.dataclass
class Data:
    a: Any = None
    b: Any = dataclasses.field(default=3, init=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    a: Any = None


class Trouble(Exception):
    def __init__(self, what: Any, *, code: Any) -> None:
        super().__init__(what)
        self.code = code


TYPES = TypeRegistry(Colour, Bits, Point, Model, Frozen, Open, Data, Slotted, Trouble)

zones = st.sampled_from([None, UTC, timezone(timedelta(hours=-3, minutes=30)), ZoneInfo("Europe/Paris"), ZoneInfo("UTC")])
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["$ref", "$", "$model", "a.b"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | words
    | st.binary(max_size=8)
    | st.decimals()
    | st.uuids()
    | st.dates()
    | st.timedeltas()
    | st.builds(lambda t, f: t.replace(fold=f), st.datetimes(timezones=zones), st.sampled_from([0, 1]))
    | st.times()
    | st.sampled_from([*Colour, Bits.A, Bits.A | Bits.B, range(3), range(5, 0, -2)])
)
hashables = st.recursive(
    scalars.filter(lambda v: not (isinstance(v, Decimal) and v.is_snan())),
    lambda inner: (
        st.tuples(inner, inner) | st.frozensets(inner, max_size=3) | st.builds(Frozen, a=inner) | st.builds(Slotted, inner)
    ),
    max_leaves=4,
)

SHELLS: list[Any] = [list, dict, set, Model, Open, Data, lambda: Trouble("t", code=0), lambda: ValueError("v")]


@st.composite
def graphs(draw: st.DrawFn) -> list[Any]:
    """Mutable objects that refer to each other at random, cycles included."""
    pool = [draw(st.sampled_from(SHELLS))() for _ in range(draw(st.integers(1, 5)))]
    parts = (
        hashables
        | st.sampled_from(pool)
        | st.tuples(st.sampled_from(pool), scalars)
        | st.builds(Point, st.sampled_from(pool), scalars)
    )
    for shell in pool:
        for _ in range(draw(st.integers(0, 3))):
            put(shell, draw(hashables), draw(parts))
    return pool


def put(shell: Any, key: Any, part: Any) -> None:
    match shell:
        case list():
            shell.append(part)
        case dict():
            shell[key] = part
        case set():
            shell.add(key)
        case Open():
            shell.extra_field = part
        case BaseModel() | Data():
            shell.a = part
        case Trouble():
            shell.code = part
        case BaseException():
            shell.args = (part,)


def same(left: Any, right: Any, pairs: dict[int, int]) -> bool:
    """Compare types, contents and which objects are shared."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, dict, set, Model, Open, Data, BaseException)):
        if id(left) in pairs:
            return pairs[id(left)] == id(right)
        if id(right) in pairs.values():
            return False
        pairs[id(left)] = id(right)
    return same_parts(parts_of(left), parts_of(right), pairs)


def same_parts(left: Any, right: Any, pairs: dict[int, int]) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b, pairs) for a, b in zip(left, right, strict=True))
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, Decimal):
        return str(left) == str(right)
    if isinstance(left, (datetime, time)):
        return (left.isoformat(), left.fold, left.tzinfo) == (right.isoformat(), right.fold, right.tzinfo)
    return bool(left == right)


def parts_of(value: Any) -> Any:
    match value:
        case list() | tuple():
            return list(value)
        case dict():
            return [part for pair in value.items() for part in pair]
        case set() | frozenset():
            return [dumps(member) for member in sorted(value, key=dumps)]
        case BaseModel():
            extra = value.__pydantic_extra__ or {}
            return [*value.__dict__.values(), *extra.values(), " ".join(sorted(value.model_fields_set | extra.keys()))]
        case Data() | Slotted():
            return [getattr(value, field.name) for field in dataclasses.fields(value)]
        case BaseException():
            return [*value.args, *vars(value).values(), len(value.args)]
    return value


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back_with_its_types_and_aliases(pool: list[Any]) -> None:
    assert same(pool, decode(encode(pool), TYPES), {})


@given(graphs())
@settings(max_examples=80, deadline=None)
def test_text_is_a_fixed_point(pool: list[Any]) -> None:
    text = dumps(pool)
    assert dumps(loads(text, TYPES)) == text


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_a_copy_is_what_a_receiver_would_read(pool: list[Any]) -> None:
    copied = copy_value(pool)
    assert same(pool, copied, {})
    assert dumps(copied) == dumps(pool)


@given(hashables)
def test_a_copy_of_what_cannot_change_is_equal(value: Any) -> None:
    assert same(value, copy_value(value), {})


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_plain_is_always_ordinary_json_without_tags(pool: list[Any]) -> None:
    json.dumps(plain(encode(pool)))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$ref", "$id", "v", "$model", "$error", "args", "$dict", "$tuple", "$datetime", "a"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(junk)
@settings(max_examples=200)
def test_plain_never_fails_whatever_it_is_shown(tree: Any) -> None:
    json.dumps(plain(tree))


@given(junk)
@settings(max_examples=200)
def test_a_tree_that_nobody_wrote_is_refused_or_read_never_a_crash(tree: Any) -> None:
    with contextlib.suppress(CodecError):
        decode(tree, TYPES)


@given(st.lists(graphs(), min_size=2, max_size=3))
@settings(max_examples=30, deadline=None)
def test_values_of_one_document_share_across_it(pools: list[list[Any]]) -> None:
    encoder = Encoder()
    trees = encoder.finish([encoder.encode([pools[0], pool]) for pool in pools])
    decoder = Decoder(TYPES)
    decoded = [decoder.decode(tree) for tree in trees]
    assert all(first is decoded[0][0] for first, _ in decoded)
    assert same([[pools[0], pool] for pool in pools], decoded, {})


def test_sets_are_written_in_one_order() -> None:
    members = [UUID(int=n) for n in range(50)] + [date(2026, 1, 1), ("a", 1), "x", 1.5]
    assert dumps(set(members)) == dumps({*members[::-1]})
