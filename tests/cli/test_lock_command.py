"""`flowgraph lock` and `flowgraph check --locked`: what runs under way need of the code."""

from __future__ import annotations

import json

import pytest

from tests.cli.program import Ended, Program

SHOP = """
from dataclasses import dataclass
from enum import Enum
from typing import Literal
from flowgraph import Event, start, step, wait_for, workflow
from pydantic import BaseModel

class Paid(Event, name="paid"):
    order: str
    cents: int = 0

class Receipt(BaseModel):
    order: str

@dataclass
class Box:
    weight: float

class Declined(Exception):
    pass

class Size(Enum):
    SMALL = 1
    LARGE = 2

@step
async def charge(order: str, cents: int | None, size: Size = Size.SMALL) -> Receipt: ...

@step
async def pack(receipt: Receipt, how: Literal["box", "bag"]) -> Box: ...

@workflow
async def remind(order: str) -> None: ...

@workflow
async def pay(order: str) -> float:
    try:
        receipt = await charge(order, 10)
    except Declined:
        return 0.0
    await start(remind, order)
    paid = await wait_for(Paid, where=lambda p: p.order == order, timeout="1d")
    box = await pack(receipt, "box")
    return box.weight if paid is not None else 0.0
"""


@pytest.fixture(autouse=True)
def locked(program: Program) -> None:
    program.write("shop.py", SHOP)
    assert program("lock", "shop.py").code == 0


def check(program: Program, *changes: tuple[str, str]) -> Ended:
    text = SHOP
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    program.write("shop.py", text)
    return program("check", "shop.py", "--locked", "--format", "json")


def found(done: Ended) -> list[tuple[str, str]]:
    return [(one["code"], one["message"]) for one in json.loads(done.stdout) if one["level"] == "error"]


def test_the_file_is_the_same_for_the_same_code_and_has_a_name_a_line(program: Program) -> None:
    first = (program.folder / "flowgraph.lock").read_text(encoding="utf-8")
    program.write("shop.py", "# a comment\n" + SHOP)
    assert program("lock", "shop.py", "-o", "again.lock").code == 0
    assert (program.folder / "again.lock").read_text(encoding="utf-8") == first
    assert '            "cents": "int | None",\n            "size": "Size = ..."\n' in first
    entry = json.loads(first)["workflows"]["pay"]
    assert (sorted(entry["steps"]), entry["exceptions"], entry["workflows"]) == (["charge", "pack"], ["Declined"], ["remind"])
    assert entry["events"] == {"paid": {"order": "str", "cents": "int"}}


def test_code_that_has_not_changed_breaks_nothing(program: Program) -> None:
    done = check(program)
    assert (done.code, done.stdout) == (0, "[]\n")
    assert "other machines" not in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        ("order: str, cents: int | None,", "order: str | int, cents: int | None | float,"),
        ("size: Size = Size.SMALL)", "size: Size = Size.LARGE, more: str = '')"),
        ('Literal["box", "bag"]', 'Literal["box", "bag", "crate"]'),
        ('Literal["box", "bag"]', "str"),
        ("    order: str\n\n@data", "    order: str\n    currency: str = 'EUR'\n\n@data"),
        ("    weight: float\n", "    weight: float\n    colour: str = ''\n"),
        ('timeout="1d"', 'timeout="2d"'),
    ],
)
def test_changes_that_runs_under_way_survive(program: Program, change: tuple[str, str]) -> None:
    done = check(program, change)
    assert (found(done), done.code) == ([], 0)


@pytest.mark.parametrize(
    ("code", "changes", "message"),
    [
        ("FG400", [("charge(", "charge_card(")], "step 'charge' is gone, and 'pay' in flowgraph.lock may still call it"),
        ("FG400", [("remind", "recall")], "workflow 'remind' is gone"),
        (
            "FG401",
            [("size: Size = Size.SMALL)", "currency: str)"), ("(order, 10)", "(order, 10, 'EUR')")],
            "new parameter 'currency'",
        ),
        ("FG402", [(", size: Size = Size.SMALL)", ")")], "has no parameter 'size' any more"),
        ("FG402", [("cents: int | None,", "cents: int,")], "takes 'int', and 'pay' in flowgraph.lock gives 'int | None'"),
        ("FG402", [('Literal["box", "bag"]', 'Literal["box"]')], "takes 'Literal['box']'"),
        (
            "FG403",
            [("-> Box: ...", "-> Receipt: ..."), ("box.weight", "1.0")],
            "gives 'Receipt', and 'pay' in flowgraph.lock goes on with",
        ),
        ("FG404", [("    order: str\n\n@data", "    order: str\n    currency: str\n\n@data")], "new field 'currency'"),
        ("FG404", [("    weight: float\n", "    weight: float\n    colour: str\n")], "class 'Box' has a new field 'colour'"),
        ("FG404", [("    cents: int = 0\n", "    cents: int = 0\n    by: str\n")], "event 'paid' has a new field 'by'"),
        ("FG405", [("    cents: int = 0\n", "")], "event 'paid' has no field 'cents' any more"),
        ("FG405", [("Receipt", "Bill")], "class 'Receipt' is gone"),
        ("FG405", [('name="paid"', 'name="order.paid"')], "event 'paid' is gone"),
        ("FG406", [("Declined", "Refused")], "exception 'Declined' is gone"),
    ],
)
def test_changes_that_break_runs_under_way(program: Program, code: str, changes: list[tuple[str, str]], message: str) -> None:
    done = check(program, *changes)
    assert done.code == 1
    assert [one for one in found(done) if one[0] == code and message in one[1]], done.stdout
    assert program("check", "shop.py").code == 0, "the code by itself is right"


@pytest.mark.parametrize(
    "changes",
    [
        [
            ("@step\nasync def charge(", "@step(aliases=('charge',))\nasync def charge_card("),
            ("await charge(", "await charge_card("),
        ],
        [('class Paid(Event, name="paid")', "class Paid(Event, name=\"order.paid\", aliases=('paid',))")],
        [("@workflow\nasync def remind", "@workflow(aliases=('remind',))\nasync def recall"), ("start(remind", "start(recall")],
    ],
)
def test_names_may_change_when_the_old_one_stays_as_an_alias(program: Program, changes: list[tuple[str, str]]) -> None:
    done = check(program, *changes)
    assert (found(done), done.code) == ([], 0)


def test_a_finding_points_into_the_code_and_into_the_lock_file(program: Program) -> None:
    (one,) = json.loads(check(program, ("cents: int | None,", "cents: int,")).stdout)
    assert one["file"] == "shop.py"
    assert SHOP.splitlines()[one["line"] - 1].startswith("async def charge(")
    (related,) = one["related"]
    lines = (program.folder / "flowgraph.lock").read_text(encoding="utf-8").splitlines()
    assert (related["file"], lines[related["line"] - 1].strip()) == ("flowgraph.lock", '"charge": {')
    gone = next(one for one in json.loads(check(program, ("Declined", "Refused")).stdout) if one["code"] == "FG406")
    assert (gone["file"], lines[gone["line"] - 1].strip()) == ("flowgraph.lock", '"Declined"')


def test_the_check_tells_which_machines_are_new(program: Program) -> None:
    done = check(program, ('timeout="1d"', 'timeout="2d"'))
    assert "other machines than in the lock file: 'pay'" in done.stderr
    assert program("lock", "shop.py").code == 0
    assert "other machines" not in program("check", "shop.py", "--locked").stderr


@pytest.mark.parametrize("text", [None, "", "{}", '{"version": 1}', '{"version": 1, "workflows": {"a": 3}}', "[]"])
def test_a_lock_file_that_cannot_be_used_exits_with_2(program: Program, text: str | None) -> None:
    file = program.folder / "flowgraph.lock"
    file.unlink()
    if text is not None:
        file.write_text(text, encoding="utf-8")
    done = program("check", "shop.py", "--locked")
    assert done.code == 2
    assert "flowgraph lock" in done.stderr


def test_wrong_code_is_not_locked(program: Program) -> None:
    before = (program.folder / "flowgraph.lock").read_text(encoding="utf-8")
    program.write("shop.py", SHOP.replace("await pack", "pack"))
    assert program("lock", "shop.py").code == 1
    assert (program.folder / "flowgraph.lock").read_text(encoding="utf-8") == before
    assert program("lock").code == 2
