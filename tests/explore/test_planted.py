"""What exploration finds: broken invariants with a shortest trace, by lines, and nothing where they hold."""

from __future__ import annotations

import re

import pytest

from flowgraph_compiler.explore import explore
from flowgraph_compiler.pipeline import Compilation, compile_application
from flowgraph_compiler.source import from_text
from tests.explore.planted import BROKEN, HEAD, HOLDING

MARK = re.compile(r"(\d+): (.*)")


def compiled(text: str) -> Compilation:
    compilation = compile_application([from_text(HEAD + text, "explored")])
    assert compilation.ok, compilation.diagnostics
    return compilation


def marked(text: str) -> list[tuple[int, str]]:
    """The lines and texts of the trace, in its order."""
    found = {}
    for line, source in enumerate((HEAD + text).splitlines(), 1):
        for part in source.partition("  # ")[2].split("; "):
            if mark := MARK.fullmatch(part):
                found[int(mark[1])] = (line, mark[2])
    assert sorted(found) == list(range(1, len(found) + 1))
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("name", BROKEN)
def test_the_shortest_trace_of_a_broken_invariant(name: str) -> None:
    text = BROKEN[name]
    reports, found = explore(compiled(text))
    (verdict,), (broken,) = reports[0].verdicts, found
    trace = verdict.trace or ()
    assert [(entry.place.line, entry.text) for entry in trace] == marked(text)
    assert broken.rule.code == "FG500"
    assert broken.span.line == marked(text)[-1][0]
    assert [related.message for related in broken.related[1:]] == [f"{n}. {entry.text}" for n, entry in enumerate(trace, 1)]
    assert verdict.name in broken.related[0].message


@pytest.mark.parametrize("name", HOLDING)
def test_an_invariant_that_holds_is_not_reported(name: str) -> None:
    reports, found = explore(compiled(HOLDING[name]))
    assert found == []
    assert reports[0].unknown == ()
    assert {verdict.word for verdict in reports[0].verdicts} == {"holds"}
