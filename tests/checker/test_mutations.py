"""The checker tells what it can of any source: it never crashes, and is never silent about one that Python cannot parse."""

from __future__ import annotations

import ast
import json
import warnings
from collections import Counter

import pytest

from flowgraph_compiler import pipeline, report, sarif, source
from flowgraph_compiler.diagnostics import Diagnostic, has_errors
from flowgraph_compiler.serialize import from_json, to_json
from tests.checker.mutations import good_sources, mutated

FAST = 200
CI = 2_000
CHUNK = 100


def looked_at(seed: int) -> str:
    """What became of the source of a seed: "unparsable", "not imported", "refused" or "compiled"."""
    text, name = mutated(seed), f"mutated_{seed}"
    try:
        module = source.from_text(text, name)
    except source.SourceError as refused:
        return told_unparsable(list(refused.diagnostics), text)
    except (Exception, SystemExit):
        ast.parse(text)  # the module's own code failed: `load` makes it a clear end with exit code 2
        return "not imported"
    compiled = pipeline.compile_application([module])
    told(list(compiled.diagnostics), text)
    for machine in compiled.machines.values():
        assert from_json(to_json(machine)) == machine
    assert compiled.ok or has_errors(compiled.diagnostics)
    return "compiled" if compiled.ok else "refused"


def told_unparsable(found: list[Diagnostic], text: str) -> str:
    assert has_errors(found)
    told(found, text)
    return "unparsable"


def told(found: list[Diagnostic], text: str) -> None:
    """Every finding can be printed in each form, and its place is in the source."""
    assert report.text(found, line=lambda file, number: "x") or not found
    assert len(json.loads(report.json_text(found))) == len(report.in_order(found))
    assert len(json.loads(sarif.sarif_text(found, "0"))["runs"][0]["results"]) == len(report.in_order(found))
    lines = text.count("\n") + text.count("\r") + text.count("\x0c") + text.count("\u2028") + 2
    assert [one for one in found if not (1 <= one.span.line <= lines and one.span.column >= 1)] == []


def look_at(seeds: range) -> Counter[str]:
    ended: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a mutated module does while it is imported is its own
        for seed in seeds:
            try:
                ended[looked_at(seed)] += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{mutated(seed)}") from error
    return ended


def test_mutated_sources_are_told_about() -> None:
    ended = look_at(range(FAST))
    assert set(ended) == {"unparsable", "not imported", "refused", "compiled"}
    assert min(ended.values()) > FAST / 50


@pytest.mark.ci
@pytest.mark.parametrize("first", range(FAST, FAST + CI, CHUNK))
def test_mutated_sources_are_told_about_at_length(first: int) -> None:
    assert sum(look_at(range(first, first + CHUNK)).values()) == CHUNK


def test_the_same_seed_makes_the_same_source() -> None:
    assert [mutated(seed) for seed in range(30)] == [mutated(seed) for seed in range(30)]
    assert len(good_sources()) > 60
    assert sum(mutated(seed) not in good_sources() for seed in range(100)) > 90
