"""What is declared in modules, and what is wrong with how it is declared."""

from __future__ import annotations

from typing import Any

import pytest

from flowgraph_compiler.declarations import Application
from flowgraph_compiler.reader import read
from flowgraph_compiler.source import from_text
from tests.compiler.planted import check

HEAD = """
from __future__ import annotations
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any
from flowgraph import Batch, Cron, Event, now, pure, step, subflow, workflow
import flowgraph as fg
if TYPE_CHECKING:
    from decimal import Decimal

class Paid(Event, name="paid"):
    order: str

class Refunded(Event, name="refunded"):
    order: str

def traced(fn: Any) -> Any:
    @wraps(fn)
    def inner(*args: Any) -> Any:
        return fn(*args)
    return inner
"""

DECLARATIONS = {
    "method": "class A:\n    @workflow\n    async def w(self) -> None:  # error: FG102\n        pass",
    "nested workflow": "def make() -> None:\n    @fg.workflow\n    async def w() -> None:  # error: FG102\n        pass",
    "nested helper": "if 1:\n    def a() -> None:\n        @subflow\n        async def s():  # error: FG102\n            pass",
    "nested step": "def make() -> None:\n    @step(retries=1)\n    def s() -> None:  # error: FG103\n        pass",
    "step method": "class A:\n    @fg.step()\n    def s(self) -> None:  # error: FG103\n        pass",
    "decorated above": "@traced\n@workflow\nasync def w() -> None:  # error: FG104\n    pass",
    "decorated below": "@workflow()\n@traced\nasync def w() -> None:  # error: FG104\n    pass",
    "decorated pure": "@pure\n@traced\ndef p(x: int) -> int:  # error: FG104\n    return x",
    "sync": "@workflow\ndef w() -> None:  # error: FG105\n    pass",
    "sync subflow": "@subflow\ndef s() -> None:  # error: FG105\n    pass",
    "sync that awaits": "@workflow\ndef w() -> None:  # error: FG105\n    await s()",
    "no parameter": "@workflow(on=Paid)\nasync def w() -> None:  # error: FG106\n    pass",
    "other event": "@workflow(on=Paid)\nasync def w(event: Refunded) -> None:  # error: FG106\n    pass",
    "two parameters": "@workflow(on=Paid)\nasync def w(event: Paid, n: int) -> None:  # error: FG106\n    pass",
    "half a union": "@workflow(on=(Paid, Refunded))\nasync def w(event: Paid) -> None:  # error: FG106\n    pass",
    "batch": "@workflow(on=Paid, batch=Batch(5, '1m'))\nasync def w(event: Paid) -> None:  # error: FG106\n    pass",
    "cron": "@workflow(on=Cron('0 9 * * *'))\nasync def w(n: int) -> None:  # error: FG106\n    pass",
    "event and cron": "@workflow(on=(Paid, Cron('0 9 * * *')))\nasync def w(event: Paid) -> None:  # error: FG106\n    pass",
    "not an event": "@workflow(on='paid')\nasync def w(event: Paid) -> None:  # error: FG106\n    pass",
    "stars": "@workflow\nasync def w(*xs: int, **kw: int) -> None:  # error: FG107\n    assert xs or kw",
    "stars of a step": "@step\nasync def s(*xs: int) -> None:  # error: FG107\n    pass",
    "mutable default": "@workflow\nasync def w(\n    xs: list[int] = [],  # error: FG108\n) -> None:\n    pass",
    "default that cannot be stored": "@subflow\nasync def s(\n    f: Any = print,  # error: FG108\n) -> None:\n    pass",
    "only for type checkers": "@step\nasync def s(\n    x: Decimal,  # error: FG160\n) -> None:\n    pass",
    "result only for type checkers": "@workflow\nasync def w() -> Decimal:  # error: FG160\n    ...",
    "missing": "@workflow\nasync def w(x):  # error: FG161 FG161\n    pass",
    "missing of a step": "@step\ndef s(\n    x,  # error: FG161\n) -> None:\n    pass",
    "missing of a pure": "@pure\ndef p(x: int):  # error: FG161\n    return x",
    "duplicate step": "@step(name='a')\ndef s() -> None: ...\n@step(name='a')\ndef t() -> None: ...  # error: FG250",
    "duplicate flow": "@workflow\nasync def a() -> None: ...\n@workflow(name='a')\nasync def b() -> None: ...  # error: FG250",
    "foreign on_failure": "@workflow(on_failure=traced)\nasync def w() -> None: ...  # error: FG112",
    "where by name": "@workflow(on=Paid, where=bool)\nasync def w(event: Paid) -> None: ...  # error: FG100",
    "where": "@workflow(\n    on=Paid,\n    where=lambda e: now(),  # error: FG100\n)\nasync def w(e: Paid) -> None: ...",
    "undefined in where": "@workflow(\n    on=Paid, where=lambda e: fg.X,  # error: FG210\n)\nasync def w(e: Paid) -> None: ...",
    "exception of Python": "class TimeoutError(Exception): ...  # error: FG250",
    "copy of a step": "@step\ndef s() -> None: ...  # error: FG100\nagain = s.with_(retries=1)",
    "syntax": "def w(:  # error: FG001\n    pass",
    "return outside": "return 1  # error: FG001",
    "await in a lambda": "async def w() -> None:\n    f = lambda x: await x  # error: FG121",
    "await in a default": "async def w(x: int = await y) -> None:  # error: FG124\n    pass",
    "await in a decorator": "@step(retries=await y)  # error: FG124\nasync def w() -> None:\n    pass",
}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_an_error_is_told_at_its_line(name: str) -> None:
    check(HEAD + DECLARATIONS[name] + "\n")


def test_text_made_by_exec_has_no_source() -> None:
    (found,) = check("# error: FG101\nfrom flowgraph import workflow\nexec('@workflow\\nasync def w() -> None: ...\\n')\n")
    assert found.message == "the source of workflow 'w' is not available"


CLEAN = """
LIMIT = 5

@step(name="pay", aliases=("charge",), retries=2)
def process(order: str, amount: int = 3, *, fast: bool = False) -> Paid: ...

@subflow
async def helper(x: int) -> str: ...

@pure
def double(x: int) -> int:
    return 2 * x

@workflow(on=(Paid, Refunded))
async def either(event: Paid | Refunded) -> None: ...

@workflow(on=Paid)
async def wide(event: Event) -> None: ...

@workflow(on=Paid, batch=Batch(5, "1m"))
async def batched(events: list[Paid]) -> None: ...

@workflow(on=Cron("0 9 * * *"))
async def daily() -> None: ...

@workflow(on=Cron("0 9 * * *"))
async def scheduled(at: datetime) -> None: ...

@workflow(name="by-hand")
async def manual(n: int, when: datetime | None = None, names: tuple[str, ...] = ("a", "b")) -> list[int]: ...
"""


def application(text: str, name: str) -> Application:
    app, found = read([from_text(text, name)])
    assert found == []
    return app


def test_the_declarations_of_a_module() -> None:
    app = application(HEAD + CLEAN, "declared_here")
    assert list(app.steps) == ["pay"]
    assert list(app.workflows) == ["either", "wide", "batched", "daily", "scheduled", "by-hand"]
    assert list(app.subflows) == ["helper"]
    assert list(app.pures) == ["double"]
    assert list(app.events) == ["Paid", "Refunded"]
    step = app.steps["pay"]
    assert [(each.name, each.type, each.keyword_only, each.default) for each in step.parameters] == [
        ("order", str, False, None),
        ("amount", int, False, 3),
        ("fast", bool, True, False),
    ]
    assert step.aliases == ("charge",)
    assert not step.is_async
    assert step.result is app.events["Paid"]
    assert app.workflows["by-hand"].result == list[int]


STORED = """
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from pydantic import BaseModel
from flowgraph import step

class Base(BaseModel):
    n: int
class Card(Base):
    kind: "Kind"
class Kind(Enum):
    A = 1
@dataclass
class Line:
    pairs: "list[Pair] | None"
class Pair(NamedTuple):
    a: int
class Refused(Exception):
    pass
class Other:
    pass

@step
def s(cards: dict[str, Card]) -> tuple[Line, ...]: ...
"""


def test_stored_classes_are_found_through_annotations_too() -> None:
    wanted = {"Base", "Card", "Kind", "Line", "Pair", "Refused"}
    assert set(application(STORED, "stored_here").classes) == wanted
    importing = "from flowgraph import step\nimport stored_here\n@step\ndef t(x: int) -> stored_here.Line: ...\n"
    assert set(application(importing, "importing_stored").classes) >= {"Line", "Pair"}


def test_imported_modules_belong_to_the_application() -> None:
    application(
        "from flowgraph import step\n@step\ndef far(x: int) -> int: ...\n@step\ndef also(x: int) -> int: ...\n", "far_away"
    )
    app = application(
        "from far_away import far\nfrom flowgraph import workflow\n@workflow\nasync def w() -> None:\n    await far(1)\n", "near"
    )
    assert list(app.steps) == ["far", "also"]
    assert [module.name for module in app.modules] == ["near", "far_away"]


def test_a_wrapped_step_keeps_the_signature_of_the_function_below() -> None:
    app = application(HEAD + "@step\n@traced\ndef s(order: str) -> int:\n    return 1\n", "wrapped_step")
    assert [parameter.type for parameter in app.steps["s"].parameters] == [str]


def test_a_step_made_of_a_function_of_another_module() -> None:
    application("def far(x: int) -> int: ...\n", "plain_functions")
    text = "import plain_functions\nfrom flowgraph import step, workflow\ncharge = step(name='pay')(plain_functions.far)\n"
    app = application(text, "makes_steps")
    assert list(app.steps) == ["pay"]
    assert app.steps["pay"].span.file == "plain_functions.py"


def test_the_same_object_under_two_names_is_declared_once() -> None:
    app = application("from flowgraph import step\n@step\ndef a(x: int) -> int: ...\nb = a\n", "twice_named")
    assert list(app.steps) == ["a"]


@pytest.mark.parametrize(
    "value", ["(1, 'a')", "None", "frozenset({1})", "__import__('datetime').timedelta(1)", "__import__('decimal').Decimal(1)"]
)
def test_immutable_defaults_are_welcome(value: str) -> None:
    text = f"from typing import Any\nfrom flowgraph import workflow\n@workflow\nasync def w(x: Any = {value}) -> None: ...\n"
    parameter: Any = application(text, "defaults_here").workflows["w"].parameters[0]
    assert parameter.has_default
