"""What `reader` finds in the modules: steps, flows, events and stored classes, as frozen data that phases read.

Types are Python's own typing objects (`int`, `list[Payment]`, `Payment | None`); `types` knows how to compare and print them.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

from flowgraph import Event
from flowgraph_compiler import syntax
from flowgraph_compiler.places import Places
from flowgraph_compiler.spans import Span


@dataclass(frozen=True)
class Parameter:
    """One parameter: its type (None: missing annotation), whether it has a default and its value at import time."""

    name: str
    type: Any
    span: Span = field(compare=False)
    keyword_only: bool = False
    has_default: bool = False
    default: Any = None


@dataclass(frozen=True)
class StepDecl:
    """A `@step` function. `step` is the author's object (its options are `step.options`)."""

    name: str
    aliases: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    result: Any
    is_async: bool
    step: Any  # flowgraph.decorators.Step
    span: Span = field(compare=False)
    module: str = ""


@dataclass(frozen=True)
class FlowDecl:
    """A workflow, subflow or `@pure` function with its parsed body.

    `scope` is the module's namespace in which names of the body resolve; `file_text` is the whole source file (for spans)."""

    name: str
    kind: str  # "workflow", "subflow" or "pure"
    parameters: tuple[Parameter, ...]
    result: Any
    tree: ast.AsyncFunctionDef | ast.FunctionDef = field(compare=False)
    span: Span = field(compare=False)
    scope: Mapping[str, Any] = field(compare=False, repr=False, default_factory=dict[str, Any])
    target: Any = None  # flowgraph.decorators.Workflow / Subflow, or the plain function for pure
    module: str = ""


@dataclass(frozen=True)
class SourceModule:
    """An imported module with its source text and tree."""

    name: str
    file: str
    text: str = field(repr=False)
    tree: ast.Module = field(compare=False, repr=False)
    module: ModuleType = field(compare=False, repr=False)

    @cached_property
    def places(self) -> Places:
        """The spans of the nodes of its tree."""
        return Places(self.file, self.text)

    @cached_property
    def functions(self) -> dict[int, ast.FunctionDef | ast.AsyncFunctionDef]:
        """Its functions by the line of their `def`."""
        return {node.lineno: node for node in syntax.nodes(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@dataclass(frozen=True)
class Application:
    """Everything declared in the modules given (and in those of the user's own modules that they import names from)."""

    modules: tuple[SourceModule, ...]
    steps: dict[str, StepDecl]
    workflows: dict[str, FlowDecl]
    subflows: dict[str, FlowDecl]
    pures: dict[str, FlowDecl]
    events: dict[str, type[Event]]  # by class name; the wire name is `cls.event_name`
    classes: dict[str, type]  # every storable class by bare name: models, dataclasses, enums, named tuples, exceptions
    selected: tuple[str, ...] = ()  # the workflows that the targets name, all when empty


def declared(obj: object, app: Application) -> StepDecl | FlowDecl | None:
    """The declaration behind an object found in a namespace, or None."""
    for table in (app.steps, app.workflows, app.subflows, app.pures):
        for decl in table.values():
            if (decl.step if isinstance(decl, StepDecl) else decl.target) is obj:
                return decl
    return None
