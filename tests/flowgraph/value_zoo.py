"""Storable classes of every kind, types composed of them, and values of a type: all by a chooser, so that a property shrinks and
a corpus is the same on every Python.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import typing
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, computed_field
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from flowgraph import Event
from flowgraph.codec import TypeRegistry, dumps

T = TypeVar("T")
U = TypeVar("U")
Choose = Callable[[int], int]
"""A number below the one given."""


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"
    PAIR = (1, 2)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 9


class Word(enum.StrEnum):
    YES = "yes"
    NO = "no"


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    ALL = READ | WRITE


class Bits(enum.IntFlag):
    A = 1
    B = 2


class Pair(NamedTuple):
    left: Any
    right: Any = 0


class Cell(NamedTuple, Generic[T]):
    content: T


class Row(TypedDict, total=False):
    key: str
    values: list[int]


class Plain(BaseModel):
    a: Any = None
    b: Any = "b"


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    long_name: Any = None
    other_name: list[int] = Field(default_factory=list)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: Any = None


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    a: Any = None


class Child(Plain):
    c: Plain | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2

    @cached_property
    def remembered(self) -> list[int]:
        return [1]


class Numbers(RootModel[list[int]]):
    pass


class Box(BaseModel, Generic[T]):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    content: T


class Two(BaseModel, Generic[T, U]):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    one: T
    two: list[U] = []


class Came(Event, name="came"):
    what: Any = None


@dataclasses.dataclass
class Data:
    a: Any = None
    b: Any = dataclasses.field(default=3, init=False)

    @cached_property
    def remembered(self) -> int:
        return 1


@dataclasses.dataclass(kw_only=True)
class Grown(Data):
    c: Any
    start: dataclasses.InitVar[int] = 2

    def __post_init__(self, start: int) -> None:
        self.b = start


@dataclasses.dataclass(frozen=True)
class Ice:
    a: Any = None


@dataclasses.dataclass(slots=True)
class Slots:
    a: Any = None


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Both:
    a: Any = None


@dataclasses.dataclass
class Crate(Generic[T]):
    content: T


class Failed(Exception):
    def __init__(self, what: Any, *, code: Any) -> None:
        super().__init__(what)
        self.code = code


class Narrow(ValueError):
    __slots__ = ("extra",)

    def __init__(self, extra: Any) -> None:
        self.extra = extra


@dataclasses.dataclass
class Told(Exception):
    reason: Any
    more: Any = None


CLASSES: tuple[type, ...] = (
    Colour, Level, Word, Access, Bits, Pair, Cell, Plain, Camel, Open, Frozen, Child, Numbers, Box, Two, Came, Data, Grown, Ice,
    Slots, Both, Crate, Failed, Narrow, Told,
)  # fmt: skip
TYPES = TypeRegistry(*CLASSES)

_DEPTH = 5
_FLOATS = [0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 5e-324, 1e16, -1e-7]
_TEXTS = ["", "a", "é\u2028", "$ref", "$", "\0", "𐐀", "a.b"]
_MOMENT = datetime(2026, 10, 25, 2, 30, 0, 7)
_PARIS = ZoneInfo("Europe/Paris")
_READ_ZONES = [
    TypeAdapter(datetime).validate_python(text).tzinfo for text in ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+05:30")
]
_ZONES: list[Any] = [
    UTC, _PARIS, ZoneInfo("UTC"), timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(hours=1), "CET"),
    timezone(timedelta(0), "Z"), timezone(timedelta(hours=1, seconds=1, microseconds=5)), *_READ_ZONES,
]  # fmt: skip
SCALARS: dict[Any, list[Any]] = {
    type(None): [None],
    bool: [True, False],
    int: [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 10**300],
    float: _FLOATS,
    str: _TEXTS,
    bytes: [b"", b"\0\xff"],
    Decimal: [Decimal(text) for text in ("1.10", "-0", "NaN", "-Infinity", "1E+400", "0.10000000000000000000000000000000001")],
    UUID: [UUID(int=0), UUID("12345678123456781234567812345678")],
    date: [date(1, 1, 1), date(9999, 12, 31)],
    datetime: [_MOMENT, _MOMENT.replace(fold=1), *(_MOMENT.replace(tzinfo=zone) for zone in _ZONES),
               _MOMENT.replace(tzinfo=_PARIS, fold=1), datetime.min, datetime.max],
    time: [time(1, 2), time(1, 2, fold=1), *(time(23, 59, 59, 9, tzinfo=zone) for zone in _ZONES)],
    timedelta: [timedelta(0), timedelta(days=-1, microseconds=1), timedelta.max, timedelta.min],
    timezone: [zone for zone in _ZONES if type(zone) is timezone],
    ZoneInfo: [_PARIS],
    range: [range(3), range(5, 0, -2), range(0), range(2**70)],
    Colour: [*Colour],
    Level: [*Level],
    Word: [*Word],
    Access: [Access.READ, Access.ALL, Access(0), ~Access.READ],
    Bits: [Bits.A, Bits.A | Bits.B, Bits(0), Bits(8)],
    Literal["x", 1]: ["x", 1],
}  # fmt: skip
_HASHABLE = [tp for tp in SCALARS if tp is not Decimal]
_FIXED: list[Any] = [Plain, Camel, Open, Frozen, Child, Numbers, Came, Data, Grown, Ice, Slots, Both, Pair, Row]
_ERRORS: list[Any] = [Failed, Narrow, Told, KeyError, FileNotFoundError, StopIteration, ExceptionGroup]


def some_type(choose: Choose, depth: int = 3) -> Any:
    """A storable type, nested at most `depth` deep."""
    kind = choose(12) if depth else 0
    if kind < 3:
        return list(SCALARS)[choose(len(SCALARS))]
    if kind < 5:
        return [*_FIXED, *_ERRORS][choose(len(_FIXED) + len(_ERRORS))]
    inner = some_type(choose, depth - 1)
    if kind < 8:
        return [list[inner], tuple[inner, ...], tuple[inner, int], inner | None][choose(4)]  # type: ignore[valid-type]
    if kind < 10:
        inner = (
            list[int] if "Row" in str(inner) else inner
        )  # the class of a typed dict is not stored, so it cannot be an argument
        return [Box[inner], Two[inner, str], Crate[inner], Cell[inner]][choose(4)]  # type: ignore[valid-type]
    key = hashable_type(choose, depth - 1)
    return [set[key], frozenset[key], dict[key, inner], dict[str, inner]][choose(4)]  # type: ignore[valid-type]


def hashable_type(choose: Choose, depth: int) -> Any:
    """A type whose values may be keys and members of sets."""
    kind = choose(5) if depth else 0
    if kind < 3:
        return _HASHABLE[choose(len(_HASHABLE))]
    inner = hashable_type(choose, depth - 1)
    return [tuple[inner, ...], frozenset[inner]][choose(2)]  # type: ignore[valid-type]


class Maker:
    """Makes values of types; a mutable one is at times the one that was made before of the same type."""

    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.made: dict[Any, list[Any]] = {}
        self.depth = 0

    def of(self, tp: Any) -> Any:
        """A value of the type."""
        earlier = self.made.setdefault(tp, [])
        if earlier and not self.choose(3):
            return earlier[self.choose(len(earlier))]
        value = self.new(tp)
        earlier.append(value)
        return value

    def many(self, tp: Any) -> list[Any]:
        """Up to three values."""
        return [self.of(tp) for _ in range(self.choose(4))]

    def new(self, tp: Any) -> Any:
        """A new value of the type."""
        if tp in SCALARS:
            return SCALARS[tp][self.choose(len(SCALARS[tp]))]
        origin, args = typing.get_origin(tp), typing.get_args(tp)
        if origin in (list, set, frozenset):
            return origin(self.many(args[0]))
        if origin is tuple:
            return tuple(self.many(args[0])) if args[1] is ... else (self.of(args[0]), self.of(args[1]))
        if origin is dict:
            return {key: self.of(args[1]) for key in self.many(args[0])}
        if origin in (Crate, Cell):
            return tp(self.of(args[0]))
        if origin is not None:
            return self.of(args[self.choose(len(args))])
        return self.error(tp) if issubclass(tp, BaseException) else self.instance(tp)

    def any(self) -> Any:
        """What a field without a type of its own holds."""
        self.depth += 1
        made = self.of(some_type(self.choose, 1 if self.depth < _DEPTH else 0) if self.depth <= _DEPTH else int)
        self.depth -= 1
        return made

    def instance(self, cls: Any) -> Any:
        """An instance of a class of the zoo."""
        if cls is Row:
            return {"key": self.of(str), "values": self.of(list[int])}
        if cls is Pair or dataclasses.is_dataclass(cls):
            return cls(c=self.any()) if cls is Grown else cls(self.any())
        if not cls.__pydantic_generic_metadata__["args"]:
            return self.model(cls)
        one, *two = cls.__pydantic_generic_metadata__["args"]
        return (
            cls.model_construct(one=self.of(one), two=self.of(list[two[0]])) if two else cls.model_construct(content=self.of(one))
        )

    def model(self, cls: Any) -> Any:
        """A model that is not generic."""
        if cls is Numbers:
            return Numbers(self.many(int))
        if cls is Open:
            return Open(a=self.any(), beside=self.any())
        if cls is Child:
            made = Child(b=self.any(), c=Plain())
            assert made.remembered == [1]
            return made
        given = {Camel: "longName", Came: "what"}.get(cls, "a")
        return cls(**{given: self.any()})

    def error(self, cls: Any) -> BaseException:
        """An exception with notes, a cause and attributes."""
        made = Failed(self.any(), code=self.any()) if cls is Failed else _error(cls, self.any())
        if self.choose(2):
            made.add_note("note")
            made.__cause__ = _error(KeyError, self.any())
        return made


def _error(cls: Any, value: Any) -> BaseException:
    if cls is FileNotFoundError:
        return FileNotFoundError(2, "No such file", "a.txt")
    made: BaseException = ExceptionGroup("several", [ValueError(value), KeyError("k")]) if cls is ExceptionGroup else cls(value)
    return made


# --- comparing


def same(left: Any, right: Any, pairs: dict[int, Any] | None = None) -> bool:
    """Whether two values have the same types, the same contents and the same objects shared."""
    pairs = {} if pairs is None else pairs
    if type(left) is not type(right):
        return False
    if is_mutable(left):
        if id(left) in pairs or ("of", id(right)) in pairs:
            return pairs.get(id(left)) == id(right)
        pairs[id(left)], pairs["of", id(right)] = id(right), id(left)  # type: ignore[index]
    parts, others = parts_of(left), parts_of(right)
    if parts is None or others is None:
        return leaf(left) == leaf(right)
    return len(parts) == len(others) and all(same(a, b, pairs) for a, b in zip(parts, others, strict=True))


def is_mutable(value: Any) -> bool:
    """Whether its identity matters."""
    frozen = isinstance(value, Frozen | Ice | Both)
    return (
        isinstance(value, list | dict | set | BaseModel | BaseException) or dataclasses.is_dataclass(value)
        if not frozen
        else False
    )


def parts_of(value: Any) -> list[Any] | None:
    """What a value is made of, in order; None for a leaf."""
    match value:
        case list() | tuple():
            return list(value)
        case dict():
            return [part for pair in value.items() for part in pair]
        case set() | frozenset():
            return sorted(value, key=dumps)
        case BaseModel():
            extra = value.__pydantic_extra__ or {}
            fields = {name: vars(value)[name] for name in type(value).model_fields if name in vars(value)}
            return [*fields.values(), *extra, *extra.values(), *sorted(value.model_fields_set)]
        case BaseException():
            slots = [getattr(value, name, None) for name in ("extra", "errno", "value", "filename")]
            notes = getattr(value, "__notes__", [])
            return [*value.args, *vars(value), *vars(value).values(), *slots, value.__cause__, *notes]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return None


def leaf(value: Any) -> Any:
    """What tells one immutable scalar from every other, as far as a program can see."""
    if isinstance(value, datetime | time):
        return (value.isoformat(), value.fold, type(value.tzinfo), repr(value.tzinfo), value.tzname())
    return repr(value)
