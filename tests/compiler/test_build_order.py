"""A built graph, run by CPython, does what the source does: same steps in the same order, same result, same exception."""

from __future__ import annotations

import ast
import asyncio
import copy
from collections.abc import Awaitable
from typing import Any

import pytest

from flowgraph import Subflow
from flowgraph_compiler.build import build, operands
from flowgraph_compiler.build.handlers import FunctionBuilder
from flowgraph_compiler.build.operands import Operands
from flowgraph_compiler.build.shortcircuits import ShortCircuits
from flowgraph_compiler.expressions import Expr, Logical
from flowgraph_compiler.graph import Body
from flowgraph_compiler.reader import read
from flowgraph_compiler.source import from_text
from tests.compiler.graph_as_python import functions

HEAD = """
import asyncio, math
from dataclasses import dataclass, field
from decimal import Decimal
from datetime import datetime, timedelta
from enum import Enum
from flowgraph import parallel, step, subflow, workflow

LOG = []
LIMIT = 3

class Colour(Enum):
    RED = 1
    BLUE = 2

@dataclass
class Box:
    n: int = 0
    items: list = field(default_factory=list)

@step
async def f(x: object = 7, y: object = None, z: object = None) -> object:
    LOG.append(("f", repr((x, y, z))))
    return x

@step
async def fail(x: object) -> object:
    LOG.append(("fail", x))
    raise ValueError(x)

@step
async def log(x: object, y: object = None) -> None:
    LOG.append(("log", repr((x, y))))

@subflow
async def twice(x: int) -> int:
    return await f(x) + await f(x * 2)

@subflow
async def boom(x: int) -> int:
    try:
        return await fail(x)
    finally:
        await log("boom", x)

@workflow
async def w(a: int, xs: list[int]) -> object:
"""

# Each is a body; the parameters are a = 2 and xs = [3, 1, 2].
BODIES = {
    "operands": """
        b = a
        return a + await f(b * 10) + (b := 5) + await f(b) + len(xs)
    """,
    "rebound": """
        return a + await f((a := 9)) + a
    """,
    "raises before": """
        return 1 // (a - 2) + await f(1)
    """,
    "raises after": """
        return await f(1) + 1 // (a - 2)
    """,
    "attribute now": """
        box = Box(1)
        return box.n + await f(bump := 1) + box.n + await twice(box.n)
    """,
    "receiver": """
        box = Box()
        box.items.append(await f(4))
        xs.append(await f(len(xs)))
        return box, xs
    """,
    "receiver replaced": """
        ys = xs
        ys.append(await f((ys := [])))
        return xs, ys
    """,
    "arguments": """
        return max(a, await f(5), *[await f(1), a], await f(2)), sorted(xs, key=lambda x: -x, reverse=await f(True))
    """,
    "star now": """
        ys = [1]
        return max(*ys, await f(ys.append(5) or 2), len(ys))
    """,
    "star fails first": """
        return max(*a, await f(2))
    """,
    "keywords": """
        return Box(n=await f(1), items=[await f(2), a]), dict(x=a, y=await f(3), **{"z": await f(4)})
    """,
    "and": """
        return [a and await f(0) and await f(1), a and await f(3), 0 and await f(9), a > 1 and await f(2) and xs]
    """,
    "or": """
        return [a or await f(0), 0 or await f(3), await f(0) or await f(0) or xs, None or await f(False) or 0]
    """,
    "mixed": """
        return (a > 5 or await f(1)) and (await f(0) or a < 0) or not await f(5)
    """,
    "and changes its test": """
        return xs and await f(xs.pop()) and xs and await f(xs.clear() or 5) and xs
    """,
    "and forgets its test": """
        return a and await f((a := 0) or 3), xs and await f(xs.clear() or 5), xs or await f(xs.append(4) or 6)
    """,
    "test once": """
        return (xs.pop() > 1) and await f(1), (xs.pop() > 1) and await f(2), xs
    """,
    "ternary": """
        return [await f(1) if a else await f(2), await f(1) if await f(0) else a, (a if await f(1) else a) + 1]
    """,
    "chain": """
        return [a < await f(3) < await f(4), await f(1) < await f(0) < await f(9), a < 3 < await f(5), 1 < a < await f(9) < 20]
    """,
    "chain stops": """
        return 5 < a < await f(9), [1 < await f(0) < 1 // 0]
    """,
    "is": """
        x = None
        return x is None, a is not None and await f(1), Colour.RED is Colour.BLUE
    """,
    "subscript": """
        return xs[await f(0)] + xs[await f(1)], xs[await f(1):await f(3)], xs[:await f(2)], [xs][0][await f(2)], xs[::await f(-1)]
    """,
    "subscript replaced": """
        return xs[(await f((xs := [7, 8])))[0] - 7], xs
    """,
    "slice fails": """
        return xs[await f(9)] + await f(10)
    """,
    "displays": """
        return [a, await f(1), *xs, await f(2)], (await f(3), a), {"k": await f(4), await f("l"): a, **{"m": 1}}
    """,
    "list spread": """
        return [*xs, await f(xs.append(9)), *xs]
    """,
    "dict order": """
        return {await f("a"): await f(1), await f("b"): await f(2)}
    """,
    "sets": """
        return {await f(1), await f(2), 2}, {await f(i) for i in xs}
    """,
    "f-strings": """
        box = Box(3)
        return f"{a}-{await f(1)!r:>{await f(4)}}-{box.n}{await f('x')}{{}}", f"{xs}{await f(xs.append(1))}{xs}"
    """,
    "f-string now": """
        return f"{xs.pop()}{await f(xs.pop())}{xs}{a:0{await f(3)}d}"
    """,
    "list comprehension": """
        i = 100
        ys = [await f(i * a) for i in xs if await f(i) > 1]
        return ys, i
    """,
    "nested comprehension": """
        return [[await f(i + j) for j in range(i)] for i in xs], [await f(i + j) for i in xs for j in xs if i < j]
    """,
    "comprehension inside": """
        return [sum(j for j in range(await f(i)) if j != i) for i in xs]
    """,
    "comprehension walrus": """
        ys = [(last := await f(i)) for i in xs]
        zs = [keep := i for i in xs]
        return ys, last, zs, keep
    """,
    "dict comprehension": """
        return {await f(i): await f(-i) for i in xs}, {i: j for i, j in zip(xs, range(3))}
    """,
    "comprehension grows": """
        return [await f(xs.append(0) if len(xs) < 6 else i) for i in xs]
    """,
    "comprehension target": """
        return [await f(i + j) for i, (j, *k) in [(1, (2, 3)), (4, [5])]]
    """,
    "pure comprehensions": """
        return [x + a for x in xs ], {x % 2 for x in xs}, {x: -x for x in xs}, sum(x for x in xs), min(map(lambda x: x * a, xs))
    """,
    "functions as arguments": """
        return sorted(["bb", "a"], key=len), list(map(str, xs)), max("ab", "ba", key=str.upper), list(map(max, xs, [5, 0, 0]))
    """,
    "walrus": """
        if (m := await f(4)) > 3 and (n := await f(m)):
            return m, n
        return None
    """,
    "assignment": """
        x = y = await f(3)
        p, (q, *r) = await f(1), (await f(2), 3, 4)
        [s, t] = xs[:2]
        xs[await f(0)] = await f(9)
        u, xs[await f(1)], *v = 5, 6, 7, 8
        return x, y, p, q, r, s, t, u, v, xs
    """,
    "assignment order": """
        i = 0
        i, xs[i] = 1, await f(5)
        xs[i] = i = await f(2)
        i = xs[await f(0)] = i + 4
        return i, xs
    """,
    "augmented": """
        b = a
        a += await f(1)
        a += await f((a := 50))
        xs[0] += await f(10)
        xs[await f(1)] *= await f(3)
        box = Box(2)
        box.n -= await f(1)
        box.items += await f([1])
        return a, xs, box, b
    """,
    "augmented reads first": """
        xs[0] += await f(xs.clear() or 5)
        return xs
    """,
    "augmented in place": """
        ys = xs
        ys += await f([4])
        ys += [5]
        return ys, xs
    """,
    "annotated": """
        total: int = await f(3)
        rest: list[int] = []
        late: int
        late = 2
        return total, rest, late
    """,
    "del": """
        b = a
        del b
        try:
            return b
        except NameError:
            return "unbound"
    """,
    "while": """
        n = 0
        while (m := await f(n)) < 4:
            n += 1
            if n == 2:
                continue
            xs.append(m)
        return n, m, xs
    """,
    "while else less": """
        while await f(len(xs)) and xs:
            if xs.pop() == 1:
                break
        return xs
    """,
    "for": """
        total = 0
        for i, x in enumerate(xs):
            total += await f(x) * i
            if x == 1:
                continue
            if i > 1:
                break
        return total, i, x
    """,
    "for grows": """
        for x in xs:
            if await f(x) < 6:
                xs.append(x + 2)
        return xs
    """,
    "for targets": """
        box = Box()
        for box.n in xs:
            await f(box.n)
        for xs[await f(0)] in [5, 6]:
            pass
        for k, v in {"a": 1}.items():
            await f(k, v)
        for k, (i, *j) in zip("ab", [(1, 2), (3,)]):
            await f(k, i, j)
        return box, xs
    """,
    "try": """
        try:
            await f(1)
            x = await fail(5)
        except (KeyError, ValueError) as error:
            x = str(error)
            await log(x)
        else:
            x = "else"
        finally:
            await log("finally")
        return x
    """,
    "else and finally": """
        try:
            x = await f(1)
        except ValueError:
            x = 0
        else:
            x = await f(x + 1)
        finally:
            await log(x)
        return x
    """,
    "return through finally": """
        for i in xs:
            try:
                if i == 1:
                    return await f(i)
                continue
            finally:
                await log(i)
    """,
    "raise and cause": """
        try:
            await fail(1)
        except ValueError as error:
            raise RuntimeError(await f("no")) from error
    """,
    "bare raise": """
        try:
            await boom(4)
        except Exception:
            await log("again")
            raise
    """,
    "nested handlers": """
        try:
            try:
                await fail(1)
            except KeyError:
                return 1
            finally:
                await log("inner")
        except ValueError as error:
            return error.args
    """,
    "handler variable is gone": """
        e = 1
        try:
            await fail(1)
        except ValueError as e:
            pass
        try:
            return e
        except NameError:
            return "gone"
    """,
    "handler variable is gone on the way out": """
        e = 1
        try:
            try:
                await fail(1)
            except ValueError as e:
                raise KeyError
        except KeyError:
            try:
                return e
            except NameError:
                return "gone"
    """,
    "handler variable and break": """
        while True:
            try:
                await fail(1)
            except ValueError as e:
                break
        try:
            return e
        except NameError:
            return "gone"
    """,
    "handler variable inside": """
        try:
            await fail(1)
        except ValueError as e:
            try:
                await fail(2)
            except ValueError as e:
                await log(str(e))
            try:
                return e
            except NameError:
                return "gone"
    """,
    "handler returns it": """
        try:
            await fail(3)
        except ValueError as e:
            return str(e)
    """,
    "raise class": """
        if a:
            raise KeyError
    """,
    "assert": """
        assert await f(1), "no"
        assert await f(0), await f("yes")
    """,
    "subflow": """
        return await twice(a) + await twice(await f(3))
    """,
    "parallel": """
        x, y = await parallel(f(a + 1), twice(await f((b := a + 7))))
        await parallel(f((a := 5)), f(a), parallel(f((a := a + 1)), log((a := a * 2))))
        return x, y, a, xs
    """,
    "globals": """
        return LIMIT + a, Colour.RED.value, Colour(2), math.pi, math.floor(2.5), Decimal("1.5") + a, timedelta(days=await f(1))
    """,
    "methods": """
        return "a,b".split(","), ",".join(sorted({"x", "y"})), "x".upper(), xs.index(1), {"k": 1}.get("l", await f(2))
    """,
    "statements": """
        "a docstring"
        ...
        pass
        xs.sort()
        xs.extend([await f(1), a])
        await f(a)
        return xs
    """,
    "if elif": """
        if await f(0):
            return 1
        elif a and await f(0):
            return 2
        elif not await f(0) and a == 2:
            return 3
        return 4
    """,
    "nested if": """
        if a and xs and await f(xs.pop()) and xs:
            return xs, await f(1)
        return None
    """,
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_graph_does_what_its_source_does(name: str) -> None:
    module = from_text(HEAD + BODIES[name], "order_" + name.replace(" ", "_"))
    app, _ = read([module])
    graph, found = build(app, "w")
    assert graph is not None, [(each.rule.code, str(each.span), each.message) for each in found]
    log: list[Any] = vars(module.module)["LOG"]
    expected = _run(_native(module.tree, vars(module.module)), log)
    assert expected == _run(functions(graph, _plain(vars(module.module)))["w"], log)
    assert expected[1] or expected[0][0] != "returned" or "await" not in BODIES[name], "no step ran: the example shows nothing"


def _native(tree: ast.Module, scope: dict[str, Any]) -> Any:
    """The workflow's own function, without the decorator."""
    node = copy.deepcopy(tree.body[-1])
    assert isinstance(node, ast.AsyncFunctionDef)
    node.decorator_list = []
    namespace = {name: value.fn if isinstance(value, Subflow) else value for name, value in _plain(scope).items()}
    exec(compile(ast.Module([node], []), "<native>", "exec"), namespace)
    return namespace["w"]


async def _in_order(*branches: Awaitable[object]) -> tuple[object, ...]:
    return tuple([await branch for branch in branches])


def _plain(scope: dict[str, Any]) -> dict[str, Any]:
    """The namespace with a `parallel` that works outside a run, one branch after the other: what counts here is the arguments."""
    return {**scope, "parallel": _in_order}


def _run(function: Any, log: list[Any]) -> tuple[tuple[Any, ...], list[Any]]:
    log.clear()
    try:
        outcome: tuple[Any, ...] = ("returned", repr(asyncio.run(function(2, [3, 1, 2]))))
    except Exception as error:
        outcome = ("raised", type(error), str(error), type(error.__cause__))
    return outcome, list(log)


def _keeps_nothing(self: Operands, value: Expr, later: list[ast.expr]) -> Expr:
    return value


def _keeps_bound(self: FunctionBuilder, node: ast.ExceptHandler, name: str, body: Body) -> Body:
    return body


def _evaluates_all(self: ShortCircuits, node: ast.BoolOp) -> Expr:
    return Logical("and" if isinstance(node.op, ast.And) else "or", tuple(self.operands(node.values)))


PLANTED: dict[str, tuple[object, str, object]] = {
    "no spilling": (Operands, "keep", _keeps_nothing),
    "every local is stable": (operands, "rebound", lambda nodes: set()),
    "eager operands": (ShortCircuits, "visit_BoolOp", _evaluates_all),
    "handler variables stay": (FunctionBuilder, "_unbound_after", _keeps_bound),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_examples_notice_a_planted_bug(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, wrong = PLANTED[bug]
    monkeypatch.setattr(owner, name, wrong)
    noticed = 0
    for example in BODIES:
        try:
            test_a_graph_does_what_its_source_does(example)
        except AssertionError:
            noticed += 1
    assert noticed
