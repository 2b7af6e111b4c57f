"""What the compiler calls storable the codec can store, and the reverse: over a table of annotations with values of each, and
over types composed at random with one bad part in them.
"""

from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import decimal
import enum
import fractions
import ipaddress
import pathlib
import random
import re
import threading
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretBytes, SecretStr, TypeAdapter
from typing_extensions import TypedDict

from flowgraph.codec import CodecError, Encoder, encode
from flowgraph_compiler.storability import obstacle, private_attributes
from tests.flowgraph import value_zoo as zoo

T = TypeVar("T")
UserId = NewType("UserId", str)
LockId = NewType("LockId", threading.Barrier)


class Text(str):
    __slots__ = ()


class Cents(int):
    pass


class Moment(datetime):
    pass


class Special(list[int]):
    pass


class Ordinary:
    pass


class Hidden(BaseModel):
    _seen: int = PrivateAttr(default=0)


class Unset(BaseModel):
    _seen: int = PrivateAttr()


class Bare(BaseModel):
    _seen = PrivateAttr(default=1)


class Inherits(Hidden):
    name: str = ""


class Holds(BaseModel):
    inner: list[Hidden] = []


class WithUrl(BaseModel):
    url: pydantic.HttpUrl


class WithPath(BaseModel):
    paths: dict[str, pathlib.Path]


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Locked(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    lock: Ordinary


@dataclasses.dataclass
class Kept:
    lock: Ordinary


@dataclasses.dataclass
class Fan:
    call: Callable[[], int]


@dataclasses.dataclass
class IntCrate(zoo.Crate[int]):
    more: str = ""


@dataclasses.dataclass
class BadCrate(zoo.Crate[Ordinary]):
    pass


class Row(TypedDict):
    lock: Ordinary


class Tagged(TypedDict, Generic[T]):
    of: T


class Trio(NamedTuple):
    a: int
    b: Ordinary


class Shape(enum.Enum):
    LOCK = Ordinary()


class Wrong(Exception):
    lock: Ordinary


class Protocolled(typing.Protocol):
    def go(self) -> int: ...


def values(tp: Any, *given: Any) -> tuple[Any, tuple[Any, ...]]:
    return tp, given


def read(tp: Any, text: str) -> tuple[Any, tuple[Any, ...]]:
    return tp, (TypeAdapter(tp).validate_json(text),)


ordinary = Ordinary()
SCALARS = [values(tp, *given) for tp, given in zoo.SCALARS.items()]
STORED = [
    *SCALARS,
    values(None, None),
    values(UserId, UserId("u")),
    values(Literal["a", 1, None, zoo.Colour.RED], "a", 1, None, zoo.Colour.RED),
    values(Annotated[int, "positive"], 1),
    values(int | None, 1, None),
    values(Optional[str], "a", None),  # noqa: UP045
    values(Union[int, str, None], 1, "a", None),  # noqa: UP007
    values(typing.List[int], [1]),  # noqa: UP006
    values(typing.Dict[str, int], {"a": 1}),  # noqa: UP006
    values(list, [], [1]),
    values(list[int], [1]),
    values(list[list[Decimal | None]], [[Decimal(1), None]]),
    values(tuple[()], ()),
    values(tuple[int, ...], (1, 2)),
    values(tuple[int, str], (1, "a")),
    values(set[UUID], {UUID(int=1)}),
    values(frozenset[frozenset[str]], frozenset({frozenset("a")})),
    values(dict, {}, {(1, 2): 3}),
    values(dict[str, list[int]], {"a": [1]}),
    values(dict[tuple[int, date], set[str]], {(1, date(2026, 1, 1)): {"a"}}),
    values(dict[zoo.Colour, zoo.Plain], {zoo.Colour.RED: zoo.Plain()}),
    values(Sequence[int], [1], (1,)),
    values(Mapping[str, int], {"a": 1}),
    values(AbstractSet[int], {1}, frozenset({1})),
    values(tzinfo, UTC, ZoneInfo("Europe/Paris"), zoo._READ_ZONES[1]),
    values(tzinfo | None, None, UTC),
    values(zoo.Pair, zoo.Pair(1, [2])),
    values(zoo.Cell[int], zoo.Cell(1)),
    values(zoo.Row, {"key": "a"}),
    values(Tagged[int], {"of": 1}),
    values(zoo.Plain, zoo.Plain(a=[1])),
    values(zoo.Camel, zoo.Camel(longName=1)),
    values(zoo.Open, zoo.Open(beside=1)),
    values(zoo.Frozen, zoo.Frozen(a=1)),
    values(zoo.Child, zoo.Child()),
    values(zoo.Numbers, zoo.Numbers([1])),
    values(zoo.Box[int], zoo.Box[int](content=1)),
    values(zoo.Box[list[zoo.Box[str]]], zoo.Box[list[zoo.Box[str]]](content=[zoo.Box[str](content="a")])),
    values(zoo.Two[int, zoo.Plain], zoo.Two[int, zoo.Plain](one=1, two=[zoo.Plain()])),
    values(zoo.Came, zoo.Came(what=1)),
    values(zoo.Data, zoo.Data(1)),
    values(zoo.Grown, zoo.Grown(c=1)),
    values(zoo.Ice, zoo.Ice(1)),
    values(zoo.Slots, zoo.Slots(1)),
    values(zoo.Both, zoo.Both(1)),
    values(zoo.Crate[int], zoo.Crate(1), zoo.Crate[int](1)),
    values(zoo.Crate[list[str]], zoo.Crate(["a"])),
    values(IntCrate, IntCrate(1)),
    values(zoo.Failed, zoo.Failed(1, code=2)),
    values(zoo.Narrow, zoo.Narrow(1)),
    values(zoo.Told, zoo.Told(1)),
    values(Wrong, Wrong(ordinary)),
    values(Exception, ValueError(ordinary)),
    values(BaseException, KeyboardInterrupt()),
    values(ExceptionGroup, ExceptionGroup("a", [ValueError()])),
    values(OSError | None, FileNotFoundError(2, "no", "a.txt"), None),
    values(Shape, Shape.LOCK),
    values(Tree, Tree(name="a", children=[Tree(name="b")])),
    read(pydantic.AwareDatetime, '"2026-01-01T00:00:00+05:30"'),
    read(pydantic.NaiveDatetime, '"2026-01-01T00:00:00"'),
    read(pydantic.PastDate, '"2020-01-01"'),
    read(pydantic.FutureDatetime, '"9000-01-01T00:00:00Z"'),
    values(pydantic.EmailStr, "ada@example.com"),
    read(pydantic.PositiveInt, "1"),
    read(pydantic.StrictStr, '"a"'),
    read(pydantic.UUID4, '"12345678-1234-4234-8234-567812345678"'),
    read(pydantic.Json[list[int]], '"[1]"'),
    read(pydantic.JsonValue, '{"a": [1, null]}'),
    read(pydantic.Base64Bytes, '"AHg="'),
    read(Annotated[list[int], pydantic.Field(min_length=1)], "[1]"),
    read(typing.Dict[str, pydantic.NonNegativeFloat], '{"a": 0.5}'),  # noqa: UP006
    values(Decimal | int, Decimal("NaN"), 1),
    values(timedelta | time, timedelta(1), time(1)),
    values(tuple[zoo.Colour, zoo.Level, zoo.Word], (zoo.Colour.RED, zoo.Level.LOW, zoo.Word.NO)),
    values(list[Literal["a"] | None], ["a", None]),
    values(dict[str, int | list[int]], {"a": 1, "b": [1]}),
    values(frozenset[tuple[int, ...]], frozenset({(1, 2)})),
]
REFUSED = [
    values(Ordinary, ordinary),
    values(complex, 1j),
    values(bytearray, bytearray(b"a")),
    values(memoryview, memoryview(b"a")),
    values(slice, slice(1)),
    values(type(...), ...),
    values(type(NotImplemented), NotImplemented),
    values(fractions.Fraction, fractions.Fraction(1, 2)),
    values(pathlib.Path, pathlib.Path("a")),
    values(pathlib.PurePosixPath, pathlib.PurePosixPath("a")),
    values(re.Pattern[str], re.compile("a")),
    values(re.Match[str], re.match("a", "a")),
    values(ipaddress.IPv4Address, ipaddress.IPv4Address("127.0.0.1")),
    values(collections.OrderedDict[str, int], collections.OrderedDict(a=1)),
    values(collections.defaultdict[str, int], collections.defaultdict(int)),
    values(collections.Counter[str], collections.Counter("a")),
    values(collections.deque[int], collections.deque([1])),
    values(collections.ChainMap[str, int], collections.ChainMap({"a": 1})),
    values(MappingProxyType[str, int], MappingProxyType({"a": 1})),
    values(array.array, array.array("i", [1])),
    values(SimpleNamespace, SimpleNamespace(a=1)),
    values(random.Random, random.Random(1)),
    values(decimal.Context, decimal.Context()),
    values(asyncio.Event, asyncio.Event()),
    values(threading.Barrier, threading.Barrier(1)),
    values(LockId, threading.Barrier(1)),
    values(Text, Text("a")),
    values(Cents, Cents(1)),
    values(Moment, Moment(2026, 1, 1)),
    values(Special, Special([1])),
    values(type[int], int),
    values(type, int),
    values(Callable[[], int], lambda: 1),
    values(Iterator[int], iter([1])),
    values(Iterable[int], iter([1])),
    values(typing.Generator[int, None, None], (n for n in [1])),
    values(SecretStr, SecretStr("a")),
    values(SecretBytes, SecretBytes(b"a")),
    read(pydantic.HttpUrl, '"https://example.com"'),
    read(pydantic.AnyUrl, '"a:b"'),
    read(pydantic.ByteSize, '"1 kb"'),
    read(pydantic.Json[pathlib.Path], '"\\"a\\""'),
    read(WithUrl, '{"url": "https://example.com"}'),
    read(WithPath, '{"paths": {"a": "b"}}'),
    values(Hidden, Hidden()),
    values(Unset, Unset()),
    values(Bare, Bare()),
    values(Inherits, Inherits()),
    values(Holds, Holds(inner=[Hidden()])),
    values(list[Hidden], [Hidden()]),
    values(zoo.Box[Hidden], zoo.Box[Hidden](content=Hidden())),
    values(Locked, Locked(lock=ordinary)),
    values(Kept, Kept(ordinary)),
    values(Fan, Fan(lambda: 1)),
    values(BadCrate, BadCrate(ordinary)),
    values(zoo.Crate[Ordinary], zoo.Crate(ordinary)),
    values(zoo.Crate[list[Ordinary]], zoo.Crate([ordinary])),
    values(zoo.Cell[Ordinary], zoo.Cell(ordinary)),
    values(Row, {"lock": ordinary}),
    values(Tagged[Ordinary], {"of": ordinary}),
    values(Trio, Trio(1, ordinary)),
    values(Annotated[Ordinary, 1], ordinary),
    values(Ordinary | int, ordinary),
    values(Optional[Ordinary], ordinary),  # noqa: UP045
    values(list[Ordinary], [ordinary]),
    values(tuple[int, Ordinary], (1, ordinary)),
    values(tuple[Ordinary, ...], (ordinary,)),
    values(dict[Ordinary, int], {ordinary: 1}),
    values(dict[str, Ordinary], {"a": ordinary}),
    values(set[Ordinary], {ordinary}),
    values(frozenset[Ordinary], frozenset({ordinary})),
    values(Sequence[Ordinary], [ordinary]),
    values(Mapping[str, Ordinary], {"a": ordinary}),
]


def compiles(tp: Any) -> bool:
    return obstacle(tp) is None and private_attributes(tp) is None


def is_stored(value: object) -> bool:
    try:
        encode(value)
    except CodecError:
        return False
    return True


def test_the_table_is_large_enough() -> None:
    assert len(STORED) + len(REFUSED) >= 120
    assert len({repr(tp) for tp, _ in STORED + REFUSED}) == len(STORED) + len(REFUSED)


def shown(row: tuple[Any, tuple[Any, ...]]) -> str:
    return str(row[0])[:60]


@pytest.mark.parametrize("row", STORED, ids=shown)
def test_what_the_compiler_calls_storable_is_stored(row: tuple[Any, tuple[Any, ...]]) -> None:
    tp, given = row
    assert compiles(tp), (obstacle(tp), private_attributes(tp))
    assert given
    for value in given:
        encode(value)


@pytest.mark.parametrize("row", REFUSED, ids=shown)
def test_what_the_compiler_refuses_is_not_stored(row: tuple[Any, tuple[Any, ...]]) -> None:
    tp, given = row
    assert not compiles(tp)
    assert given
    assert not any(map(is_stored, given))


@pytest.mark.parametrize("tp", [Any, object, Protocolled, T, list[Any], zoo.Plain])  # zoo.Plain has fields of type `Any`
def test_what_says_too_little_is_no_obstacle(tp: Any) -> None:
    assert compiles(tp)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_bad_part_anywhere_is_found_by_both(data: st.DataObject) -> None:
    make = zoo.Maker(lambda below: data.draw(st.integers(0, below - 1)))
    tp = zoo.some_type(make.choose, 2)
    value = make.of(tp)
    assert compiles(tp)
    Encoder().encode(value)
    wrap = make.choose(4)
    bad = [dict[str, tp | Ordinary], tuple[tp, Ordinary], zoo.Crate[Ordinary], list[tuple[tp, Hidden]]][wrap]  # type: ignore[valid-type]
    holder = [{"a": value, "b": ordinary}, (value, ordinary), zoo.Crate(ordinary), [(value, Hidden())]][wrap]
    assert not compiles(bad)
    assert not is_stored(holder)
