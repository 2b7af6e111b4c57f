"""What is not in the language is told with its code, at its line, with what to write instead."""

from __future__ import annotations

import ast
import textwrap

import pytest

from flowgraph_compiler.build import build, subflow_findings
from flowgraph_compiler.build.handlers import FunctionBuilder
from flowgraph_compiler.build.refusals import EXPRESSIONS
from flowgraph_compiler.build.refusals import STATEMENTS as STATEMENTS_REFUSED
from flowgraph_compiler.reader import read
from flowgraph_compiler.source import from_text
from tests.compiler.planted import check, findings

HEAD = """
import asyncio, math, os, random, re, time, uuid as uuids
import datetime as dt
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from typing import cast
from pydantic import BaseModel, Field, field_validator
from flowgraph import Event, fan_out, now, parallel, pure, race, saga, send, settle, sleep, sleep_until, start
from flowgraph import step, subflow, timeout, uuid, wait_for, workflow

PRICES = {"a": 1}
FAILURES = (ValueError, KeyError)
RNG = random.Random(1)

class Paid(Event, name="paid"):
    order: str

class Order(BaseModel):
    id: str
    labels: frozenset[str] | None = None
    when: datetime = datetime(2020, 1, 1)
    @property
    def short(self) -> str:
        return self.id[:3]
    def index(self, n: int) -> str:
        return self.id[n]

class Stamped(BaseModel):
    at: datetime = Field(default_factory=datetime.now)

class Checked(BaseModel):
    id: str
    @field_validator("id")
    @classmethod
    def not_empty(cls, value: str) -> str:
        return value

class Nested(BaseModel):
    inner: Checked

@dataclass
class Posted:
    n: int
    def __post_init__(self) -> None: ...

class Declined(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)

class Plain:
    pass

def helper(x: int) -> int:
    return x

async def coroutine(x: int) -> int:
    return x

@pure
def double(x: int) -> int:
    return 2 * x

@step
async def charge(x: int) -> int:
    return x

@step
async def labels() -> set[str]:
    return set()

@subflow
async def flow(x: int) -> int:
    return x

@workflow
async def other(x: int) -> int:
    return x

@workflow
async def w(x: int, xs: list[int], d: dict[str, int], order: Order, tags: set[str]) -> object:
"""

STATEMENTS = {
    "with": "with open('x') as f:  # error: FG100\n    pass",
    "async with": "async with asyncio.Lock():  # error: FG100\n    pass",
    "as of a timeout": "async with timeout('1h') as t:  # error: FG100\n    pass",
    "another async with beside a timeout": "async with timeout('1h'), x:  # error: FG100\n    pass",
    "timeout without a duration": "async with timeout():  # error: FG171\n    pass",
    "saga with an argument": "async with saga(x):  # error: FG172\n    pass",
    "async for": "async for y in xs:  # error: FG100\n    pass",
    "yield": "y = lambda: (yield)  # error: FG131",
    "nested function": "def inner() -> None:  # error: FG100\n    pass",
    "nested class": "class Inner:  # error: FG100\n    pass",
    "import": "import os  # error: FG100",
    "from import": "from os import path  # error: FG100",
    "global": "global PRICES  # error: FG100",
    "guard that awaits": "match x:\n    case y if await charge(y):  # error: FG123\n        pass",
    "complex pattern": "match x:\n    case 1 + 2j:  # error: FG100\n        pass",
    "class of a pattern that is a variable": "match x:\n    case xs():  # error: FG100\n        pass",
    "class of a pattern that is none of ours": "match order:\n    case Plain():  # error: FG112\n        pass",
    "positional pattern of a model": "match order:\n    case Order('a'):  # error: FG172\n        pass",
    "field with two patterns": "match order:\n    case Posted(1, n=2):  # error: FG172\n        pass",
    "property in a pattern": "match order:\n    case Order(short='a'):  # error: FG140\n        pass",
    "private field in a pattern": "match order:\n    case Order(_n=1):  # error: FG100\n        pass",
    "mutable value of a pattern": "match x:\n    case os.environ:  # error: FG140\n        pass",
    "captured name of a step": "match x:\n    case charge:  # error: FG111\n        pass",
    "star that hides a subflow": "match xs:\n    case [*flow]:  # error: FG111\n        pass",
    "subject that is an iterator": "match zip(xs, xs):  # error: FG132\n    case _:\n        pass",
    "del item": "del xs[0]  # error: FG100",
    "del attribute": "del order.id  # error: FG100",
    "complex": "y = 1j  # error: FG100",
    "private attribute": "y = order._private  # error: FG100",
    "private method": "order._private()  # error: FG100",
    "module as a value": "y = math  # error: FG100",
    "async comprehension": "y = [z async for z in xs]  # error: FG100",
    "generator with await": "y = sum(await charge(z) for z in xs)  # error: FG100",
    "computed handler": "try:\n    pass\nexcept order.id:  # error: FG100\n    pass",
    "bare raise": "raise  # error: FG100",
    "bare raise in finally": "try:\n    pass\nexcept ValueError:\n    pass\nfinally:\n    raise  # error: FG100",
    "fan_out of a list": "await fan_out([charge(y) for y in xs])  # error: FG130",
    "fan_out of calls written out": "await fan_out([charge(1), charge(2)])  # error: FG130",
    "fan_out of one call": "await fan_out(charge(1))  # error: FG130",
    "fan_out of a variable": "await fan_out(xs)  # error: FG130",
    "fan_out of values": "await fan_out(y + 1 for y in xs)  # error: FG130",
    "fan_out of plain calls": "await fan_out(str(y) for y in xs)  # error: FG130",
    "fan_out of two calls an element": "await fan_out((charge(y), charge(y)) for y in xs)  # error: FG130",
    "fan_out of awaited calls": "await fan_out(await charge(y) for y in xs)  # error: FG122",
    "await in a fan_out's argument": "await fan_out(charge(await charge(y)) for y in xs)  # error: FG122",
    "await in a fan_out's condition": "await fan_out(charge(y) for y in xs if await charge(y))  # error: FG122",
    "await in a fan_out's second clause": "await fan_out(charge(z) for y in xs for z in await flow(y))  # error: FG122",
    "fan_out of nothing": "await fan_out()  # error: FG171",
    "fan_out of a star": "await fan_out(*xs)  # error: FG115",
    "fan_out with another option": "await fan_out((charge(y) for y in xs), limits=2)  # error: FG172",
    "fan_out of unknown coroutines": "await fan_out(coroutine(y) for y in xs)  # error: FG110",
    "fan_out over a set": "await fan_out(charge(y) for y in {1, 2})  # error: FG142",
    "fan_out that changes its list": "await fan_out(charge(xs.pop()) for y in range(2))  # error: FG100",
    "fan_out that assigns": "await fan_out(charge(x := y) for y in xs)  # error: FG100",
    "await after a fan_out in a group": "await parallel(fan_out(charge(y) for y in xs), charge(await charge(1)))  # error: FG100",
    "settle of nothing": "await settle()  # error: FG171",
    "settle of a list": "await settle([charge(y) for y in xs])  # error: FG130",
    "settle of a variable": "await settle(xs)  # error: FG130",
    "settle of calls with a limit": "await settle(charge(1), charge(2), limit=2)  # error: FG130",
    "settle with another option": "await settle(charge(1), charge(2), limits=2)  # error: FG172",
    "settle of awaited calls": "await settle(await charge(1), charge(2))  # error: FG110",
    "race of nothing": "await race()  # error: FG171",
    "race of values": "await race(charge(1), 2)  # error: FG100",
    "race of a generator": "await race(charge(y) for y in xs)  # error: FG100 FG113",
    "race of a star": "await race(*xs)  # error: FG115",
    "child with a star": "await other(*xs)  # error: FG115",
    "child not awaited": "other(1)  # error: FG113",
    "start of nothing": "await start()  # error: FG171",
    "start of a step": "await start(charge, 1)  # error: FG170",
    "start of a variable": "await start(xs, 1)  # error: FG170",
    "start of a call": "await start(other(1))  # error: FG170",
    "start with a star": "await start(other, *xs)  # error: FG115",
    "start not awaited": "start(other, 1)  # error: FG113",
    "with_": "await charge.with_(retries=len([1]))(1)  # error: FG100",
    "computed pattern": "y = re.search(order.id, 'a')  # error: FG100",
    "pattern of bytes": "y = re.sub(b'a', b'b', b'c')  # error: FG100",
    "broken pattern": "y = re.match('(', 'a')  # error: FG170",
    "compiled pattern": "y = re.compile('a')  # error: FG112",
    "pure call awaited": "y = await double(1)  # error: FG110",
    "pure function as a value": "y = double  # error: FG131",
    "iterator to a pure function": "y = double(z for z in xs)  # error: FG132",
    "branch that is no call": "y = [1]\nawait parallel(y, charge(1))  # error: FG100",
    "where that is no lambda": "await wait_for(Paid, where=helper, timeout='1h')  # error: FG100",
    "now in where": "await wait_for(Paid, where=lambda e: e.order == str(now()), timeout='1h')  # error: FG100",
    "foreign await": "await asyncio.sleep(1)  # error: FG110",
    "gather": "await asyncio.gather(charge(1), charge(2))  # error: FG110",
    "undecorated coroutine": "await coroutine(1)  # error: FG110",
    "coroutine as a branch": "await parallel(coroutine(1), charge(1))  # error: FG110",
    "await of a value": "await x  # error: FG110",
    "await of a class": "y = await Order(id='1')  # error: FG110",
    "await of a primitive's value": "y = await now()  # error: FG110",
    "await of a method": "y = await order.load()  # error: FG110",
    "await inside parallel": "await parallel(await charge(1), charge(2))  # error: FG110",
    "shadowed": "charge = 1  # error: FG111",
    "shadowed and called": "charge = 1  # error: FG111\nawait charge(2)",
    "shadowed by a loop": "for flow in xs:  # error: FG111\n    pass",
    "shadowed primitive": "sleep = await charge(1)  # error: FG111",
    "plain function": "y = helper(1)  # error: FG112",
    "builtin": "y = iter(xs)  # error: FG112",
    "method of a model": "y = order.load()  # error: FG112",
    "classmethod of a model": "y = Order.model_validate({})  # error: FG112",
    "plain class": "y = Plain()  # error: FG112",
    "variable called": "y = 1\ny()  # error: FG112",
    "function as key": "y = sorted(xs, key=helper)  # error: FG112",
    "not awaited": "charge(1)  # error: FG113",
    "kept coroutine": "p = charge(1)  # error: FG113\nawait p  # error: FG110",
    "subflow not awaited": "y = [flow(z) for z in xs]  # error: FG113",
    "primitive not awaited": "sleep('1s')  # error: FG113",
    "not awaited in an argument": "await charge(charge(1))  # error: FG113",
    "step as a value": "f = charge  # error: FG114",
    "step as an argument": "y = list(map(charge, xs))  # error: FG112",
    "workflow as a value": "y = [other]  # error: FG114",
    "stars": "await charge(*xs)  # error: FG115",
    "double stars": "await flow(**d)  # error: FG115",
    "star of parallel": "await parallel(*[charge(1)])  # error: FG115",
    "star of a branch": "await parallel(charge(*xs), charge(1))  # error: FG115",
    "return in finally": "try:\n    pass\nfinally:\n    return 1  # error: FG125",
    "break in finally": "for y in xs:\n    try:\n        pass\n    finally:\n        break  # error: FG125",
    "continue in finally": "while x:\n    try:\n        pass\n    finally:\n        if x:\n            continue  # error: FG125",
    "except star": "try:\n    pass\nexcept* ValueError:  # error: FG127\n    pass\nexcept* KeyError:\n    pass",
    "cancelled swallowed": "try:\n    await charge(1)\nexcept BaseException:  # error: FG128\n    pass",
    "bare except": "try:\n    await charge(1)\nexcept:  # error: FG128\n    x = 1",
    "swallowed on one path": "try:\n    pass\nexcept BaseException:  # error: FG128\n    if x:\n        raise",
    "swallowed by return": "try:\n    pass\nexcept (ValueError, BaseException) as e:  # error: FG128\n    return None",
    "lambda kept": "y = lambda z: z  # error: FG131",
    "function kept": "y = helper  # error: FG131",
    "lambda in a list": "y = [lambda: 1]  # error: FG131",
    "generator kept": "y = (z for z in xs)  # error: FG132",
    "view kept": "y = d.items()  # error: FG132",
    "map kept": "y = map(str, xs)  # error: FG132",
    "zip returned": "return zip(xs, xs)  # error: FG132",
    "iterator to a step": "await charge(reversed(xs))  # error: FG132",
    "iterator appended": "xs.append(enumerate(xs))  # error: FG132",
    "for over a generator": "for y in (z for z in xs):  # error: FG132\n    pass",
    "for over map that awaits": "for y in map(str, xs):  # error: FG132\n    await charge(1)",
    "iterator across an await": "y = max(d.values(), await charge(1))  # error: FG132",
    "datetime.now": "y = datetime.now()  # error: FG140",
    "datetime.now by module": "y = dt.datetime.now(dt.UTC)  # error: FG140",
    "date.today": "y = date.today()  # error: FG140",
    "time": "y = time.time()  # error: FG140",
    "random": "y = random.random()  # error: FG140",
    "rng": "y = RNG.random()  # error: FG140",
    "uuid4": "y = uuids.uuid4()  # error: FG140",
    "print": "print(x)  # error: FG140",
    "environment": "y = os.environ['X']  # error: FG140",
    "getenv": "y = os.getenv('X')  # error: FG140",
    "open": "y = open('x').read()  # error: FG140",
    "mutable global": "y = PRICES['a']  # error: FG140",
    "mutated global": "PRICES.clear()  # error: FG140",
    "nondeterminism in a lambda": "y = sorted(xs, key=lambda z: random.random())  # error: FG140",
    "default factory": "y = Stamped()  # error: FG140",
    "validator": "y = Checked(id='1')  # error: FG140",
    "validator inside": "y = Nested(inner={'id': '1'})  # error: FG140",
    "post init": "y = Posted(1)  # error: FG140",
    "exception with init": "raise Declined(1)  # error: FG140",
    "local zone": "y = now().astimezone()  # error: FG140",
    "identity": "y = x is 1000  # error: FG141",
    "identity of variables": "y = x is not xs  # error: FG141",
    "set display": "for y in {1, 2}:  # error: FG142\n    pass",
    "set call": "y = [z for z in set(xs)]  # error: FG142",
    "list of a set": "y = list({z for z in xs})  # error: FG142",
    "joined set": "y = ','.join({'a'})  # error: FG142",
    "set variable": "y = {1}\nz = [*y]  # error: FG142",
    "set parameter": "for y in tags:  # error: FG142\n    pass",
    "set union": "for y in tags | {'a'}:  # error: FG142\n    pass",
    "set field": "for y in order.labels:  # error: FG142\n    pass",
    "set of a step": "y = await labels()\nz = [1 for q in y]  # error: FG142",
    "set awaited": "for y in await labels():  # error: FG142\n    pass",
    "property": "y = order.short  # error: FG140",
    "property of a result": "made = Order(id='1')\ny = made.short  # error: FG140",
    "method named like a pure one": "y = order.index(1)  # error: FG112",
    "variables in a circle": "p = x\nq = p\np = q\nfor y in p or {1}:\n    print(y)  # error: FG140",
    "unpacked set": "a, b = tags  # error: FG142",
    "views as sets": "for y in d.keys() - xs:  # error: FG142\n    pass",
    "spread set argument": "y = max(*tags)  # error: FG142",
    "map over a set": "y = list(map(str, tags))  # error: FG142",
    "walrus in a lambda": "y = sorted(xs, key=lambda z: (q := z))  # error: FG100",
    "comprehension over map that awaits": "y = [await charge(z) for z in map(int, xs)]  # error: FG132",
    "generator in enumerate": "for y in enumerate(z for z in xs):  # error: FG132\n    await charge(1)",
    "cast of a view": "y = cast(list[int], d.values())  # error: FG132",
    "no branches": "await parallel()  # error: FG171",
    "stored iterator of one field": "y = Order(id=map(str, xs))  # error: FG132",
    "local annotation": "y: Missing = 1  # error: FG160",
    "annotation that is no type": "y: {1, 2} = 1  # error: FG160",
    "annotation that would run": "y: print(1) = 1  # error: FG160",
    "wait without timeout": "await wait_for(Paid)  # error: FG171",
    "wait for no event": "await wait_for(Order, timeout='1h')  # error: FG170",
    "undefined": "y = missing + 1  # error: FG210",
    "undefined call": "await missing(1)  # error: FG210",
    "undefined of a module": "y = math.missing  # error: FG210",
    "several at once": "y = datetime.now()  # error: FG140\nf = charge  # error: FG114\nwith x:  # error: FG100\n    pass",
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_an_error_is_told_at_its_line(name: str) -> None:
    check(HEAD + textwrap.indent(STATEMENTS[name], "    ") + "\n")


CLEAN = """
y = tags & {'a'}
z = sorted(tags | y)
for k, v in d.items():
    xs.append(v)
for s in map(str, xs):
    z.append(s)
e = ",".join(str(i) for i in xs)
a, b = len(tags), 'x' in tags
if x is None or order is not None:
    raise KeyError(x)
try:
    await charge(x)
except BaseException:
    await charge(1)
    raise
try:
    await charge(x)
except BaseException as error:
    if x:
        raise RuntimeError from error
    else:
        raise
try:
    pass
finally:
    for i in xs:
        if i:
            break
        continue
when = now()
key = uuid()
paid = await wait_for(Paid, where=lambda e: e.order == order.id and e.order in z, timeout=None, since="now")
await send(Paid(order=order.id))
await parallel(charge(1), flow(x=2), sleep('1h'), wait_for(Paid, timeout='1h'), parallel(charge(1), send(Paid(order='1'))))
await sleep_until(when)
year = order.when.year, xs.index(1), order.id.index("a")
both = {*tags, 1}
flag = all(z for z in await parallel(charge(1), charge(2)))
model = Order(id=await charge(1))
keyed = dict(key=1)
try:
    pass
except FAILURES:
    pass
for i, v in enumerate(zip(xs, reversed(xs))):
    await charge(v)
m = max(d.items(), key=lambda pair: pair[1])
n = datetime.fromisoformat('2020-01-01'), str.lower('A'), math.pi, isinstance(x, int | str)
return m, n, key, paid, a, b, e
"""


def test_what_is_in_the_language_has_no_finding() -> None:
    assert check(HEAD + textwrap.indent(CLEAN, "    ")) == []


RECURSION = """
from flowgraph import step, subflow, workflow

@subflow
async def first(n: int) -> int:
    return await second(n)

@subflow
async def second(n: int) -> int:
    if n:
        return await first(n - 1)  # error: FG116
    return 0

@subflow
async def itself(n: int) -> int:
    return await itself(n)  # error: FG116

@workflow
async def one(n: int) -> int:
    return await first(n) + await itself(n)

@workflow
async def two(n: int) -> int:
    return await first(n)
"""


def test_a_cycle_of_subflows_is_told_at_the_call_that_closes_it_once_for_all_workflows() -> None:
    found = check(RECURSION)
    assert found[0].message == "subflow 'first' is called from itself: first -> second -> first"


def test_a_span_counts_characters_and_ends_behind_the_expression() -> None:
    (found,) = findings(HEAD + "    y = 'äöü' + str(datetime.now())\n")
    line = (HEAD + "    y = 'äöü' + str(datetime.now())\n").splitlines()[found.span.line - 1]
    assert line[found.span.column - 1 : found.span.end_column - 1] == "datetime.now()"


def test_a_finding_names_its_workflow_and_what_to_write() -> None:
    (found,) = findings(HEAD + "    charge(1)\n")
    assert (found.message, found.help, found.workflow) == ("step 'charge' is called but not awaited", "await charge(1)", "w")


def test_a_workflow_with_errors_yields_no_graph_and_leaves_the_others_alone() -> None:
    app, found = read([from_text(HEAD + "    charge(1)\n", "left_alone")])
    assert found == []
    assert build(app, "w")[0] is None
    assert build(app, "other")[0] is not None


def test_every_kind_of_node_is_translated_or_refused_by_name() -> None:
    inner = {"Slice", "slice", "Interpolation"}  # parts of another node
    for base, prefix, table in ((ast.expr, "visit_", EXPRESSIONS), (ast.stmt, "do_", STATEMENTS_REFUSED)):
        for kind in base.__subclasses__():
            known = hasattr(FunctionBuilder, prefix + kind.__name__) or kind.__name__ in {*table, *inner}
            assert known, f"'{kind.__name__}' is refused without saying what to write instead"


def test_a_node_that_nobody_knows_is_an_error() -> None:
    module = from_text(HEAD + "    return x\n", "unknown_node")

    class Surprise(ast.expr):
        pass

    app, _ = read([module])
    returned = app.workflows["w"].tree.body[0]
    assert isinstance(returned, ast.Return)
    returned.value = ast.copy_location(Surprise(), returned)
    graph, found = build(app, "w")
    assert (graph, [each.message for each in found]) == (None, ["'Surprise' is not in the language"])


@pytest.mark.parametrize("text", ["x = " + "-" * 150 + "x", "x = " + " + ".join(["x"] * 300), "x = " + "[" * 90 + "]" * 90])
def test_deep_nesting_is_an_error_or_works_but_never_a_crash(text: str) -> None:
    assert {each.rule.code for each in findings(HEAD + f"    {text}\n")} <= {"FG100"}


def test_errors_of_subflows_that_nobody_calls() -> None:
    wrong = "@subflow\nasync def lonely(x: int) -> int:\n    return charge(x)\n"
    app, _ = read([from_text(HEAD + "    pass\n" + wrong, "nobody")])
    assert [each.rule.code for each in subflow_findings(app)] == ["FG113"]
