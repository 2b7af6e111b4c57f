"""The stored forms, one by one, and what the codec refuses."""

import dataclasses
import enum
from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, PrivateAttr, SecretStr, TypeAdapter, model_validator

from flowgraph import Event, EventMeta
from flowgraph.codec import MAX_DEPTH, CodecError, RegistryError, TypeRegistry, copy_value, decode, dumps, encode, loads, plain
from flowgraph.events import attach_meta

T = TypeVar("T")


class Size(enum.Enum):
    BIG = "b"


class Item(BaseModel):
    sku: str
    tags: list[str] = []
    note: str = "none"


class Strict(BaseModel):
    n: int

    @model_validator(mode="after")
    def never(self) -> "Strict":
        raise AssertionError("decoding must not validate")


class Hidden(BaseModel):
    _secret: int = PrivateAttr(default=1)


class Unset(BaseModel):
    _secret: int = PrivateAttr()


class Shelf(BaseModel, Generic[T]):
    of: T


class Came(Event, name="came"):
    id: str


@dataclasses.dataclass
class Box:
    content: Any


@pytest.mark.parametrize(
    ("value", "tree"),
    [
        ({"a": [1, "x", None, True, 1.5]}, {"a": [1, "x", None, True, 1.5]}),
        ({"$a": 1}, {"$dict": [["$a", 1]]}),
        ({1: 2}, {"$dict": [[1, 2]]}),
        ((1, (2,)), {"$tuple": [1, {"$tuple": [2]}]}),
        ({3, 1, 2}, {"$set": [1, 2, 3]}),
        (frozenset("ba"), {"$frozenset": ["a", "b"]}),
        (2**63, {"$int": "9223372036854775808"}),
        (-(2**63), -(2**63)),
        (float("-inf"), {"$float": "-inf"}),
        (Decimal("1.10"), {"$decimal": "1.10"}),
        (UUID(int=1), {"$uuid": "00000000-0000-0000-0000-000000000001"}),
        (b"\0x", {"$bytes": "AHg="}),
        (range(1, 9, 2), {"$range": [1, 9, 2]}),
        (Size.BIG, {"$enum": ["Size", "BIG"]}),
        (
            datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Paris"), fold=1),
            {"$datetime": "2026-10-25T02:30:00+01:00", "zone": "Europe/Paris", "fold": 1},
        ),
        (
            datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
            {"$datetime": "2026-01-01T00:00:00+01:00", "name": "CET"},
        ),
        (
            TypeAdapter(datetime).validate_python("2026-01-01T00:00:00+01:00"),
            {"$datetime": "2026-01-01T00:00:00+01:00", "zone": "pydantic"},
        ),
        (ZoneInfo("Europe/Paris"), {"$zone": "Europe/Paris"}),
        (UTC, {"$offset": [0, 0, 0]}),
        (timezone(timedelta(hours=-1), "X"), {"$offset": [-1, 82800, 0], "name": "X"}),
        (Shelf[Item | None](of=None), {"$model": "Shelf", "of": [["|", {"class": "Item"}, "None"]], "v": {"of": None}}),
        (Shelf[Literal["a"]](of="a"), {"$model": "Shelf", "of": [["Literal", "a"]], "v": {"of": "a"}}),
        (Item(sku="s"), {"$model": "Item", "v": {"sku": "s", "tags": [], "note": "none"}, "set": ["sku"]}),
        (Box(1), {"$data": "Box", "v": {"content": 1}}),
    ],
)
def test_the_form_of_a_value(value: object, tree: object) -> None:
    assert encode(value) == tree
    read = decode(tree, TypeRegistry(Size, Item, Box, Shelf))
    assert read == value
    assert type(read) is type(value)
    assert isinstance(value, set | frozenset) or repr(read) == repr(value)


def test_an_object_met_twice_is_written_once() -> None:
    shared = [1]
    tree = encode({"a": shared, "b": shared})
    assert tree == {"a": {"$id": 1, "v": [1]}, "b": {"$ref": 1}}
    read = decode(tree, TypeRegistry())
    assert read["a"] is read["b"]


def test_a_cycle_is_closed_again() -> None:
    loop: list[Any] = []
    loop.append(loop)
    read = loads(dumps(loop), TypeRegistry())
    assert read[0] is read


def test_equal_objects_that_are_not_the_same_stay_apart() -> None:
    read = copy_value([[1], [1]])
    assert read[0] is not read[1]


@pytest.mark.parametrize("text", ["2026-10-25T02:30:00Z", "2026-10-25T02:30:00+05:30"])
def test_an_offset_that_pydantic_read_is_stored(text: str) -> None:
    read = TypeAdapter(datetime).validate_json(f'"{text}"')
    again = decode(encode(read), TypeRegistry())
    assert again == read
    assert again.utcoffset() == read.utcoffset()


def test_an_event_keeps_its_meta() -> None:
    event = Came(id="1")
    attach_meta(event, EventMeta("evt_1", "came", datetime(2026, 1, 1, tzinfo=UTC), None))
    assert decode(encode(event), TypeRegistry(Came)).meta == event.meta


def test_decoding_runs_no_validator() -> None:
    value = Strict.model_construct(n=1)
    assert decode(encode(value), TypeRegistry(Strict)) == value


def test_a_field_newer_than_the_stored_value_has_its_default_and_a_removed_one_is_dropped() -> None:
    read = decode({"$model": "Item", "v": {"sku": "s", "gone": 1}}, TypeRegistry(Item))
    assert (read.tags, read.note) == ([], "none")
    assert not hasattr(read, "gone")
    assert read.tags is not Item(sku="t").tags


def test_a_field_newer_than_a_stored_dataclass_or_named_tuple_has_its_default() -> None:
    types = TypeRegistry(Grown, Spot)
    read = decode({"$data": "Grown", "v": {"a": 1}}, types)
    assert (read.b, read.c) == (2, [])
    assert read.c is not Grown(1).c
    assert decode({"$named": "Spot", "v": [1]}, types) == Spot(1, 0)
    for items in ([], [1, 2, 3]):
        with pytest.raises(CodecError, match="the class 2"):
            decode({"$named": "Spot", "v": items}, types)


def test_what_a_removed_field_held_is_still_there_for_others() -> None:
    tree = [{"$data": "Grown", "v": {"gone": {"$id": 1, "v": [7]}, "a": 1}}, {"$ref": 1}]
    assert decode(tree, TypeRegistry(Grown))[1] == [7]
    lost = {"$data": "Grown", "v": {"gone": {"$model": "Nobody", "v": {}}, "a": 1}}
    assert decode(lost, TypeRegistry(Grown)).a == 1


def test_a_generic_model_is_found_in_a_process_that_has_not_made_it_yet() -> None:
    class Fresh(BaseModel, Generic[T]):
        of: T

    read = decode({"$model": "Fresh", "of": [["list", {"class": "Item"}]], "v": {"of": []}}, TypeRegistry(Fresh, Item))
    assert type(read) is Fresh[list[Item]]
    bare = decode({"$model": "Item", "of": ["int"], "v": {"sku": "s"}}, TypeRegistry(Item))  # it was generic once
    assert type(bare) is Item


@pytest.mark.parametrize("of", ["what", [1], [["list"]], [{"class": "Nobody"}], [["|", {}]], [{"$model": 1}]])
def test_damaged_type_arguments_are_refused(of: object) -> None:
    with pytest.raises(CodecError):
        decode({"$model": "Shelf", "of": of, "v": {"of": 1}}, TypeRegistry(Shelf))


def test_a_type_argument_without_a_stored_form_is_found_by_the_whole_name() -> None:
    value = Shelf[Annotated[int, "positive"]](of=1)
    read = decode(encode(value), TypeRegistry(type(value)))
    assert type(read) is type(value)


def test_what_python_or_pydantic_keeps_beside_the_fields_is_no_attribute_of_the_authors() -> None:
    value = Cached(1)
    assert value.double == 2
    assert encode(value) == {"$data": "Cached", "v": {"n": 1}}
    assert encode(Crate[int](1)) == {"$data": "Crate", "v": {"of": 1}}
    object.__setattr__(value, "more", 1)
    for write in (encode, copy_value):
        with pytest.raises(CodecError, match="'Cached' has the attribute 'more', which is no field"):
            write(value)


def test_nested_sets_are_written_in_time_that_grows_with_their_size() -> None:
    value: frozenset[Any] = frozenset()
    for n in range(60):
        value = frozenset({value, n})
    assert loads(dumps(value), TypeRegistry()) == value


def test_an_alias_finds_a_renamed_class() -> None:
    types = TypeRegistry()
    types.register(Box, "Crate")
    assert decode({"$data": "Crate", "v": {"content": 1}}, types) == Box(1)


def test_two_classes_of_one_name_are_refused() -> None:
    other = dataclasses.make_dataclass("Box", ["x"])
    with pytest.raises(RegistryError, match="two classes are called 'Box'"):
        TypeRegistry(Box, other)
    with pytest.raises(CodecError, match="two classes are called 'Box'"):
        encode([Box(1), other(1)])


@dataclasses.dataclass(slots=True)
class Grown:
    a: int
    b: int = 2
    c: list[int] = dataclasses.field(default_factory=list)


class Spot(NamedTuple):
    x: int
    y: int = 0


@dataclasses.dataclass(frozen=True)
class Cached:
    n: int

    @cached_property
    def double(self) -> int:
        return 2 * self.n


@dataclasses.dataclass
class Crate(Generic[T]):
    of: T


class Odd(tzinfo):
    pass


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (lambda: 1, "value", "function cannot be stored"),
        (int, "value", "type cannot be stored"),
        ({"items": [0, 1, 2, {"when": print}]}, "value.items[3].when", "function"),
        ([(1, iter([]))], "value[0][1]", "write list"),
        ({"a b": (n for n in [1])}, "value['a b']", "iterator"),
        ({1: object()}, "value[1]", "type object"),
        (Box(SecretStr("x")), "value.content", "secret"),
        (Item.model_construct(sku=object()), "value.sku", "type object"),
        (["\ud800"], "value[0]", "surrogate"),
        ({"\ud800": 1}, "value['\\ud800']", "surrogate"),
        (datetime(2026, 1, 1, tzinfo=Odd()), "value", "time zone of type Odd"),
        (OrderedDict(a=1), "value", "OrderedDict"),
        (Text("x"), "value", "type Text"),
        (Hidden(), "value", "private attributes"),
        (Unset(), "value", "private attributes"),
        (..., "value", "type ellipsis"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_place(value: object, path: str, reason: str) -> None:
    with pytest.raises(CodecError, match=reason) as caught:
        encode(value)
    assert caught.value.path == path
    with pytest.raises(CodecError, match=reason):
        copy_value(value)


def test_an_integer_too_large_for_text_is_refused() -> None:
    for write in (encode, copy_value):
        with pytest.raises(CodecError, match=r"an integer of 16,610 bits"):
            write(10**5000)


def nested(depth: int, kind: type) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"k": value} if kind is dict else kind([value])
    return value


@pytest.mark.parametrize("kind", [list, dict, tuple])
def test_depth_is_limited_by_an_error_of_our_own(kind: type) -> None:
    fits = nested(MAX_DEPTH, kind)
    assert loads(dumps(fits), TypeRegistry()) == fits
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(CodecError, match="nested deeper than 200"):
            encode(nested(depth, kind))


@pytest.mark.parametrize(
    "tree",
    [
        {"$model": "Nobody", "v": {}},
        {"$model": "Size", "v": {}},
        {"$enum": ["Size", "SMALL"]},
        {"$what": 1},
        {"$ref": 1},
        {"$tuple": 3},
        {"$datetime": "yesterday"},
        {"$range": [1, 2, 0]},
        {"$set": [[]]},
        {"$bytes": "*"},
        {"$data": "Size", "v": {}},
    ],
)
def test_a_damaged_tree_is_refused(tree: object) -> None:
    with pytest.raises(CodecError):
        decode(tree, TypeRegistry(Size, Item))


@pytest.mark.parametrize("text", ["", "{", "nul", "[" * 100_000])
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(CodecError, match="not a stored value"):
        loads(text, TypeRegistry())


def test_plain_is_what_people_read() -> None:
    shared = ["x"]
    value = {
        "when": datetime(2026, 1, 1, tzinfo=UTC),
        "item": Item(sku="s", tags=shared),
        "also": shared,
        "error": ValueError("no"),
        3: (1, {2}),
        "zones": [ZoneInfo("Europe/Paris"), timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(0), "Z")],
    }
    assert plain(encode(value)) == {
        "when": "2026-01-01T00:00:00+00:00",
        "item": {"sku": "s", "tags": ["x"], "note": "none"},
        "also": ["x"],
        "error": {"type": "ValueError", "message": "no"},
        "3": [1, [2]],
        "zones": ["Europe/Paris", "-03:30", "Z"],
    }


def test_frozen_values_are_shared_and_mutable_ones_copied() -> None:
    point = (1, "a", (2.5, None))
    assert copy_value(point) is point
    box = Box([1])
    copied = copy_value(box)
    assert copied == box
    assert copied.content is not box.content
