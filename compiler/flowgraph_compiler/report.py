"""Diagnostics for people (text with the source line and a caret) and for programs (JSON).

Before and after::

    Diagnostic(FG113, Span("pay.py", 9, 5, 9, 15), ...)
    ->
    pay.py:9:5 FG113 step-not-awaited: step 'charge' is called but not awaited
        charge(order)
        ^^^^^^^^^^^^^
      write: await charge(...)
"""

from __future__ import annotations

import json
import linecache
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from flowgraph_compiler.diagnostics import Diagnostic, Level, Related
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span

Lines = Callable[[str, int], str]
"""A file's line by its number, `""` where there is none (`linecache.getline`)."""

_RESET = "\x1b[0m"
_BOLD = "\x1b[1m"
_DIM = "\x1b[2m"
_COLOURS = {Level.ERROR: "\x1b[31m", Level.WARNING: "\x1b[33m", Level.NOTE: "\x1b[36m"}


def text(diagnostics: Iterable[Diagnostic], *, colour: bool = False, line: Lines = linecache.getline) -> str:
    """All findings in the order of their places, a blank line between two; "" when there are none."""
    blocks = ["\n".join(_block(found, colour, line)) for found in in_order(diagnostics)]
    return "\n\n".join(blocks) + "\n" if blocks else ""


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file, line, column, then code; each finding once, though several workflows may share the place."""
    unique = {(found.span, found.rule.code, found.message): found for found in reversed(list(diagnostics))}
    return sorted(unique.values(), key=lambda found: (found.span, found.rule.code, found.message))


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """One line: `2 errors, 1 warning`, or `no findings`."""
    found = in_order(diagnostics)
    counts = [(level.value, sum(one.severity is level for one in found)) for level in Level]
    parts = [f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts if count]
    return ", ".join(parts) or "no findings"


# --- text


def _block(found: Diagnostic, colour: bool, line: Lines) -> Iterator[str]:
    tint = _COLOURS[found.severity]
    level = "" if found.severity is Level.ERROR else f"{found.severity.value}: "
    head = _painted(f"{found.rule.code} {found.rule.name}", tint, colour)
    place = _painted(str(found.span), _BOLD, colour)
    yield f"{place} {head}: {level}{found.message}"
    yield from _excerpt(found.span, tint, colour, line)
    for related in found.related:
        yield from _related(related, colour, line)
    if found.help is not None:
        yield f"  {_painted('write:', _BOLD, colour)} {_indented(found.help)}"


def _related(related: Related, colour: bool, line: Lines) -> Iterator[str]:
    yield f"  {_painted(str(related.span), _DIM, colour)}: {related.message}"
    yield from _excerpt(related.span, _DIM, colour, line)


def _excerpt(span: Span, tint: str, colour: bool, line: Lines) -> Iterator[str]:
    """The first source line of a span, and carets under what the span covers of it."""
    raw = line(span.file, span.line).rstrip() if span.line else ""
    source = raw.lstrip()
    if not source:
        return
    removed = len(raw) - len(source)
    start = max(span.column - 1 - removed, 0)
    end = span.end_column - 1 - removed if span.end_line == span.line else len(source)
    pad = "".join("\t" if character == "\t" else " " for character in source[:start])
    carets = "^" * max(min(end, len(source)) - start, 1)
    yield f"    {source}"
    yield f"    {pad}{_painted(carets, tint, colour)}"


def _indented(help_: str) -> str:
    """Help of several lines stands in a block of its own."""
    lines = help_.splitlines()
    return help_ if len(lines) < 2 else "\n" + "\n".join(f"    {one}" for one in lines)


def _painted(what: str, tint: str, colour: bool) -> str:
    return f"{tint}{what}{_RESET}" if colour else what


# --- annotations

_ANNOTATIONS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


def github_text(diagnostics: Iterable[Diagnostic]) -> str:
    """One workflow command a finding: GitHub shows them beside the lines of a pull request; "" when there are none."""
    return "".join(f"{_annotation(found)}\n" for found in in_order(diagnostics))


def _annotation(found: Diagnostic) -> str:
    span = found.span
    place = {"file": span.file, "line": span.line, "endLine": span.end_line}
    if span.end_line == span.line:  # columns of a span over several lines are refused
        place |= {"col": span.column, "endColumn": span.end_column}
    properties = {**place, "title": f"{found.rule.code} {found.rule.name}"}
    shown = ",".join(
        f"{name}={_escaped(str(value)).replace(':', '%3A').replace(',', '%2C')}" for name, value in properties.items()
    )
    help_ = f"\nwrite: {found.help}" if found.help else ""
    return f"::{_ANNOTATIONS[found.severity]} {shown}::{_escaped(found.message + help_)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


# --- JSON


def json_text(diagnostics: Iterable[Diagnostic]) -> str:
    """Exactly one JSON list, `[]` when clean."""
    return json.dumps([as_data(found) for found in in_order(diagnostics)], indent=2, ensure_ascii=False)


def as_data(found: Diagnostic) -> dict[str, Any]:
    """One finding as JSON-able data."""
    return {
        "code": found.rule.code,
        "name": found.rule.name,
        "level": found.severity.value,
        "message": found.message,
        **_place(found.span),
        "help": found.help,
        "related": [{"message": related.message, **_place(related.span)} for related in found.related],
        "workflow": found.workflow,
    }


def from_data(data: Mapping[str, Any]) -> Diagnostic:
    """The finding of which `as_data` made the data. Raises `KeyError` for another form or an unknown rule."""
    rule, level = RULES[data["code"]], Level(data["level"])
    return Diagnostic(
        rule,
        _span(data),
        data["message"],
        data["help"],
        tuple(Related(_span(related), related["message"]) for related in data["related"]),
        data["workflow"],
        None if level is rule.level else level,
    )


def _span(data: Mapping[str, Any]) -> Span:
    return Span(data["file"], data["line"], data["column"], data["end_line"], data["end_column"])


def _place(span: Span) -> dict[str, Any]:
    return {
        "file": span.file,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
    }
