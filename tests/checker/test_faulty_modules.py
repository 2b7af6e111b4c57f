"""Every planted fault is found, on its line, and nothing else is."""

from __future__ import annotations

import pytest

from flowgraph_compiler.rulebook import RULES
from tests.checker.faulty_modules import Faulty, corpus, findings, told

CORPUS = list(corpus())
CHUNK = 25


def outcome(faulty: Faulty, number: int) -> tuple[set[str], str | None]:
    """What went wrong, by kind, with the title and the places."""
    found = findings(faulty.text, f"faulty_{number}")
    places, wanted = told(found, faulty.expected), set(faulty.expected)
    missed, extra = wanted - places, places - wanted
    strayed = {code for _, code in missed} & {code for _, code in extra}
    kinds = {"wrong line"} if strayed else set[str]()
    kinds |= {"missed"} if {code for _, code in missed} - strayed else set()
    kinds |= {"unexpected"} if {code for _, code in extra} - strayed else set()
    lines = faulty.text.split("\n")
    shown = [f"{one.rule.code} {one.span.line}: {lines[one.span.line - 1].strip()}: {one.message}" for one in found]
    return kinds, f"{faulty.title}: {sorted(kinds)}, missed {sorted(missed)}, found {shown}" if kinds else None


@pytest.mark.parametrize("first", range(0, len(CORPUS), CHUNK))
def test_each_fault_is_found_on_its_line(first: int) -> None:
    wrong = [why for number in range(first, min(first + CHUNK, len(CORPUS))) if (why := outcome(CORPUS[number], number)[1])]
    assert wrong == [], "\n".join(wrong)


def test_the_corpus_is_large_and_knows_nearly_every_rule() -> None:
    assert len({faulty.title for faulty in CORPUS}) == len(CORPUS) >= 150
    assert all(faulty.expected for faulty in CORPUS)
    codes = {code for faulty in CORPUS for _, code in faulty.expected}
    assert codes <= set(RULES)
    assert len(codes) >= 60
