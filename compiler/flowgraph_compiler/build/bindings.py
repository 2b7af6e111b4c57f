"""Which names a function binds, and where: Python's rule that a name bound anywhere in a function is local in all of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from flowgraph_compiler import syntax
from flowgraph_compiler.places import Located

MAX_DEPTH = 100
"""Levels of nested statements and expressions in one function."""

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def bindings(tree: FunctionNode, *, whole: bool = True) -> dict[str, list[Located]]:
    """Parameters (first) and every other name that the function binds, with the places; not those of comprehensions.

    `whole=False`: the parameters only, of a function that is `too_deep`."""
    found: dict[str, list[Located]] = {}
    arguments = tree.args
    starred = [arg for arg in (arguments.vararg, arguments.kwarg) if arg is not None]  # refused, and bound all the same
    for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred):
        found.setdefault(arg.arg, []).append(arg)
    if whole:
        for statement in tree.body:
            for name, node in _bound(statement):
                found.setdefault(name, []).append(node)
    return found


def rebound(nodes: list[ast.expr]) -> set[str]:
    """The names that `:=` rebinds inside expressions."""
    walruses = (inner for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
    return {walrus.target.id for walrus in walruses}


def targets(target: ast.expr) -> Iterator[ast.Name]:
    """The names that an assignment target binds."""
    match target:
        case ast.Name():
            yield target
        case ast.Tuple(elts=items) | ast.List(elts=items):
            for item in items:
                yield from targets(item)
        case ast.Starred(value=value):
            yield from targets(value)
        case _:
            pass


def too_deep(tree: ast.AST) -> ast.expr | ast.stmt | None:
    """The first node that is nested deeper than any person writes, or None; the phases walk trees by recursion."""
    waiting: list[tuple[ast.AST, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH and isinstance(node, ast.expr | ast.stmt):
            return node
        depth += 1
        waiting.extend([(inner, depth) for inner in syntax.children(node)])
    return None


def _bound(node: ast.AST) -> Iterator[tuple[str, Located]]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name, node
            return
        case ast.ExceptHandler(name=str(name)):
            yield name, node
        case ast.Lambda():
            return
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from _in_comprehension(node)
            return
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name, node
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name, node
        case ast.alias():
            yield (node.asname or node.name.partition(".")[0]), node
        case _:
            pass
    for inner in syntax.children(node):
        yield from _bound(inner)


def _in_comprehension(node: ast.AST) -> Iterator[tuple[str, Located]]:
    """Only `:=` binds a name of the function from inside a comprehension."""
    for inner in syntax.nodes(node):
        if isinstance(inner, ast.NamedExpr):
            yield inner.target.id, inner.target
