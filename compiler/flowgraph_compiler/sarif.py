"""Findings as SARIF 2.1.0, which code scanning services read.

One run, with the whole rule book; places are relative to the folder that the check ran in (`%SRCROOT%`), columns are characters.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from flowgraph_compiler.diagnostics import Diagnostic, Level, Related, Rule
from flowgraph_compiler.pages import headline, page
from flowgraph_compiler.report import in_order
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Level.ERROR: "error", Level.WARNING: "warning", Level.NOTE: "note"}
_NUMBERS = {code: number for number, code in enumerate(RULES)}


def sarif_text(diagnostics: Iterable[Diagnostic], version: str) -> str:
    """Exactly one SARIF log with one run. `version` is the program's own."""
    driver = {"name": "flowgraph", "version": version, "rules": [_rule(rule) for rule in RULES.values()]}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": list(_results(diagnostics))}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": headline(rule)},
        "help": {"text": page(rule), "markdown": page(rule)},
        "defaultConfiguration": {"level": _LEVELS[rule.level]},
    }


def _results(diagnostics: Iterable[Diagnostic]) -> Iterator[dict[str, Any]]:
    seen: Counter[str] = Counter()
    for found in in_order(diagnostics):
        alike = f"{found.rule.code}\n{found.span.file}\n{found.message}"
        seen[alike] += 1
        yield _result(found, hashlib.sha256(f"{alike}\n{seen[alike]}".encode()).hexdigest())


def _result(found: Diagnostic, fingerprint: str) -> dict[str, Any]:
    """One finding. Its fingerprint has no line, so that a finding stays the same one while the code above it changes."""
    help_ = f"\nwrite: {found.help}" if found.help else ""
    result: dict[str, Any] = {
        "ruleId": found.rule.code,
        "ruleIndex": _NUMBERS[found.rule.code],
        "level": _LEVELS[found.severity],
        "message": {"text": found.message + help_},
        "locations": [{"physicalLocation": _place(found.span)}],
        "partialFingerprints": {"flowgraph/v1": fingerprint},
    }
    if found.related:
        result["relatedLocations"] = [_related(number, related) for number, related in enumerate(found.related)]
    if found.workflow is not None:
        result["properties"] = {"workflow": found.workflow}
    return result


def _related(number: int, related: Related) -> dict[str, Any]:
    return {"id": number, "physicalLocation": _place(related.span), "message": {"text": related.message}}


def _place(span: Span) -> dict[str, Any]:
    region = {"startLine": span.line, "startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column}
    return {"artifactLocation": _artifact(span.file), "region": region}


def _artifact(file: str) -> dict[str, str]:
    """A file outside the folder of the check has an address of its own."""
    if PurePath(file).is_absolute():
        return {"uri": Path(file).as_uri()}
    return {"uri": quote(PurePath(file).as_posix()), "uriBaseId": "%SRCROOT%"}
