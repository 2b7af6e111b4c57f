"""Sources with `# error: FGnnn` on the lines where a finding is expected, and no other finding anywhere."""

from __future__ import annotations

import re
from collections import Counter

from flowgraph_compiler.build import build
from flowgraph_compiler.diagnostics import Diagnostic, has_errors
from flowgraph_compiler.reader import read
from flowgraph_compiler.source import SourceError, from_text

_MARK = re.compile(r"# error: ((?:FG\d{3} ?)+)")
_count = Counter[str]()


def expected(text: str) -> list[tuple[int, str]]:
    """The (line, code) pairs that the comments ask for."""
    marks = ((number, mark) for number, line in enumerate(text.splitlines(), 1) if (mark := _MARK.search(line)))
    return sorted((number, code) for number, mark in marks for code in mark[1].split())


def findings(text: str) -> list[Diagnostic]:
    """What the reader and the builder say, each finding once."""
    _count["modules"] += 1
    try:
        module = from_text(text, f"planted_{_count['modules']}")
    except SourceError as refused:
        return list(refused.diagnostics)
    app, found = read([module])
    for name in app.workflows:
        graph, wrong = build(app, name)
        found += wrong
        assert graph is None or not has_errors(wrong)
        assert graph is not None or has_errors(found)
    return list({(each.rule.code, each.span, each.message): each for each in found}.values())


def check(text: str) -> list[Diagnostic]:
    """Demand the marked findings, no others, each with a help text; return them."""
    found = findings(text)
    places = sorted((each.span.line, each.rule.code) for each in found)
    assert places == expected(text), [f"{each.span} {each.rule.code} {each.message}" for each in found]
    for each in found:
        assert each.message[0] == "'" or each.message[0].islower() or each.message.startswith("Python"), each.message
        assert not each.message.endswith(".")
        assert each.help or each.rule.code in ("FG001", "FG160")
    return found
