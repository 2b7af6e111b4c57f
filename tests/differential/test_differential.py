"""The definition of the language: what the machine does is what CPython does, over random programs.

Every program runs natively and by its machine, whose state is written as text and read back after every transition, under a
random schedule; result or exception and the multiset of step calls must be equal. In one program of ten the state is thrown away
again and again, and built anew from the rows of a database.
"""

from __future__ import annotations

import os
import time
import warnings

import pytest

from tests.differential.at_length import KIND, next_seed, run, summary
from tests.differential.compare import Counts, compare
from tests.differential.coverage import covered
from tests.differential.generator import generate
from tests.differential.programs import APART, FEATURES
from verification import ledger

CHUNK = 25
FAST = 300
CI = 5_000


def compare_all(seeds: range) -> Counts:
    counts = Counts()
    with warnings.catch_warnings():
        # Python warns of the calls that it made and dropped when a later operand of `parallel(...)` raised: so it should.
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        for seed in seeds:
            compare(seed, counts)
    return counts


def compare_chunk(first: int) -> Counts:
    counts = compare_all(range(first, first + CHUNK))
    assert counts.programs == CHUNK
    assert counts.calls > CHUNK
    return counts


@pytest.mark.parametrize("first", range(0, FAST, CHUNK))
def test_machines_do_what_python_does(first: int) -> None:
    compare_chunk(first)


def test_one_program_in_ten_is_rebuilt_from_rows() -> None:
    """Not every one of them gets so far that there is something to rebuild."""
    assert compare_all(range(3, 103, 10)).rebuilt > 0


@pytest.mark.ci
@pytest.mark.parametrize("first", range(FAST, CI, CHUNK))
def test_machines_do_what_python_does_at_length(first: int) -> None:
    compare_chunk(first)


@pytest.mark.ci
def test_the_programs_of_ci_have_each_construct_inside_each_other() -> None:
    coverage = covered(CI)
    assert coverage.missing() == []


@pytest.mark.verify
def test_machines_do_what_python_does_for_long() -> None:
    """As many as `FLOWGRAPH_PROGRAMS` says, on seeds that no earlier programme had; entered into the ledger."""
    programs, first, began = int(os.environ.get("FLOWGRAPH_PROGRAMS", "20000")), next_seed(), time.monotonic()
    found = run(programs, first, jobs=2)
    ledger.enter(KIND, summary(found, first, time.monotonic() - began))
    assert found.different == []


def test_the_generator_is_deterministic_and_uses_every_feature() -> None:
    programs = [generate(seed) for seed in range(60)]
    assert [program.text for program in programs] == [generate(seed).text for seed in range(60)]
    assert {name for program in programs for name in program.features} == {*FEATURES, *APART}
