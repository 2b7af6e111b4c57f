"""Machines are the same bytes on Python 3.11, 3.12 and 3.13, and do there what Python does there."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.differential.machines import machines
from tests.differential.pythons import OTHERS, Missing, run

PROGRAMS = 300
COMPARED = 100
FIRST = 20_000
pytestmark = pytest.mark.ci
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="module")
def here() -> dict[str, str]:
    """The machines of this Python."""
    return machines(PROGRAMS)


def _under(version: str, *arguments: str) -> str:
    """What a module prints under a version; skipped, with what was looked at, where there is no such Python outside CI."""
    try:
        return run(version, *arguments)
    except Missing as missing:
        if os.environ.get("FLOWGRAPH_PYTHONS"):
            raise
        pytest.skip(str(missing))


@pytest.mark.parametrize("version", [version for version in OTHERS if version != HERE])
def test_machines_are_the_same_bytes(version: str, here: dict[str, str]) -> None:
    there = json.loads(_under(version, "tests.differential.machines", str(PROGRAMS)))
    assert len(here) > PROGRAMS
    assert there == here


@pytest.mark.parametrize("version", [version for version in OTHERS if version != HERE])
def test_machines_do_what_python_does_there(version: str) -> None:
    printed = _under(version, "tests.differential.compare", str(FIRST), str(FIRST + COMPARED - 1))
    assert f"{COMPARED} programs, 0 differences" in printed
