"""`match`: which values are left out, which cases no value gets to, what types the cases see, what no machine may hold."""

from __future__ import annotations

import os
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowgraph_compiler import machine as m
from flowgraph_compiler import patterns as p
from flowgraph_compiler import statements as s
from flowgraph_compiler.expressions import Call, Const, Local
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.serialize import from_json, to_json
from flowgraph_compiler.source import from_text
from flowgraph_compiler.verify import MachineError, verify
from tests.compiler.compiled import PRELUDE, checked
from tests.compiler.revealing import mypys, ours, revealing, same

HEAD = """
from dataclasses import dataclass
from enum import Enum, Flag
from typing import Any, Literal, NamedTuple, TypedDict
from flowgraph import step, workflow

class Color(Enum):
    RED = "red"
    BLUE = "blue"

class Access(Flag):
    READ = 1
    WRITE = 2

class Point(NamedTuple):
    x: bool
    y: int

@dataclass
class Circle:
    filled: bool
    center: Point | None

@dataclass
class Square:
    side: int

@dataclass
class Rounded(Square):
    radius: int

class Row(TypedDict):
    kind: Literal["a", "b"]
    n: int

@step
async def note(text: str) -> None: ...

@workflow
async def w(v: {type}) -> int:
    match v:
{cases}
    return 0
"""


def told(tp: str, cases: str) -> list[str]:
    """What is said about `match v` with cases that do nothing."""
    lines = "".join(f"        case {case}:\n            await note('x')\n" for case in cases.split("; "))
    text = HEAD.replace("{type}", tp).replace("{cases}", lines)
    return [f"{d.rule.code} {d.message}" for d in compile_application([from_text(text, "matched")]).diagnostics]


@pytest.mark.parametrize(
    ("tp", "cases", "missing"),
    [
        ("Color", "Color.RED", "Color.BLUE"),
        ("Color", "Color.RED if v.name; Color.BLUE", "Color.RED"),
        ("Color | None", "Color.RED; None", "Color.BLUE"),
        ("bool", "True", "False"),
        ("Literal['a', 'b', 'c']", "'b'", "'a', 'c'"),
        ("int | str", "int()", "str"),
        ("int | None", "0; None", "int"),
        ("Circle | Square | None", "Circle(); Rounded()", "Square, None"),
        ("Circle | Square", "Circle(filled=True); Square()", "Circle(filled=False)"),
        ("Circle | Square", "Circle(center=None); Circle(center=Point(True)); Square()", "Circle(center=Point(False, _))"),
        ("tuple[bool, bool] | None", "(True, _); (_, True); None", "(False, False)"),
        ("list[bool] | None", "[]; [True, *_]; None", "[False, *_]"),
        ("list[int] | None", "[_]; [_, _, *_]; None", "[]"),
        ("Row | None", "{'kind': 'a'}; None", "Row(kind='b')"),
        ("dict[str, int] | None", "{'kind': _}; None", "dict[str, int]"),
        ("Literal[1, 2, 3, 4, 5, 6, 7, 8, 9]", "1", "2, 3, 4, 5, 6, 7 and 2 more"),
    ],
)
def test_what_is_left_out_is_listed(tp: str, cases: str, missing: str) -> None:
    found = told(tp, cases)
    assert [each.partition("missing: ")[2] for each in found if each.startswith("FG212")] == [missing], found


@pytest.mark.parametrize(
    ("tp", "cases"),
    [
        ("Color", "Color.RED; Color.BLUE"),
        ("Color", "Color.RED | Color.BLUE"),
        ("Color", "Color()"),
        ("Color", "Color.RED; other if True"),
        ("Access", "Access.READ"),
        ("Any", "1"),
        ("int", "1; 2"),
        ("str", "'a'"),
        ("Circle", "Circle(filled=True)"),
        ("Circle | None", "Circle(filled=True, center=c); Circle(filled=False); None"),
        ("tuple[bool, bool] | None", "(True, _); (_, True); (False, False); None"),
        ("tuple[bool, Color | None] | None", "(True, Color.RED); (False, _); (_, None); (_, Color.BLUE); None"),
        ("Point | None", "Point(x=True); (False, y); None"),
        ("list[bool] | None", "[]; [True, *_]; [False, *rest]; None"),
        ("list[bool] | tuple[int, ...]", "[]; [_]; [_, _, *_]"),
        ("Row | None", "{'kind': 'a'}; {'kind': 'b', **rest}; None"),
        ("dict[str, int] | None", "{}; None"),
        ("int | str", "int(n) | str(n)"),
        ("bool | None", "bool(True | False); None"),
        ("float | None", "float(); int(); None"),
        ("Color | None", "(Color.RED | None) as x; Color.BLUE as y"),
    ],
)
def test_what_takes_everything_or_is_open_is_fine(tp: str, cases: str) -> None:
    assert told(tp, cases) == []


def row(columns: int, **given: str) -> str:
    return f"({', '.join(given.get(f'c{number}', '_') for number in range(columns))})"


def test_the_cost_of_the_question_is_bounded() -> None:
    tp = f"tuple[{', '.join(['bool'] * 24)}] | None"
    simple = [row(24, **{f"c{number}": "True"}) for number in range(24)]
    assert told(tp, "; ".join([*simple, "None"]))[0].endswith(f"missing: ({', '.join(['False'] * 24)})")
    equal = [row(24, **{f"c{2 * k}": way, f"c{2 * k + 1}": way}) for k in range(12) for way in ("True", "False")]
    last = [row(24, c22="True", c23="False"), row(24, c0="True", c22="False", c23="True")]
    assert told(tp, "; ".join([*equal, *last, "None"])) == []  # given up, not answered: something is missing


@pytest.mark.parametrize(
    ("tp", "cases", "case"),
    [
        ("Color", "Color.RED; Color.BLUE; Color.RED", "case Color.RED"),
        ("Color | None", "Color(); Color.BLUE; None", "case Color.BLUE"),
        ("int | None", "int(); None; str()", "case str()"),
        ("Square | Circle", "Square(); Rounded(radius=1); Circle()", "case Rounded(radius=1)"),
        ("str", "[a, b]; 'x'", "case [a, b]"),
        ("Literal['a', 'b']", "'a'; 'b'; 'c'", "case 'c'"),
        ("tuple[int, int]", "(a, b, c); (a, b)", "case [a, b, c]"),
    ],
)
def test_a_case_that_no_value_gets_to_is_told(tp: str, cases: str, case: str) -> None:
    found = told(tp, cases)
    assert [each.rpartition("'case")[2] for each in found] == [f"{case[4:]}'"]
    assert found[0].startswith("FG201 no value of")


USES = {
    "bound in every case": """
        match color:
            case Color.RED:
                got = 1
            case Color.BLUE:
                got = await f(2)
        return got
    """,
    "returns in every case": """
        match n, color:
            case 0, Color.RED:
                return await f(1)
            case _, Color.BLUE:
                return 2
            case k, Color.RED:
                return k
    """,
    "narrowed": """
        paid = await maybe(n)
        match paid:
            case None:
                return 0
        return paid + 1
    """,
    "narrowed by the cases before": """
        match await maybe(n):
            case None:
                return 0
            case paid:
                return await f(paid)
    """,
}


@pytest.mark.parametrize("name", USES)
def test_types_of_cases_are_known_afterwards(name: str) -> None:
    head = PRELUDE + "from enum import Enum\nclass Color(Enum):\n    RED = 1\n    BLUE = 2\n"
    head += "@step\nasync def maybe(n: int) -> int | None: ...\n"
    if name == "narrowed":
        body = textwrap.dedent(USES[name]).replace(
            "    case None:\n        return 0", "    case None:\n        return 0\n    case _:\n        pass"
        )
    else:
        body = textwrap.dedent(USES[name])
    checked(head + "@workflow\nasync def w(n: int, color: Color) -> int:\n" + textwrap.indent(body, "    "), "uses")


UNBOUND = """
@workflow
async def w(n: int, xs: list[int]) -> int:
    match xs:
        case [first] if first > n:
            got = 1
        case [first, _]:
            got = first
    return {}
"""


@pytest.mark.parametrize("read", ["got", "first"])
def test_a_name_that_a_case_may_not_have_bound_is_told(read: str) -> None:
    found = compile_application([from_text(PRELUDE + UNBOUND.format(read), "unbound")]).diagnostics
    assert [(each.rule.code, each.message) for each in found] == [("FG210", f"'{read}' may be unbound here")]


# --- types of captures, beside mypy's

CORPUS = Path(__file__).with_name("match_corpus.py.txt")
RECORDED = Path(__file__).with_name("match_corpus.revealed.txt")


def test_captures_have_the_types_that_mypy_revealed() -> None:
    theirs = dict(line.split(": ", 1) for line in RECORDED.read_text().splitlines())
    mine = ours([from_text(CORPUS.read_text(), "match_corpus_text")])
    assert len(theirs) > 35
    assert {name: (mine.get(name), tp) for name, tp in theirs.items() if not same(mine.get(name), tp)} == {}


@pytest.mark.ci
def test_captures_have_the_types_that_mypy_reveals(tmp_path: Path) -> None:
    file = tmp_path / "match_corpus.py"
    file.write_text(revealing(CORPUS.read_text()))
    text = "".join(f"{name}: {tp}\n" for name, tp in mypys([file], tmp_path).items())
    if os.environ.get("FLOWGRAPH_UPDATE_GOLDEN"):
        RECORDED.write_text(text)
    assert text == RECORDED.read_text()


# --- what no machine may hold

ANYTHING = p.CapturePattern(None, None)
X = p.CapturePattern(None, "x")
ONE = p.ValuePattern(Const(1))


def matching(*cases: tuple[p.Pattern, Any]) -> m.Machine:
    ways = tuple(s.MatchCase(pattern, guard, ()) for pattern, guard in cases)
    block = m.Block((s.Match(Const(1), ways),), m.Finish(None))
    function = m.Function("w", "workflow", (), (), (), (block,))
    return m.Machine("w", (function,), None, None, (), (), "parameters", None, (), (), m.Manifest((), (), (), ()))


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        (p.StarPattern("x"), "outside a sequence"),
        (p.CapturePattern(p.StarPattern("x"), "y"), "outside a sequence"),
        (p.SequencePattern((p.StarPattern("x"), p.StarPattern(None))), "two"),
        (p.SequencePattern((X, X)), "binds a name twice"),
        (p.CapturePattern(ONE, None), "has no name"),
        (p.CapturePattern(None, "a b"), "no variables"),
        (p.EitherPattern((ONE,)), "fewer than two"),
        (p.EitherPattern((ONE, X)), "different names"),
        (p.EitherPattern((ANYTHING, ONE)), "not the last"),
        (p.ValuePattern(Call("len", (Const("a"),))), "no value of a pattern"),
        (p.ValuePattern(Local("x")), "no value of a pattern"),
        (p.MappingPattern((Const(1), Const(True)), (ANYTHING, ANYTHING), None), "not distinct"),
        (p.MappingPattern((Const(1),), (), None), "one pattern each"),
        (p.MappingPattern((), (), "1x"), "no variables"),
        (p.ClassPattern("A", None, ("a", "a"), (ANYTHING, ANYTHING)), "one pattern each"),
        (p.ClassPattern("A", None, ("_a",), (ANYTHING,)), "not allowed"),
        (p.ClassPattern("__import__", None, (), ()), "not allowed"),
    ],
)
def test_a_pattern_that_python_refuses_is_refused(pattern: p.Pattern, problem: str) -> None:
    with pytest.raises(MachineError, match=problem):
        verify(matching((pattern, None)))


def test_nothing_stands_behind_a_case_that_takes_everything() -> None:
    with pytest.raises(MachineError, match="behind one that takes everything"):
        verify(matching((X, None), (ONE, None)))
    with pytest.raises(MachineError, match="no cases"):
        verify(matching())
    verify(matching((X, Const(True)), (ONE, None)))


def test_a_choice_has_a_way_on_exactly_where_it_needs_one() -> None:
    machine = matching((ONE, None))
    block, end = m.Block((), m.Finish(None)), m.Block((), m.Finish(None))
    for pattern, orelse in ((ONE, None), (X, 1)):
        choice = m.Choose(Const(1), (m.Way(pattern, None, 1),), orelse)
        function = replace(machine.functions[0], blocks=(replace(block, terminator=choice), end))
        with pytest.raises(MachineError, match="a way on"):
            verify(replace(machine, functions=(function,)))


def test_a_machine_with_matches_is_read_back_as_written() -> None:
    text = (Path(__file__).parent / "golden" / "matches.txt").read_text().partition("-" * 60)[0]
    machine = checked(text, "written_matches")[1]
    assert from_json(to_json(machine)) == machine
