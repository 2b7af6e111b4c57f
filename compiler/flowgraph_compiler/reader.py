"""Modules to declarations: which steps, flows, events and stored classes there are, and what is wrong with how they are declared.

Objects in a module's namespace say what exists; the tree says how it is written. Both are joined by the first line of a function.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any, cast

from flowgraph import Event, Step, Subflow, Workflow, pure, step, subflow, workflow
from flowgraph_compiler import signatures, syntax
from flowgraph_compiler.declarations import Application, FlowDecl, SourceModule, StepDecl
from flowgraph_compiler.diagnostics import Diagnostic, Related
from flowgraph_compiler.places import Places
from flowgraph_compiler.reachable import classes_of, modules_of, shadowing_classes
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.spans import Span

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_DECORATORS = {id(workflow): "workflow", id(subflow): "subflow", id(pure): "pure", id(step): "step"}


def read(modules: Sequence[SourceModule], selected: Sequence[str] = ()) -> tuple[Application, list[Diagnostic]]:
    """Read the declarations of the modules given and of the user's own modules that they import names from.

    A declaration with a finding is left out where the rest of the compiler could not use it."""
    every = modules_of(modules)
    reading = _Reading([_Module(module) for module in every])
    classes = classes_of(every, (*reading.steps.values(), *reading.flows.values()))
    app = Application(
        modules=tuple(every),
        steps=reading.steps,
        workflows=reading.of("workflow"),
        subflows=reading.of("subflow"),
        pures=reading.of("pure"),
        events={name: cls for name, cls in classes.items() if issubclass(cls, Event)},
        classes=classes,
        selected=tuple(selected),
    )
    found = [*reading.found, *shadowing_classes(every)]
    return app, sorted(found, key=lambda found: (found.span.file, found.span.line, found.span.column))


class _Module:
    """A module's functions by their first line, and those whose shape is refused."""

    def __init__(self, source: SourceModule) -> None:
        self.source = source
        self.places = source.places
        self.functions = {_first_line(node): node for node in syntax.nodes(source.tree) if isinstance(node, FunctionNode)}
        misshapen = list(_shapes(source, self.places))
        self.found = [finding for _, finding in misshapen]
        self.refused = {node.name for node, finding in misshapen if finding.rule.code != "FG107"}

    def node(self, fn: FunctionType) -> FunctionNode | None:
        """The function's tree, or None when it is not in the source."""
        node = self.functions.get(fn.__code__.co_firstlineno)
        return node if node is not None and node.name == fn.__name__ else None


class _Reading:
    """The declarations found and the findings."""

    def __init__(self, modules: list[_Module]) -> None:
        self.steps: dict[str, StepDecl] = {}
        self.flows: dict[str, FlowDecl] = {}
        self.found = [finding for module in modules for finding in module.found]
        by_name = {module.source.name: module for module in modules}
        named = [
            (obj, by_name.get(obj.__module__, module), module) for module in modules for obj in _declared(module.source.module)
        ]
        own = [(obj, home) for obj, home, module in named if home is module]
        wrapped = [(obj, home) for obj, home, _ in named]  # `charge = step(services.charge)` stands in another module
        for obj, home in {id(obj): (obj, home) for obj, home in (*own, *wrapped)}.values():
            self._object(obj, home)

    def of(self, kind: str) -> dict[str, FlowDecl]:
        """The flows of one kind by name."""
        return {name: flow for name, flow in self.flows.items() if flow.kind == kind}

    def _object(self, obj: Any, module: _Module) -> None:
        fn = obj if isinstance(obj, FunctionType) else inspect.unwrap(obj.fn)
        node = module.node(fn) if isinstance(fn, FunctionType) else None
        if getattr(fn, "__name__", "") in module.refused:
            return
        if node is None:
            self._no_source(obj, module.places)
        else:
            self._declare(obj, fn, node, module)

    def _declare(self, obj: Any, fn: FunctionType, node: FunctionNode, module: _Module) -> None:
        kind, head, source = _kind(obj), module.places.head(node), module.source
        parameters, result, found = signatures.read(fn, node, module.places, kind, _owner(fn, source.module))
        self.found.extend(found)
        if isinstance(obj, Step):
            is_async = isinstance(node, ast.AsyncFunctionDef)
            decl = StepDecl(obj.name, tuple(obj.aliases), parameters, result, is_async, obj, head, source.name)
            self._add(self.steps, decl, kind)
            return
        if isinstance(obj, Workflow):
            self.found.extend(signatures.trigger(cast(Workflow[..., Any], obj), parameters, head))
        name = pure_name(fn) if kind == "pure" else obj.name
        self._add(self.flows, FlowDecl(name, kind, parameters, result, node, head, vars(source.module), obj, source.name), kind)

    def _add(self, table: dict[str, Any], decl: StepDecl | FlowDecl, kind: str) -> None:
        other = table.setdefault(decl.name, decl)
        if other is decl:
            return
        if other.span == decl.span:
            message = f"a copy of {kind} '{decl.name}' that '.with_(...)' made outside a workflow is not in the language"
            help_ = f"write it at the call: await {decl.name}.with_(retries=0)(...)"
            self.found.append(Diagnostic(RULES["FG100"], decl.span, message, help_))
            return
        message = f"{kind} '{decl.name}' has the name of another one, at {other.span}"
        help_ = "names are persisted and unique: rename one, or give it 'name='"
        self.found.append(Diagnostic(RULES["FG250"], decl.span, message, help_, (Related(other.span, "the other one"),)))

    def _no_source(self, obj: Any, places: Places) -> None:
        name = getattr(obj, "name", getattr(obj, "__name__", "?"))
        message = f"the source of {_kind(obj)} '{name}' is not available"
        help_ = "define it in a '.py' file, not by 'exec' or in a prompt"
        self.found.append(Diagnostic(RULES["FG101"], places.line(1), message, help_))


def _declared(module: ModuleType) -> Iterator[Any]:
    """Steps, flows and `@pure` functions that the module knows, in the order of the namespace."""
    for value in list(vars(module).values()):
        if isinstance(value, Step | Subflow | Workflow) or is_pure(value):
            yield value
        elif isinstance(value, type):
            getters = (member.fget for member in vars(value).values() if isinstance(member, property))
            yield from (getter for getter in getters if is_pure(getter))


def is_pure(obj: object) -> bool:
    """Whether something is a function with `@pure`."""
    return isinstance(obj, FunctionType) and hasattr(obj, "__flowgraph_pure__")


def pure_name(fn: FunctionType) -> str:
    """Return the name of a `@pure` function, or `Class.property`."""
    return ".".join(fn.__qualname__.split(".")[-2:]) if "<" not in fn.__qualname__ else fn.__name__


def _owner(fn: FunctionType, module: ModuleType) -> type | None:
    """The class that a property's function stands in."""
    found: object = module
    for name in fn.__qualname__.split(".")[:-1]:
        found = getattr(found, name, None)
    return found if isinstance(found, type) else None


def _kind(obj: object) -> str:
    for cls, kind in ((Step, "step"), (Subflow, "subflow"), (Workflow, "workflow")):
        if isinstance(obj, cls):
            return kind
    return "pure"


def _first_line(node: FunctionNode) -> int:
    return node.decorator_list[0].lineno if node.decorator_list else node.lineno


# --- how a declaration is written: FG102 - FG105, FG107


def _shapes(module: SourceModule, places: Places) -> Iterator[tuple[FunctionNode, Diagnostic]]:
    scope = vars(module.module)
    for node, inside in _functions(module.tree.body, None):
        kinds = [kind for decorator in node.decorator_list if (kind := _decorator(decorator, scope)) is not None]
        if kinds:
            yield from ((node, found) for found in _shape(node, kinds[0], inside, places.head(node)))


def _functions(body: Iterable[ast.stmt], inside: str | None) -> Iterator[tuple[FunctionNode, str | None]]:
    """All functions with the class or function that they stand in."""
    for statement in body:
        if isinstance(statement, FunctionNode):
            yield statement, inside
        within = statement.name if isinstance(statement, FunctionNode | ast.ClassDef) else inside
        yield from _functions(_children(statement), within)


def _children(statement: ast.stmt) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for node in syntax.children(statement):
        if isinstance(node, ast.stmt):
            found.append(node)
        elif isinstance(node, ast.ExceptHandler | ast.match_case):
            found.extend(node.body)
    return found


def _decorator(node: ast.expr, scope: dict[str, Any]) -> str | None:
    """Which of our decorators an expression is, by identity of the object that its name stands for in the module."""
    head = node.func if isinstance(node, ast.Call) else node
    match head:
        case ast.Name(id=name):
            return _DECORATORS.get(id(scope.get(name)))
        case ast.Attribute(value=ast.Name(id=name), attr=attr):
            return _DECORATORS.get(id(getattr(scope.get(name), attr, None)))
        case _:
            return None


def _is_property(node: FunctionNode) -> bool:
    """Whether `@pure` stands below `@property`, and nothing but pydantic's `@computed_field` above."""
    above = [ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list[:-1]]
    return above[-1:] == ["property"] and all(name.endswith("computed_field") for name in above[:-1])


def _shape(node: FunctionNode, kind: str, inside: str | None, span: Span) -> Iterator[Diagnostic]:
    is_flow = kind in ("workflow", "subflow")
    is_property = kind == "pure" and inside is not None and _is_property(node)
    if inside is not None and not is_property:
        code = "FG103" if kind == "step" else "FG102"
        yield Diagnostic(
            RULES[code], span, f"{kind} '{node.name}' stands inside '{inside}'", "move it to the top level of the module"
        )
    if kind != "step" and len(node.decorator_list) > 1 and not is_property:
        others = ", ".join(
            f"'@{ast.unparse(decorator)}'" for decorator in node.decorator_list if len(ast.unparse(decorator)) < 60
        )
        message = f"{kind} '{node.name}' has more than one decorator: {others}; another one would change what the compiler reads"
        yield Diagnostic(RULES["FG104"], span, message, "keep only flowgraph's decorator; wrap the steps instead")
    if is_flow and isinstance(node, ast.FunctionDef):
        yield Diagnostic(RULES["FG105"], span, f"{kind} '{node.name}' is a plain function", f"async def {node.name}(...)")
    if kind == "pure" and isinstance(node, ast.AsyncFunctionDef):
        message = f"an async '@pure' function, '{node.name}', is not in the language"
        yield Diagnostic(RULES["FG100"], span, message, f"def {node.name}(...), or make it a '@subflow'")
    if node.args.vararg or node.args.kwarg:
        stars = " and ".join(f"'{star}{arg.arg}'" for star, arg in (("*", node.args.vararg), ("**", node.args.kwarg)) if arg)
        yield Diagnostic(
            RULES["FG107"], span, f"{kind} '{node.name}' takes {stars}", "write the parameters out, or take one list"
        )
