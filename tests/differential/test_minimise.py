"""What is printed about a program that differs is small and shows the difference."""

from __future__ import annotations

import pytest

from flowgraph_compiler.build.statements import Statements
from tests.differential.generator import generate
from tests.differential.minimise import difference_of, minimise, report
from tests.differential.programs import Program


def _first(text: str) -> Program:
    """The first program that has a text in it, and some more."""
    programs = (generate(seed) for seed in range(500))
    return next(each for each in programs if text in each.functions and len(each.functions.splitlines()) > 30)


def test_a_program_shrinks_to_what_shows_the_difference() -> None:
    smallest = minimise(_first("await fan_out("), lambda each: "differs" if "await fan_out(" in each.functions else None)
    assert smallest.functions.count("await") == 1
    assert len(smallest.functions.splitlines()) <= 4
    assert smallest.events == smallest.late == []


def test_the_report_has_the_program_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Statements, "do_Assert", lambda self, node: None)
    found = next(each for each in (generate(seed) for seed in range(500)) if difference_of(each) is not None)
    text = report(found, "it differs", tries=100)
    assert f"python -m tests.differential.minimise {found.seed}" in text
    assert "assert" in text
    assert len(text.splitlines()) < len(found.functions.splitlines())
