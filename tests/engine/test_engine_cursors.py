"""Cursors against Python's own iterators, stored and reopened before every item."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowgraph_runtime.engine.cursors import Cursor, open_cursor, reopen_cursor

LISTS = st.lists(st.integers(), max_size=6)


def reopened(cursor: Cursor) -> Cursor:
    """The cursor after a round trip of its state, over the same operands."""
    operands = [reopened(operand) if isinstance(operand, Cursor) else operand for operand in cursor.operands]
    return reopen_cursor(cursor.kind, operands, copy.deepcopy(cursor.state()))


def collect(cursor: Cursor) -> list[Any]:
    """Take every item, reopening the cursor before each."""
    items = []
    while True:
        cursor = reopened(cursor)
        try:
            items.append(next(cursor))
        except StopIteration:
            assert next(reopened(cursor), "end") == "end"
            return items


@given(LISTS)
def test_sequences(xs: list[int]) -> None:
    for value in (xs, tuple(xs), range(len(xs)), "ä\N{GRINNING FACE}b"[: len(xs)], bytes(len(xs))):
        assert collect(open_cursor("iter", value)) == list(value)
        assert collect(open_cursor("reversed", value)) == list(reversed(value))


@given(st.dictionaries(st.integers(), st.integers(), max_size=6))
def test_dicts(d: dict[int, int]) -> None:
    assert collect(open_cursor("iter", d)) == list(d)
    assert collect(open_cursor("reversed", d)) == list(reversed(d))
    for kind in ("items", "keys", "values"):
        assert collect(open_cursor(kind, d)) == list(getattr(d, kind)())


@given(LISTS, LISTS, st.integers(-3, 3))
def test_nested(xs: list[int], ys: list[int], start: int) -> None:
    cursor = open_cursor("enumerate", open_cursor("zip", open_cursor("reversed", xs), ys), start)
    assert collect(cursor) == list(enumerate(zip(reversed(xs), ys, strict=False), start))
    assert collect(open_cursor("zip")) == []


@given(LISTS, LISTS, LISTS)
def test_strict_zip_fails_as_python_does(xs: list[int], ys: list[int], zs: list[int]) -> None:
    try:
        expected: object = list(zip(xs, ys, zs, strict=True))
    except ValueError as error:
        expected = str(error)
    try:
        found: object = collect(open_cursor("zip", xs, ys, zs, strict=True))
    except ValueError as error:
        found = str(error)
    assert found == expected


@given(LISTS, st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=12), st.booleans())
def test_a_list_that_changes_is_read_by_live_index(xs: list[int], changes: list[tuple[int, bool]], backwards: bool) -> None:
    mine, theirs = list(xs), list(xs)
    cursor: Cursor = open_cursor("reversed" if backwards else "iter", mine)
    native = reversed(theirs) if backwards else iter(theirs)
    for item, grow in changes:
        for values in (mine, theirs):
            if grow:
                values.append(item)
            elif values:
                values.pop()
        cursor = reopened(cursor)
        assert next(cursor, "end") == next(native, "end")


def test_a_dict_that_changes_its_size_raises() -> None:
    d = {1: 1, 2: 2}
    cursor = open_cursor("items", d)
    next(cursor)
    d[3] = 3
    with pytest.raises(RuntimeError, match="changed size"):
        next(reopened(cursor))


def test_what_has_no_storable_position_is_taken_as_a_list() -> None:
    assert collect(open_cursor("iter", map(str, [1, 2]))) == ["1", "2"]
    assert sorted(collect(open_cursor("iter", {3, 1}))) == [1, 3]
    with pytest.raises(TypeError):
        open_cursor("iter", 5)
    with pytest.raises(TypeError):
        open_cursor("reversed", {1, 2})
