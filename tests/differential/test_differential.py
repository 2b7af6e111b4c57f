"""The definition of the language: what the machine does is what CPython does, over random programs.

Every program runs natively and by its machine, whose state is written as text and read back after every transition, under a
random schedule; result or exception and the multiset of step calls must be equal.
"""

from __future__ import annotations

import re
import warnings

import pytest

from tests.differential.compare import Counts, compare
from tests.differential.generator import generate
from tests.differential.programs import FEATURES, MATCHED, SCOPED

CHUNK = 25
FAST = 300
CI = 3_000


def compare_chunk(first: int) -> Counts:
    counts = Counts()
    with warnings.catch_warnings():
        # Python warns of the calls that it made and dropped when a later operand of `parallel(...)` raised: so it should.
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        for seed in range(first, first + CHUNK):
            compare(seed, counts)
    assert counts.programs == CHUNK
    assert counts.calls > CHUNK
    return counts


@pytest.mark.parametrize("first", range(0, FAST, CHUNK))
def test_machines_do_what_python_does(first: int) -> None:
    compare_chunk(first)


@pytest.mark.ci
@pytest.mark.parametrize("first", range(FAST, CI, CHUNK))
def test_machines_do_what_python_does_at_length(first: int) -> None:
    compare_chunk(first)


def test_scopes_do_what_python_does() -> None:
    compare_chunk(SCOPED)


@pytest.mark.ci
@pytest.mark.parametrize("first", range(SCOPED + CHUNK, SCOPED + 300, CHUNK))
def test_scopes_do_what_python_does_at_length(first: int) -> None:
    compare_chunk(first)


def test_matches_do_what_python_does() -> None:
    compare_chunk(MATCHED)


@pytest.mark.ci
@pytest.mark.parametrize("first", range(MATCHED + CHUNK, MATCHED + 500, CHUNK))
def test_matches_do_what_python_does_at_length(first: int) -> None:
    compare_chunk(first)


def test_the_generator_is_deterministic_and_uses_every_feature() -> None:
    programs = [generate(seed) for seed in range(60)]
    assert [program.text for program in programs] == [generate(seed).text for seed in range(60)]
    assert {name for program in programs for name in program.features} == set(FEATURES)


def test_the_generator_writes_both_scopes_in_each_other_and_in_all_that_can_hold_them() -> None:
    text = "".join(generate(seed).text for seed in range(SCOPED, SCOPED + 300))
    around = [
        r"for .*",
        r"while .*",
        r"if .*",
        "try",
        "finally",
        r"except .*",
        r"async with saga\(\)",
        r"async with timeout\(.*\)",
    ]
    for header in around:
        for scope in (r"timeout\(", r"saga\(\)"):
            inside = rf"^( +){header}:\n(?:\1    .*\n)*?\1    +async with {scope}"
            assert re.search(inside, text, re.MULTILINE), (header, scope)
