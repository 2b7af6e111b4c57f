"""The pages of the rules, `rules/FGnnn.md`: what `flowgraph explain` prints, and the sentence that each begins with."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from flowgraph_compiler.diagnostics import Rule

_SENTENCE_END = re.compile(r"(?<=[.])\s")


@cache
def page(rule: Rule) -> str:
    """The Markdown page of a rule: what it says, why, a failing and a repaired example."""
    return (files("flowgraph_compiler") / "rules" / f"{rule.code}.md").read_text(encoding="utf-8")


def headline(rule: Rule) -> str:
    """The first sentence below the title of a rule's page, on one line."""
    paragraph = page(rule).split("\n\n", 2)[1].replace("\n", " ")
    return _SENTENCE_END.split(paragraph, maxsplit=1)[0].strip()
