"""Findings of small programs: marks `# error: FG210` on lines are what is expected, and nothing else of the same codes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from flowgraph_compiler import pipeline, source
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.pipeline import Compilation

PRELUDE = Path(__file__).with_name("checked_prelude.py.txt").read_text(encoding="utf-8")
MARK = re.compile(r"# error: (FG\d{3}(?: FG\d{3})*)")
_numbers = itertools.count()


def compiled(body: str, prelude: str = PRELUDE) -> Compilation:
    """A program behind the prelude, compiled."""
    return pipeline.compile_application([source.from_text(prelude + body, f"checked_{next(_numbers)}")])


def findings(body: str) -> list[Diagnostic]:
    """What is found in the program itself."""
    return list(compiled(body).diagnostics)


def codes_by_line(body: str, *codes: str) -> set[tuple[int, str]]:
    """(line of the body, code) of the findings of these codes."""
    offset = PRELUDE.count("\n")
    return {(found.span.line - offset, found.rule.code) for found in findings(body) if found.rule.code in codes}


def marked(body: str) -> set[tuple[int, str]]:
    """(line, code) of the marks."""
    lines = enumerate(body.splitlines(), 1)
    return {(number, code) for number, line in lines if (match := MARK.search(line)) for code in match[1].split()}
