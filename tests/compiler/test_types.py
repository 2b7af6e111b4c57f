"""Operations on types: unions, printing, element types, assignability, storability."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, FutureDate, PastDatetime, PositiveInt, SecretStr

from flowgraph_compiler.assignability import assignable
from flowgraph_compiler.storability import obstacle, private_attributes, width
from flowgraph_compiler.types import (
    NEVER,
    NONE,
    UNKNOWN,
    element,
    fields,
    has_none,
    members,
    normal,
    partial,
    show,
    type_of_value,
    union,
    without_none,
)

T = TypeVar("T")


class Color(Enum):
    RED = "red"


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Leaf(Tree):
    pass


class Plain:
    pass


@dataclass
class Box(Generic[T]):
    item: T


class Point(NamedTuple):
    x: int
    y: str


class Row(TypedDict):
    key: str


Id = NewType("Id", str)
TYPES = [
    int,
    str,
    bool,
    float,
    NONE,
    list[int],
    dict[str, int],
    tuple[int, ...],
    tuple[int, str],
    Tree,
    Leaf,
    Color,
    Decimal,
    UNKNOWN,
    Id,
]
types = st.lists(st.sampled_from(TYPES), max_size=4).map(union)


@given(types, types)
def test_a_union_takes_both_sides(one: Any, other: Any) -> None:
    both = union([one, other])
    assert assignable(one, both)
    assert assignable(other, both)
    assert both == union([other, one])
    assert union([both, both]) == both


@given(types)
def test_without_none_keeps_the_rest(tp: Any) -> None:
    assert not has_none(without_none(tp))
    assert union([without_none(tp), NONE]) == union([tp, NONE])


def test_members_that_another_covers_are_left_out() -> None:
    assert union([int, bool]) is int
    assert union([Tree, Leaf]) is Tree
    assert union([list[UNKNOWN], list[int]]) == list[int]
    assert members(union([int, None])) == (int, NONE)
    assert union([]) == NEVER


@pytest.mark.parametrize(
    ("tp", "text"),
    [
        (int, "int"),
        (None, "None"),
        (None | Tree, "Tree | None"),
        (dict[str, list[Tree]], "dict[str, list[Tree]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (tuple[()], "tuple[()]"),
        (Literal["a", "b"], "Literal['a', 'b']"),
        (Literal[Color.RED], "Literal[Color.RED]"),
        (Annotated[int, "positive"], "int"),
        (Id, "Id"),
        (type[Tree], "type[Tree]"),
        (Box[int], "Box[int]"),
        (list[UNKNOWN], "list[unknown]"),
        (Any, "Any"),
    ],
)
def test_types_are_shown_as_authors_write_them(tp: Any, text: str) -> None:
    assert show(tp) == text


@pytest.mark.parametrize(
    ("source", "target", "fits"),
    [
        (int, float, True),
        (float, int, False),
        (bool, int, True),
        (int, int | None, True),
        (int | None, int, False),
        (NONE, Tree, False),
        (Leaf, Tree, True),
        (Tree, Leaf, False),
        (list[int], Sequence[int], True),
        (list[int], Sequence[str], False),
        (list[int], Iterable[int], True),
        (list[int], list[float], True),
        (list[UNKNOWN], list[int], True),
        (dict[str, int], Mapping[str, int], True),
        (dict[str, int], dict[int, int], False),
        (tuple[int, str], tuple[int, str], True),
        (tuple[int, str], tuple[int, int], False),
        (tuple[int, int], tuple[int, ...], True),
        (tuple[int], tuple[int, int], False),
        (Literal["a"], str, True),
        (str, Literal["a", "b"], True),
        (int, Literal["a"], False),
        (Literal["c"], Literal["a", "b"], False),
        (Id, str, True),
        (str, Id, True),
        (int, Id, False),
        (dict[str, int], Row, True),
        (str, Row, False),
        (str, Any, True),
        (str, object, True),
        (UNKNOWN, int, True),
        (Decimal, float, False),
    ],
)
def test_only_certain_mismatches_do_not_fit(source: Any, target: Any, fits: bool) -> None:
    assert assignable(source, target) is fits


@pytest.mark.parametrize(
    ("tp", "item"),
    [
        (list[int], int),
        (dict[str, int], str),
        (tuple[int, str], int | str),
        (str, str),
        (range, int),
        (Point, int | str),
        (Plain, UNKNOWN),
    ],
)
def test_elements(tp: Any, item: Any) -> None:
    assert element(tp) == item


def test_fields_of_generic_classes_are_substituted() -> None:
    assert fields(Box[int]) == {"item": int}
    assert fields(Point) == {"x": int, "y": str}
    assert fields(Plain) is None


def test_values_have_the_type_of_their_literal() -> None:
    assert type_of_value(("a", 1)) == tuple[str, int]
    assert type_of_value(None) is NONE
    assert type_of_value(Color.RED) is Color


@pytest.mark.parametrize(
    ("tp", "found"),
    [
        (Tree, None),
        (dict[str, list[tuple[int, Decimal | None]]], None),
        (Color | datetime | None, None),
        (Exception, None),
        (Literal["a"], None),
        (Row, None),
        (Any, None),
        (UNKNOWN, None),
        (Plain, "Plain"),
        (list[Plain], "Plain"),
        (Box[Plain], "'item' of Box: Plain"),
        (SecretStr, "SecretStr"),
        (Callable[[int], str], "Callable[[int], str]"),
        (Iterable[int], "Iterable[int]"),
        (type[Tree], "type[Tree]"),
    ],
)
def test_storability_names_the_part_that_cannot_be_stored(tp: Any, found: str | None) -> None:
    assert obstacle(tp) == found


@pytest.mark.parametrize(
    ("tp", "held"), [(AwareDatetime, datetime), (PastDatetime, datetime), (FutureDate, date), (PositiveInt, int)]
)
def test_what_pydantic_checks_is_stored_as_what_it_holds(tp: Any, held: type) -> None:
    assert normal(tp) is held
    assert obstacle(list[tp]) is None


class Wide(BaseModel):
    extra: dict[str, Any]


class Hidden(BaseModel):
    _secret: int = 0


def test_what_says_too_little_is_found_inside() -> None:
    assert width(Tree) is None
    assert width(list[object]) == "object"
    assert width(Wide | None) == "field 'extra' of Wide: Any"
    assert width(Literal["Any"]) is None
    assert private_attributes(Hidden) == "'_secret' of Hidden"
    assert private_attributes(Tree) is None


def test_partial_types() -> None:
    assert partial(list[UNKNOWN])
    assert not partial(dict[str, Literal["a"]])
