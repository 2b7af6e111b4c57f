"""The corpus of faulty modules: `faulty/*.txt`, sections with a mark on each line that must have a finding.

`=== title` is the body of a workflow `flow(order: str, cents: int, names: list[str], maybe: str | None) -> str`, `=== module:` is
what follows the prelude, `=== file:` is a whole file. `#! FG113 FG170` at the end of a line: exactly these codes are there.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowgraph_compiler import pipeline, source
from flowgraph_compiler.diagnostics import Diagnostic, Level

FOLDER = Path(__file__).parent / "faulty"
PRELUDE = (FOLDER / "prelude.py.txt").read_text(encoding="utf-8")
HEAD = "@workflow\nasync def flow(order: str, cents: int, names: list[str], maybe: str | None) -> str:\n"
_MARK = re.compile(r"\s*#! ((?:FG\d{3} ?)+)$", re.MULTILINE)

Places = set[tuple[int, str]]
"""Lines and the codes that are there."""


@dataclass(frozen=True)
class Faulty:
    """One module: its text without the marks, and where they stood."""

    title: str
    text: str
    expected: frozenset[tuple[int, str]]


def corpus() -> Iterator[Faulty]:
    """All modules, in order."""
    for file in sorted(FOLDER.glob("*.txt")):
        if file.name != "prelude.py.txt":
            for section in re.split(r"^=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
                title, _, body = section.partition("\n")
                yield _faulty(f"{file.stem}: {title}", _whole(title, body))


def _whole(title: str, body: str) -> str:
    if title.startswith("file: "):
        return body
    return PRELUDE + (body if title.startswith("module: ") else HEAD + textwrap.indent(body, "    "))


def _faulty(title: str, marked: str) -> Faulty:
    lines = marked.split("\n")
    found = [(number, match[1].split()) for number, line in enumerate(lines, 1) if (match := _MARK.search(line))]
    expected = frozenset((number, code) for number, codes in found for code in codes)
    return Faulty(title, _MARK.sub("", marked), expected)


def findings(text: str, name: str) -> list[Diagnostic]:
    """Every finding of a module given as text."""
    try:
        module = source.from_text(text, name)
    except source.SourceError as refused:
        return list(refused.diagnostics)
    return list(pipeline.compile_application([module]).diagnostics)


def told(found: list[Diagnostic], expected: frozenset[tuple[int, str]]) -> Places:
    """Where the findings are; of notes and warnings only those of the codes that are expected."""
    codes = {code for _, code in expected}
    return {(one.span.line, one.rule.code) for one in found if one.severity is Level.ERROR or one.rule.code in codes}
