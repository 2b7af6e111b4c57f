"""Where a declaration's parts stand in the source: the decorator, an option in it, a class."""

from __future__ import annotations

import ast

from flowgraph_compiler.declarations import Application, FlowDecl, SourceModule, StepDecl
from flowgraph_compiler.places import Places
from flowgraph_compiler.spans import NOWHERE, Span

Function = ast.FunctionDef | ast.AsyncFunctionDef


def decorator(decl: StepDecl | FlowDecl, app: Application) -> Span:
    """The first decorator of a declaration, its `def` line where there is none to be found."""
    found = function(decl, app)
    if found is None or not found[1].decorator_list:
        return decl.span
    return found[0].span(found[1].decorator_list[0])


def option(decl: StepDecl | FlowDecl, name: str, app: Application) -> Span:
    """The value of an option as it is written in the decorator; the decorator where it is not written out."""
    found = function(decl, app)
    for node in found[1].decorator_list if found is not None else ():
        for keyword in node.keywords if isinstance(node, ast.Call) else ():
            if keyword.arg == name and found is not None:
                return found[0].span(keyword.value)
    return decorator(decl, app)


def option_node(decl: StepDecl | FlowDecl, name: str, app: Application) -> tuple[Places, ast.expr] | None:
    """The expression of an option with the places of its file."""
    found = function(decl, app)
    for node in found[1].decorator_list if found is not None else ():
        for keyword in node.keywords if isinstance(node, ast.Call) else ():
            if keyword.arg == name and found is not None:
                return found[0], keyword.value
    return None


def class_line(cls: type, app: Application) -> Span:
    """The `class` line of a class of the modules."""
    for module in app.modules:
        if module.name == cls.__module__:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                    start = module.places.span(node)
                    return Span(start.file, start.line, start.column, start.line, start.column + len(f"class {node.name}"))
    return NOWHERE


def is_in(cls: type, module: SourceModule) -> bool:
    """Whether a class was made by a module."""
    return cls.__module__ == module.name


def function(decl: StepDecl | FlowDecl, app: Application) -> tuple[Places, Function] | None:
    """The tree of a declaration with the places of its file, None where there is no source."""
    for module in app.modules:
        if module.name == decl.module and decl.span.line in module.functions:
            return module.places, module.functions[decl.span.line]
    return None
