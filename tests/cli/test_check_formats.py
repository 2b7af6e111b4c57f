"""`flowgraph check --format sarif`, held against the format's own schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flowgraph_compiler import sarif
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span
from tests.cli.program import Program

SCHEMA = json.loads((Path(__file__).parent / "sarif" / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
SHOP = """
from flowgraph import Event, step, wait_for, workflow

class Paid(Event, name="paid"):
    order: str

@step(idempotent=False, retries=2)
async def charge(order: str, cents: int) -> str:
    return order

@workflow
async def pay(order: str) -> str:
    await wait_for(Paid, where=lambda paid: paid.order == order, timeout=None)
    return await charge(order, "ten")
"""


@pytest.fixture(scope="module")
def valid() -> Any:
    return jsonschema.Draft4Validator(SCHEMA)


def log(program: Program, *arguments: str) -> Any:
    return json.loads(program("check", *arguments, "--format", "sarif").stdout)


def test_the_log_of_a_check_is_valid_and_names_each_finding(program: Program, valid: Any) -> None:
    program.write("the shop/pay.py", SHOP)
    written = log(program, "the shop")
    valid.validate(written)
    (run,) = written["runs"]
    results = {one["ruleId"]: one for one in run["results"]}
    assert {code: one["level"] for code, one in results.items()} == {"FG170": "error", "FG220": "note", "FG231": "warning"}
    for code, one in results.items():
        assert run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == code
    place = results["FG170"]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "the%20shop/pay.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 14, "startColumn": 32, "endLine": 14, "endColumn": 37}
    assert "\nwrite: " in results["FG170"]["message"]["text"]
    assert results["FG170"]["properties"] == {"workflow": "pay"}


def test_the_log_of_a_clean_file_has_no_result(program: Program, valid: Any) -> None:
    program.write("empty.py", "x = 1\n")
    written = log(program, "empty.py")
    valid.validate(written)
    assert written["runs"][0]["results"] == []


def test_a_finding_keeps_its_fingerprint_when_lines_above_it_change(program: Program) -> None:
    program.write("pay.py", SHOP)
    before = [one["partialFingerprints"] for one in log(program, "pay.py")["runs"][0]["results"]]
    program.write("pay.py", "# a comment\n" + SHOP)
    after = [one["partialFingerprints"] for one in log(program, "pay.py")["runs"][0]["results"]]
    assert before == after
    assert len({json.dumps(one) for one in before}) == len(before)


def test_a_file_outside_the_folder_has_its_own_address(valid: Any) -> None:
    found = Diagnostic(RULES["FG001"], Span("/srv/a b.py", 1, 1, 1, 2), "Python cannot parse this")
    written = json.loads(sarif.sarif_text([found], "0"))
    valid.validate(written)
    where = written["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert where == {"uri": "file:///srv/a%20b.py"}
