"""No error is reported in a program that is valid."""

from __future__ import annotations

import pytest

from tests.checker import false_positives

FAST, CI = 15, 400


def test_random_valid_programs_have_no_error() -> None:
    found = false_positives.check(range(3_000_000, 3_000_000 + FAST))
    assert found.errors == []
    assert found.lines > 20 * FAST, "the programs are not trivial"


@pytest.mark.ci
@pytest.mark.parametrize("first", range(3_001_000, 3_001_000 + CI, 100))
def test_more_random_valid_programs_have_no_error(first: int) -> None:
    assert false_positives.check(range(first, first + 100)).errors == []
