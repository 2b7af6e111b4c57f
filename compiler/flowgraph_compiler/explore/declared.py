"""The invariants that modules declare, with their places."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from flowgraph.invariants import Invariant
from flowgraph_compiler.declarations import SourceModule
from flowgraph_compiler.spans import Span


@dataclass(frozen=True)
class Declared:
    """An invariant in a module-level name."""

    name: str
    predicate: Invariant
    span: Span


def declared_in(module: SourceModule) -> list[Declared]:
    """The invariants of a module in the order of its lines."""
    found = list[Declared]()
    for name, line in _names(module.tree):
        value = vars(module.module).get(name)
        if callable(value) and getattr(value, "__flowgraph_invariant__", False):
            found.append(Declared(name, cast(Invariant, value), module.places.line(line)))
    return found


def _names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name):
                yield name, node.lineno
            case ast.Assign(targets=targets):
                yield from ((target.id, node.lineno) for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node.lineno
            case _:
                pass
