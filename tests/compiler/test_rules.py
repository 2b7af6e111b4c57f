"""The page of a rule is its test: the wrong example has the finding on the marked line, the right one has no error."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import flowgraph_compiler
from flowgraph_compiler import pipeline, source
from flowgraph_compiler.diagnostics import Diagnostic, Level
from flowgraph_compiler.explore import explore
from flowgraph_compiler.in_flight import live_findings
from flowgraph_compiler.lockfile import deployed_by, lock_text
from flowgraph_compiler.rulebook import RULES

PACKAGE = Path(flowgraph_compiler.__file__).parent
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((PACKAGE / "rules").glob("*.md"))}
MARK = re.compile(r"# error: (FG\d{3}(?: FG\d{3})*)")


def findings(text: str, name: str, deployed: str | None = None) -> list[Diagnostic]:
    """What is found in a module; `deployed` is what it was when runs started that are still under way."""
    try:
        module = source.from_text(text, name)
    except source.SourceError as refused:
        return list(refused.diagnostics)
    if deployed is None:
        compiled = pipeline.compile_application([module])
        return [*compiled.diagnostics, *explore(compiled)[1]]
    before = pipeline.compile_application([source.from_text(deployed, f"{name}_deployed")])
    locked = deployed_by(lock_text(before.machines.values()), "flowgraph.lock")
    now = pipeline.compile_application([source.from_text(text, name)])
    live = [replace(one, places={}) for one in locked]  # of what is gone the page marks the workflow, not a line of the lock file
    return [*now.diagnostics, *(found for one in live for found in live_findings(one, now.application))]


def deployed(code: str) -> str | None:
    """The third example of the rules about runs that are under way."""
    return examples(code)[2] if code.startswith("FG4") else None


def examples(code: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGES[code], re.DOTALL)


def marks(text: str) -> set[tuple[int, str]]:
    lines = enumerate(text.splitlines(), 1)
    return {(number, code) for number, line in lines if (match := MARK.search(line)) for code in match[1].split()}


@pytest.mark.parametrize("code", PAGES)
def test_wrong_example_has_the_finding_on_the_marked_line(code: str) -> None:
    wrong = examples(code)[0]
    found = findings(wrong, f"wrong_{code.lower()}", deployed(code))
    wanted = marks(wrong)
    assert code in {mark for _, mark in wanted}
    told = {(one.span.line, one.rule.code) for one in found if one.severity is Level.ERROR or one.rule.code == code}
    assert told == wanted, [f"{one.span}: {one.rule.code} {one.message}" for one in found]


@pytest.mark.parametrize("code", PAGES)
def test_right_example_has_neither_the_finding_nor_an_error(code: str) -> None:
    found = findings(examples(code)[1], f"right_{code.lower()}", deployed(code))
    assert [
        f"{one.span}: {one.rule.code} {one.message}" for one in found if one.severity is Level.ERROR or one.rule.code == code
    ] == []


@pytest.mark.parametrize("code", PAGES)
def test_findings_are_worded_alike(code: str) -> None:
    for found in findings(examples(code)[0], f"worded_{code.lower()}", deployed(code)):
        if found.rule.code == code and code != "FG001":
            assert not found.message.endswith((".", "!"))
            assert not found.message[0].isupper() or found.message[0] == "'"
            assert found.help


def test_every_rule_has_a_page_with_its_header() -> None:
    assert set(PAGES) == set(RULES)
    for code, rule in RULES.items():
        assert PAGES[code].splitlines()[0] == f"# {code} {rule.name} ({rule.level.value})"
        assert len(examples(code)) == (3 if code.startswith("FG4") else 2)


def test_every_rule_is_reported_somewhere() -> None:
    texts = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.name != "rulebook.py"]
    assert [code for code in RULES if not any(f'"{code}"' in text for text in texts)] == []
