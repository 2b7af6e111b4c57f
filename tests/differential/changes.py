"""Changes that authors make to a program between two deployments, drawn from a seed: one to three edits of its functions."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator
from textwrap import indent

Change = Callable[[ast.Module, random.Random], bool]
"""Edits a tree in place; False where it has nothing of the kind."""

TRIES = 40


def changed(text: str, chance: random.Random) -> tuple[tuple[str, ...], str]:
    """The names of the edits, and the functions of a program as they make them."""
    tree = ast.parse(text)
    names: list[str] = []
    wanted = chance.choice((1, 1, 1, 2, 3))
    for _ in range(TRIES):
        change = chance.choice(CHANGES)
        if change(tree, chance):
            names.append(change.__name__.strip("_"))
        if len(names) == wanted:
            break
    return tuple(names), ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def paused(text: str, chance: random.Random) -> str:
    """The functions with some more sleeps in them, so that there are places where a run can be moved."""
    tree = ast.parse(text)
    for _ in range(chance.randint(2, 5)):
        body = chance.choice(_bodies(tree))
        body.insert(chance.randrange(len(body) + 1), ast.parse(f'await sleep("{chance.randint(1, 9)}h")').body[0])
    return ast.unparse(tree) + "\n"


# --- what can be changed


def _flows(tree: ast.Module) -> list[ast.AsyncFunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.AsyncFunctionDef)]


def _inside(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes of the bodies, `flow` twice as often as the others."""
    for function in tree.body:
        if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef):
            for _ in range(1 + (function.name == "flow")):
                for statement in function.body:
                    yield from ast.walk(statement)


def _bodies(tree: ast.Module) -> list[list[ast.stmt]]:
    """The lists of statements anywhere in the asynchronous functions."""
    return [
        body
        for function in _flows(tree)
        for node in ast.walk(function)
        for body in (getattr(node, name, None) for name in ("body", "orelse", "finalbody"))
        if isinstance(body, list) and body
    ]


def _some(nodes: list[ast.AST], chance: random.Random) -> ast.AST | None:
    return chance.choice(nodes) if nodes else None


def constant(tree: ast.Module, chance: random.Random) -> bool:
    """Another number, another text."""
    found = [each for each in _inside(tree) if isinstance(each, ast.Constant) and isinstance(each.value, int | str)]
    if not found:
        return False
    node = chance.choice(found)
    match node.value:
        case bool():
            node.value = not node.value
        case int():
            node.value += chance.choice((-1, 1, 2))
        case str() if node.value[-1:] in ("h", "m", "s", "d") and node.value[:1].isdigit():
            node.value = f"{chance.randint(1, 9)}{node.value[-1]}"
        case str():
            node.value += "x"
        case _:
            return False
    return True


def condition(tree: ast.Module, chance: random.Random) -> bool:
    """The opposite of a condition, or another comparison."""
    found = [each for each in _inside(tree) if isinstance(each, ast.If | ast.While | ast.IfExp | ast.Assert)]
    if not found:
        return False
    node = chance.choice(found)
    if isinstance(node.test, ast.Compare) and chance.random() < 0.5:
        node.test.ops[0] = chance.choice((ast.Lt, ast.GtE, ast.Eq, ast.NotEq))()
    else:
        node.test = ast.UnaryOp(ast.Not(), node.test)
    return True


def argument(tree: ast.Module, chance: random.Random) -> bool:
    """A call gets another number."""
    calls = [each for each in _inside(tree) if isinstance(each, ast.Await) and isinstance(each.value, ast.Call)]
    found = [each.value for each in calls if isinstance(each.value, ast.Call) and each.value.args]
    found = [
        each for each in found if isinstance(each.func, ast.Name) and each.func.id in ("add", "strict", "very", "label", "check")
    ]
    if not found:
        return False
    call = chance.choice(found)
    call.args[0] = ast.BinOp(call.args[0], ast.Add(), ast.Constant(1))
    return True


def order(tree: ast.Module, chance: random.Random) -> bool:
    """Two statements change their places."""
    found = [body for body in _bodies(tree) if len(body) > 1]
    if not found:
        return False
    body = chance.choice(found)
    at = chance.randrange(len(body) - 1)
    body[at], body[at + 1] = body[at + 1], body[at]
    return True


def dropped(tree: ast.Module, chance: random.Random) -> bool:
    """A statement less."""
    body = chance.choice(_bodies(tree))
    del body[chance.randrange(len(body))]
    if not body:
        body.append(ast.Pass())
    return True


def inserted(tree: ast.Module, chance: random.Random) -> bool:
    """A statement more: a step, a wait, or another assignment to a variable."""
    function = chance.choice(_flows(tree))
    names = sorted({each.id for each in ast.walk(function) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)})
    texts = ["await add(5, 5)", "await label(5)", 'await sleep("90m")', "added = await add(1, 2)"]
    if names:
        texts += [f"{names[0]} = {names[0]}", f"{chance.choice(names)} = 3", f"{chance.choice(names)} = 4"]
    body = chance.choice([each for each in _bodies(tree) if set(each) & set(ast.walk(function))])
    body[chance.randrange(len(body) + 1) : 0] = ast.parse(chance.choice(texts)).body
    return True


def moved(tree: ast.Module, chance: random.Random) -> bool:
    """A statement goes somewhere else in its function."""
    function = chance.choice(_flows(tree))
    inside = set(ast.walk(function))
    bodies = [each for each in _bodies(tree) if set(each) & inside]
    source, target = chance.choice(bodies), chance.choice(bodies)
    if len(source) < 2:
        return False
    statement = source.pop(chance.randrange(len(source)))
    if any(target is getattr(inner, name, None) for inner in ast.walk(statement) for name in ("body", "orelse", "finalbody")):
        source.append(statement)
        return False
    target.insert(chance.randrange(len(target) + 1), statement)
    return True


def renamed(tree: ast.Module, chance: random.Random) -> bool:
    """A variable has another name in its whole function."""
    function = chance.choice(_flows(tree))
    names = {each.id for each in ast.walk(function) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    names |= {each.arg for each in function.args.args} if chance.random() < 0.1 else set()
    if not names:
        return False
    name = chance.choice(sorted(names))
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == name:
            node.id = f"{name}_new"
        if isinstance(node, ast.arg) and node.arg == name:
            node.arg = f"{name}_new"
    return True


def exchanged(tree: ast.Module, chance: random.Random) -> bool:
    """A name stands for another one at one place."""
    function = chance.choice(_flows(tree))
    stores = sorted({each.id for each in ast.walk(function) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)})
    loads = [each for each in ast.walk(function) if isinstance(each, ast.Name) and each.id in stores]
    if not loads:
        return False
    chance.choice(loads).id = chance.choice(stores)
    return True


def bound(tree: ast.Module, chance: random.Random) -> bool:
    """A loop goes over fewer items, or over one twice."""
    found = [each for each in _inside(tree) if isinstance(each, ast.For)]
    if not found:
        return False
    loop = chance.choice(found)
    part = ast.parse("x[1:]" if chance.random() < 0.5 else "x[:1] * 2", mode="eval").body
    for node in ast.walk(part):
        if isinstance(node, ast.Subscript):
            node.value = ast.Call(ast.Name("list", ast.Load()), [loop.iter], [])
    loop.iter = part
    return True


def wrapped(tree: ast.Module, chance: random.Random) -> bool:
    """A `finally`, a handler, a deadline, a condition or a loop around a statement."""
    body = chance.choice(_bodies(tree))
    at = chance.randrange(len(body))
    head = chance.choice(
        (
            "try: pass\nfinally:\n  await label(9)",
            "try: pass\nexcept Odd:\n  await label(8)",
            'async with timeout("5h"): pass',
            "async with saga(): pass",
            "if await add(1, 1): pass",
            "for again in range(2): pass",
        )
    )
    outer = ast.parse("async def f():\n" + indent(head, "  ")).body[0]
    assert isinstance(outer, ast.AsyncFunctionDef)
    around = outer.body[0]
    assert isinstance(around, ast.Try | ast.AsyncWith | ast.If | ast.For)
    around.body = [body[at]]
    body[at] = around
    return True


def unwrapped(tree: ast.Module, chance: random.Random) -> bool:
    """What stood in a block stands in its place."""
    found = [
        (body, at)
        for body in _bodies(tree)
        for at, each in enumerate(body)
        if isinstance(each, ast.Try | ast.AsyncWith | ast.If | ast.For | ast.While)
    ]
    if not found:
        return False
    body, at = chance.choice(found)
    block = body[at]
    assert isinstance(block, ast.Try | ast.AsyncWith | ast.If | ast.For | ast.While)
    body[at : at + 1] = block.body
    return True


def meaning(tree: ast.Module, chance: random.Random) -> bool:
    """A variable holds something else of the same type, or the same as another type."""
    found = [each for each in _inside(tree) if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)]
    if not found:
        return False
    node = chance.choice(found)
    others = [each.value for each in found if each is not node]
    if others and chance.random() < 0.6:
        node.value = chance.choice(others)
    else:
        node.value = ast.Call(ast.Name(chance.choice(("str", "bool", "repr")), ast.Load()), [node.value], [])
    return True


def timeouts(tree: ast.Module, chance: random.Random) -> bool:
    """A deadline or a pause is another one."""
    found = [
        each.args[0]
        for each in _inside(tree)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id in ("timeout", "sleep") and each.args
    ]
    found = [each for each in found if isinstance(each, ast.Constant)]
    if not found:
        return False
    node = chance.choice(found)
    assert isinstance(node, ast.Constant)
    node.value = f"{chance.randint(1, 300)}m"
    return True


CHANGES: tuple[Change, ...] = (
    constant,
    condition,
    argument,
    order,
    dropped,
    inserted,
    moved,
    renamed,
    exchanged,
    bound,
    wrapped,
    unwrapped,
    meaning,
    timeouts,
)
