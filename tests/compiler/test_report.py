"""Findings as text and as JSON, and comments that allow them."""

from __future__ import annotations

import json
import re

from flowgraph_compiler import report, suppress
from flowgraph_compiler.declarations import SourceModule
from flowgraph_compiler.diagnostics import Diagnostic, Level, Related
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.source import from_text
from flowgraph_compiler.spans import Span

LINES = {("pay.py", 2): "    \tcharge(order)  # now\n", ("pay.py", 9): "async def charge(order): ...\n"}
FOUND = Diagnostic(
    RULES["FG113"],
    Span("pay.py", 2, 6, 2, 19),
    "step 'charge' is called but not awaited",
    "await charge(...)",
    (Related(Span("pay.py", 9, 11, 9, 17), "declared here"),),
    "pay",
)
NOTE = Diagnostic(RULES["FG220"], Span("a.py", 1, 1, 1, 2), "this run waits for 'Paid' without a limit")


def line(file: str, number: int) -> str:
    return LINES.get((file, number), "")


def test_text_shows_the_line_with_carets_related_places_and_what_to_write() -> None:
    assert report.text([FOUND], line=line) == (
        "pay.py:2:6 FG113 step-not-awaited: step 'charge' is called but not awaited\n"
        "    charge(order)  # now\n"
        "    ^^^^^^^^^^^^^\n"
        "  pay.py:9:11: declared here\n"
        "    async def charge(order): ...\n"
        "              ^^^^^^\n"
        "  write: await charge(...)\n"
    )


def test_findings_come_in_the_order_of_their_places_and_once() -> None:
    text = report.text([FOUND, NOTE, FOUND], line=line)
    assert text.startswith("a.py:1:1 FG220 wait-without-timeout: note: this run waits")
    assert text.count("FG113") == 1
    assert report.summary([FOUND, NOTE, FOUND]) == "1 error, 1 note"
    assert report.summary([]) == "no findings"
    assert report.text([]) == ""


def test_colour_changes_nothing_but_escapes() -> None:
    coloured = report.text([FOUND, NOTE], colour=True, line=line)
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == report.text([FOUND, NOTE], line=line)


def test_a_span_of_several_lines_is_underlined_to_the_end_of_the_first() -> None:
    found = Diagnostic(RULES["FG202"], Span("pay.py", 9, 1, 12, 3), "this loop has no way out")
    assert "    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n" in report.text([found], line=line)


def test_json_is_one_list_with_the_documented_keys() -> None:
    assert json.loads(report.json_text([])) == []
    (data,) = json.loads(report.json_text([FOUND]))
    assert data == {
        "code": "FG113",
        "name": "step-not-awaited",
        "level": "error",
        "message": "step 'charge' is called but not awaited",
        "file": "pay.py",
        "line": 2,
        "column": 6,
        "end_line": 2,
        "end_column": 19,
        "help": "await charge(...)",
        "related": [{"message": "declared here", "file": "pay.py", "line": 9, "column": 11, "end_line": 9, "end_column": 17}],
        "workflow": "pay",
    }


# --- allow


def module(text: str) -> SourceModule:
    return from_text(text, "allowing")


def at(code: str, source: SourceModule, number: int, level: Level | None = None) -> Diagnostic:
    return Diagnostic(RULES[code], Span(source.file, number, 1, number, 2), "found", level=level)


def test_a_warning_is_allowed_on_its_line_with_a_reason() -> None:
    source = module("x = 1  # flowgraph: allow FG231 the bank drops repeats\ny = 2\n")
    assert suppress.apply([at("FG231", source, 1)], [source]) == []
    assert suppress.apply([at("FG231", source, 2)], [source]) == [at("FG231", source, 2)]
    assert suppress.apply([at("FG205", source, 1)], [source]) == [at("FG205", source, 1)]


def test_several_rules_and_names_may_be_allowed() -> None:
    source = module("x = 1  # flowgraph: allow FG231, poll-without-pause the service is fast\n")
    assert suppress.apply([at("FG231", source, 1), at("FG205", source, 1)], [source]) == []


def test_errors_are_never_allowed() -> None:
    source = module("x = 1  # flowgraph: allow FG113 not now\n")
    kept = suppress.apply([at("FG113", source, 1)], [source])
    assert [found.rule.code for found in kept] == ["FG113", "FG109"]
    noted = module("x = 1  # flowgraph: allow FG223 few events\n")
    assert suppress.apply([at("FG223", noted, 1, Level.NOTE)], [noted]) == []
    assert suppress.apply([at("FG223", noted, 1)], [noted]) == [at("FG223", noted, 1)]


def test_an_allow_without_reason_or_rule_is_reported_and_does_nothing() -> None:
    source = module("x = 1  # flowgraph: allow FG231\ny = 1  # flowgraph: allow FG999 why not\nz = 1  # flowgraph: allow it\n")
    kept = suppress.apply([at("FG231", source, 1)], [source])
    assert [(found.rule.code, found.span.line) for found in kept] == [("FG231", 1), ("FG109", 1), ("FG109", 2), ("FG109", 3)]


def test_an_allow_that_nothing_needs_is_reported_once_every_check_is_made() -> None:
    source = module("x = 1  # flowgraph: allow FG231 FG205 the bank drops repeats\n")
    assert suppress.apply([at("FG231", source, 1)], [source]) == []
    (needless,) = suppress.apply([at("FG231", source, 1)], [source], complete=True)
    assert (needless.rule.code, needless.span.line) == ("FG109", 1)
    assert needless.message == "'allow FG205' stands where nothing is found: 'poll-without-pause' is not reported in this line"


def test_text_in_strings_allows_nothing() -> None:
    source = module('x = "# flowgraph: allow FG231 quoted"\n')
    assert suppress.apply([at("FG231", source, 1)], [source]) == [at("FG231", source, 1)]
