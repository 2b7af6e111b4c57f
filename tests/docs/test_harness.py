"""The harness itself: it tells a wrong output, and edits as a reader would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import Block
from tests.docs.console import commands, fits
from tests.docs.folder import changed


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("evt_01...", "evt_01K8ZZ\n", True),
        ("evt_01...", "run_01K8ZZ\n", False),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a\n...\nd", "a\nd\n", True),
        ("a\n...\nd", "a\nb\nc\n", False),
        ("took ... s (of 2)", "took 0.31 s (of 2)\n", True),
        ("took ... s (of 2)", "took 0.31 s (of 3)\n", False),
        ("a", "a\nb\n", False),
    ],
)
def test_outputs_are_compared_line_by_line(shown: str, printed: str, same: bool) -> None:
    assert fits(shown, printed) is same


def test_commands_are_told_from_their_output() -> None:
    text = "$ one \\\n  more\nshown\n$ two\n"
    found = commands(Block(Path(__file__), 1, "console", frozenset(), {}, text))
    assert [(command.text, command.shown) for command in found] == [("one \\\n  more", "shown"), ("two", "")]


def test_an_edit_replaces_what_is_there_and_adds_what_is_not() -> None:
    g = "def g() -> int:\n    return 2\n"
    h = "def h() -> int:\n    return 4\n"
    old = f"from m import a\n\n\n@a\ndef f() -> int:\n    return 1\n\n\n{g}"
    new = f"from m import a, b\n\n\n@b\ndef f() -> int:\n    return 3\n\n\n{h}"
    assert changed(old, new) == f"from m import a, b\n\n\n@b\ndef f() -> int:\n    return 3\n\n\n{g}\n\n{h}"
