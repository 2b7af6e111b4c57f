"""The engine's short way into and out of the codec takes the same values to the same texts, and back, as the codec itself."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowgraph.codec import CodecError, TypeRegistry, dumps, loads
from flowgraph_runtime.engine.values import decoded, encoded

TYPES = TypeRegistry()


class Number(IntEnum):
    ONE = 1


class Text(str):
    pass


KEYS = st.text(max_size=5) | st.sampled_from(["$id", "$ref", "$model", "$", "a$b"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | KEYS | st.binary(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3) | st.tuples(inner),
    max_leaves=6,
)


@given(VALUES)
@example({"a": 1e16, "b": 1e-7, "c": -0.0})
@example({"a": 2**53, "b": 2**63, "c": -(2**63) - 1, "d": 2**64})
@example({chr(code): chr(code) for code in (*range(0x20), 0x7F, 0x2028, 0xFFFF, 0x1F600)})
@example({"$id": 1, "v": 2})
@example("$ref")
def test_both_ways_agree_with_the_codec(value: Any) -> None:
    text = dumps(value)
    assert encoded(value) == text
    again = decoded(text, TYPES)
    assert again == loads(text, TYPES) == value
    assert repr(again) == repr(value)


@pytest.mark.parametrize("value", ["\ud800", {"a": "\ud800"}, {"\ud800": 1}, object(), {"a": object()}])
def test_what_the_codec_refuses_is_refused_and_named(value: Any) -> None:
    with pytest.raises(CodecError) as theirs:
        dumps(value, by="the result")
    with pytest.raises(CodecError) as ours:
        encoded(value, by="the result")
    assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("text", ["", "{", '{"a":}', "nul", '"\\ud800', "[1,]", '{"$unknown":1}'])
def test_a_broken_text_is_a_codec_error(text: str) -> None:
    with pytest.raises(CodecError):
        decoded(text, TYPES)


def test_a_subclass_is_not_taken_for_its_base() -> None:
    for value in (Number.ONE, {"a": Number.ONE}):
        assert encoded(value) == dumps(value) != json.dumps(value)
    for odd in (Text("a"), {"a": Text("a")}, {Text("a"): 1}):
        assert _outcome(encoded, odd) == _outcome(dumps, odd)


def _outcome(write: Any, value: Any) -> str:
    try:
        return str(write(value))
    except CodecError as error:
        return f"refused: {error}"


def test_a_decoded_value_is_nobody_elses() -> None:
    text = dumps({"a": 1})
    first = decoded(text, TYPES)
    first["a"] = 2
    assert decoded(text, TYPES) == {"a": 1}
