"""The main path: modules -> declarations -> graphs -> checks -> machines. One line a phase.

Findings are collected, never raised; a workflow with an error does not enter the next phase, the others go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from flowgraph_compiler.build import build, subflow_findings
from flowgraph_compiler.checks import check, check_declarations, check_together
from flowgraph_compiler.declarations import Application, SourceModule
from flowgraph_compiler.diagnostics import Diagnostic, has_errors
from flowgraph_compiler.graph import WorkflowGraph
from flowgraph_compiler.infer import flows_of, infer
from flowgraph_compiler.lower import NotLowerable, lower
from flowgraph_compiler.machine import Machine
from flowgraph_compiler.reader import read
from flowgraph_compiler.rulebook import RULES
from flowgraph_compiler.source import load
from flowgraph_compiler.split import split
from flowgraph_compiler.suppress import apply
from flowgraph_compiler.unsaved import Texts


@dataclass(frozen=True)
class Compilation:
    """What came out: graphs and machines by workflow name, missing where errors stopped them, and all findings by place."""

    application: Application
    graphs: dict[str, WorkflowGraph]
    machines: dict[str, Machine]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error, so that every workflow has its machine."""
        return not has_errors(self.diagnostics)


def compile_targets(targets: Sequence[str], texts: Texts = MappingProxyType({})) -> Compilation:
    """Load and compile the targets of a command line; `texts` stand in for files.

    Raises `source.TargetError` for what cannot be found or imported."""
    loaded = load(targets, texts)
    return compile_application(loaded.modules, loaded.selected, loaded.diagnostics)


def compile_application(
    modules: Sequence[SourceModule], selected: Sequence[str] = (), found: Iterable[Diagnostic] = ()
) -> Compilation:
    """Compile every workflow of the modules, or the selected ones. `found`: what was wrong before, in modules left out."""
    app, misread = read(modules, selected)
    misdeclared = [*misread, *check_declarations(app)]
    diagnostics = [*found, *misdeclared]
    graphs: dict[str, WorkflowGraph] = {}
    machines: dict[str, Machine] = {}
    for name in selected or app.workflows:
        if name in app.workflows:
            diagnostics += _compile(name, app, graphs, machines, misdeclared)
    if not selected:
        diagnostics += subflow_findings(app, {function.name for graph in graphs.values() for function in graph.functions})
    diagnostics += check_together(graphs, app)
    return Compilation(app, graphs, machines, _settled(diagnostics, app))


def _compile(
    name: str, app: Application, graphs: dict[str, WorkflowGraph], machines: dict[str, Machine], misdeclared: list[Diagnostic]
) -> list[Diagnostic]:
    """One workflow through the phases. Wrong options and defaults stop it before `lower`, which takes them as they are."""
    built, found = build(app, name)
    if built is None or has_errors(found):
        return found
    inferred, mistyped = infer(built, app)
    flows = flows_of(inferred, app)
    graphs[name] = graph = split(inferred, flows)
    found = [*found, *mistyped, *check(graph, app, flows)]
    if not has_errors([*found, *misdeclared]):
        try:
            machines[name] = lower(graph, app)
        except NotLowerable as refused:
            found.append(Diagnostic(RULES["FG100"], refused.span, refused.message, refused.help, workflow=name))
    return found


def _settled(diagnostics: Iterable[Diagnostic], app: Application) -> tuple[Diagnostic, ...]:
    """The findings by place, each once (workflows share subflows), without those that a comment allows."""
    once = {(found.rule.code, found.span, found.message): found for found in diagnostics}
    kept = apply(list(once.values()), app.modules, complete=not app.selected and not has_errors(once.values()))
    return tuple(sorted(kept, key=lambda found: (found.span, found.rule.code)))
