"""`flowgraph check --explore`: what it prints in which format, where, and the exit code."""

from __future__ import annotations

import json

import pytest

from tests.cli.program import Program

TWICE = """\
from flowgraph import step, workflow
from flowgraph.invariants import at_most_once

@step(timeout="10s", retries=1)
async def charge(n: int) -> None: ...

once = at_most_once(charge)

@workflow
async def pay(n: int) -> None:
    await charge(n)
    if n > 3:
        await charge(n)
"""
ONCE = TWICE.replace("    if n > 3:\n        await charge(n)\n", "")
MISSPELLED = TWICE.replace("at_most_once(charge)", 'at_most_once("chrage")')


@pytest.fixture(autouse=True)
def files(program: Program) -> None:
    program.write("twice.py", TWICE)
    program.write("once.py", ONCE)
    program.write("misspelled.py", MISSPELLED)


def test_the_shortest_trace_as_source_lines(program: Program) -> None:
    done = program("check", "twice.py", "--explore")
    assert done.code == 1
    told = [line for line in done.stderr.splitlines() if "twice.py:" in line]
    assert told == [
        "twice.py:13:1 FG500 invariant-broken: invariant 'once' does not hold in every run of 'pay': it is broken here",
        "  twice.py:7:1: 'once' is declared here; the shortest way to break it:",
        "  twice.py:11:1: 1. step 'charge' completed",
        "  twice.py:12:1: 2. 'n > 3' is true",
        "  twice.py:13:1: 3. step 'charge' completed",
    ]


def test_the_report_of_a_workflow(program: Program) -> None:
    done = program("check", "once.py", "--explore")
    assert done.code == 0
    assert done.stderr.splitlines()[1:] == [
        "  invariant once: holds",
        "  worst wall time: 21s100ms",
        "  attempts of pay/charge: 2",
        "no findings; 1 workflow compiled",
    ]


def test_json_has_the_trace_on_stdout_and_the_report_on_stderr(program: Program) -> None:
    done = program("check", "twice.py", "--explore", "--format", "json")
    (found,) = json.loads(done.stdout)
    assert [related["line"] for related in found["related"]] == [7, 11, 12, 13]
    (report,) = json.loads(done.stderr.splitlines()[0])
    assert report["workflow"] == "pay"
    assert report["invariants"] == [{"name": "once", "verdict": "broken", "unknown": None}]
    assert [(step["line"], step["each"], step["most"]) for step in report["attempts"]] == [(11, 2, 2), (13, 2, 2)]


def test_a_bound_that_is_reached_is_unknown_and_no_success(program: Program) -> None:
    done = program("check", "once.py", "--explore", "--max-states", "1")
    assert done.code == 0
    assert (
        "FG501 invariant-unknown: warning: whether 'pay' keeps invariant 'once' is unknown: stopped after 2 states" in done.stderr
    )


def test_an_invariant_about_a_step_that_is_not_there(program: Program) -> None:
    done = program("check", "misspelled.py", "--explore", "--warnings-as-errors")
    assert done.code == 1
    assert "no step or event 'chrage' in the modules" in done.stderr


def test_without_the_option_nothing_is_explored(program: Program) -> None:
    assert program("check", "twice.py").code == 0
