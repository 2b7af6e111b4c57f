"""Light and dark: a colour that is written out, and is no variable of both schemes, stays as it is when the other one changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import flowgraph_runtime.dashboard

STATIC = Path(flowgraph_runtime.dashboard.__file__).parent / "static"
SCHEMES = re.compile(r":root \{.*?\}", re.DOTALL)
COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b")


@pytest.mark.parametrize("sheet", sorted(STATIC.glob("*.css")), ids=lambda sheet: sheet.name)
def test_no_colour_is_written_outside_of_the_schemes(sheet: Path) -> None:
    rules = SCHEMES.sub("", sheet.read_text(encoding="utf-8"))
    assert [line for line in rules.splitlines() if COLOUR.search(line)] == []


def test_both_schemes_have_every_colour() -> None:
    light, dark = ({*re.findall(r"--(\w+):", scheme)} for scheme in SCHEMES.findall((STATIC / "style.css").read_text()))
    assert light - dark == {"mono"}
    assert dark <= light
