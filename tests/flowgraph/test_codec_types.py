"""Round trips over types that are composed at random: what is written comes back with the same types, contents and aliases."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowgraph.codec import Decoder, Encoder, copy_value, decode, dumps, encode, loads, to_text
from tests.flowgraph.value_zoo import TYPES, Maker, same, some_type

RECORDED = Path(__file__).with_name("codec_corpus.recorded.txt")


def maker(draw: st.DataObject) -> Maker:
    return Maker(lambda below: draw.draw(st.integers(0, below - 1)))


def check_round_trip(draw: st.DataObject) -> None:
    make = maker(draw)
    types = [some_type(make.choose) for _ in range(2)]
    value = [make.of(tp) for tp in (*types, *types)]
    text = dumps(value)
    read = loads(text, TYPES)
    assert same(value, read), (value, read)
    assert dumps(read) == text
    copied = copy_value(value)
    assert same(value, copied), (value, copied)


def check_arguments(draw: st.DataObject) -> None:
    """The arguments of one call are written together, as the results of several steps are not."""
    make = maker(draw)
    tp = some_type(make.choose)
    arguments = [make.of(tp) for _ in range(3)]
    encoder = Encoder()
    trees = encoder.finish([encoder.encode(argument) for argument in arguments])
    decoder = Decoder(TYPES)
    assert same(arguments, [decoder.decode(tree) for tree in trees])
    apart = [decode(encode(argument), TYPES) for argument in arguments]
    assert all(same(argument, read) for argument, read in zip(arguments, apart, strict=True))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_values_of_random_types_come_back_as_they_were(data: st.DataObject) -> None:
    check_round_trip(data)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_arguments_of_one_call_share_what_they_shared(data: st.DataObject) -> None:
    check_arguments(data)


@pytest.mark.ci
@given(st.data())
@settings(max_examples=2_500, deadline=None)
def test_values_of_many_random_types_come_back_as_they_were(data: st.DataObject) -> None:
    check_round_trip(data)


@pytest.mark.ci
@given(st.data())
@settings(max_examples=500, deadline=None)
def test_arguments_of_many_calls_share_what_they_shared(data: st.DataObject) -> None:
    check_arguments(data)


def corpus() -> list[Any]:
    """Values by a generator that gives the same ones on every Python."""
    chance = random.Random(7)
    make = Maker(chance.randrange)
    return [make.of(some_type(make.choose)) for _ in range(400)]


def test_the_bytes_are_the_recorded_ones_on_every_python() -> None:
    encoder = Encoder()
    trees = encoder.finish([encoder.encode(value) for value in corpus()])
    assert [to_text(tree) for tree in trees] == RECORDED.read_text().rstrip("\n").split("\n")
