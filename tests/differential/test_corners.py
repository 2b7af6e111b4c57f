"""Hand-written programs at the language's corners: what the machine does with each is what CPython does, or it is refused.

A corner is the body of `flow(n: int)`, with its result type in the heading, or a whole module after the prelude of the generated
programs. A heading that ends with a code says that the compiler must refuse it with this code. In brackets in a heading:
`[early=1:a,2:b]` the pings that are there at the start (n:text), `[late=10:1:a]` later ones (seconds:n:text), `[cancel=90]` the
seconds until the run is cancelled, `[trigger=1:a]` the ping that starts it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowgraph.virtual import run_virtual
from tests.differential.compare import Difference, compare_program, compiled
from tests.differential.prelude import PRELUDE
from tests.differential.programs import Program
from tests.engine.driver import drive

EXTRA = """
from collections.abc import Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo
from uuid import UUID
import json, math, re
from flowgraph import Err, Ok, pure, settle

class Point(NamedTuple):
    x: int
    y: float

@step
async def table(rows: dict[str, Any]) -> dict[str, float | int | bool | str | list[int | tuple[int, int]] | None]:
    return rows

class Limits(Enum):
    low = 3
    high = 10

@dataclass
class Line:
    start: Point
    end: Point
"""


@dataclass(frozen=True)
class Corner:
    """One program, and the code with which it must be refused."""

    title: str
    text: str
    refused: str | None
    options: dict[str, str]

    def program(self, number: int) -> Program:
        """The corner as a program of its own module."""
        early = [(int(n), text) for n, text in _given(self.options.get("early", "1:a,2:b,2:c"))]
        program = Program(-1 - number, self.text, 3, early, frozenset())
        program.late = [(float(after), int(n), text) for after, n, text in _given(self.options.get("late", ""))]
        program.cancel_after = float(self.options["cancel"]) if "cancel" in self.options else None
        program.trigger = next(((int(n), text) for n, text in _given(self.options.get("trigger", ""))), None)
        return program


def _given(text: str) -> list[list[str]]:
    return [each.split(":") for each in text.split(",") if each]


def read(path: Path) -> list[Corner]:
    """The corners of one file."""
    corners = []
    for part in re.split(r"^### ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        title, _, result = heading.partition(" -> ")
        options = dict(re.findall(r"\[(\w+)=([^\]]*)\]", title))
        title = re.sub(r" *\[[^\]]*\]", "", title)
        code = re.search(r"FG\d{3}$", title)
        if "async def flow(" not in body:
            indented = "".join(f"    {line}\n" for line in body.splitlines())
            body = f"@workflow\nasync def flow(n: int) -> {result}:\n{indented}"
        corners.append(Corner(title, PRELUDE + EXTRA + body, code[0] if code else None, options))
    return corners


CORNERS = [corner for path in sorted(Path(__file__).with_name("corners").glob("*.txt")) for corner in read(path)]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("number", range(len(CORNERS)), ids=[corner.title for corner in CORNERS])
def test_a_corner_is_as_in_python_or_refused(number: int) -> None:
    corner = CORNERS[number]
    program = corner.program(number)
    if corner.refused is None:
        compare_program(program)
    else:
        with pytest.raises(Difference, match=f"refused: {corner.refused}"):
            compare_program(program)


KEYWORD_ONLY = """
@workflow(on_failure=alert)
async def flow(n: int, m: int = 2, *, k: int, tag: str = "t") -> str:
    if await check(n):
        raise Odd(n, m, k, tag)
    return f"{n} {m} {k} {tag}"
"""


@pytest.mark.parametrize("n", [1, 2])
def test_a_workflow_gets_its_keyword_only_parameters(n: int) -> None:
    compilation = compiled(Program(0, PRELUDE + KEYWORD_ONLY, 0, [], frozenset()))
    namespace = vars(compilation.application.modules[0].module)
    calls = namespace["CALLS"]
    try:
        native = run_virtual(namespace["flow"](n, m=5, k=7, tag="u"))
    except Exception as error:
        native = repr(error)
    native_calls = sorted(map(repr, calls))
    calls.clear()
    outcome = drive(compilation, "flow", [n, 5, 7, "u"])
    assert (outcome.result if outcome.error is None else repr(outcome.error)) == native
    assert sorted(map(repr, calls)) == native_calls
