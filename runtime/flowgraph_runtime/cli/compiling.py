"""Targets to a compilation, with what went wrong on the terminal: the beginning of most commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from flowgraph_compiler import report
from flowgraph_compiler.diagnostics import Diagnostic, Level, has_errors
from flowgraph_runtime.cli.console import Exit, Failure, messages, stdout_to_stderr, tell

if TYPE_CHECKING:
    from flowgraph_compiler.pipeline import Compilation
    from flowgraph_compiler.source import TargetError

TARGET_HELP = "A .py file, a folder or a dotted module, each optionally followed by :workflow."

Target = Annotated[str, typer.Argument(metavar="TARGET", help=TARGET_HELP)]
Targets = Annotated[list[str], typer.Argument(metavar="TARGET...", help=TARGET_HELP)]
SomeTargets = Annotated[
    list[str] | None, typer.Argument(metavar="[TARGET]...", help=f"{TARGET_HELP} None: those of [tool.flowgraph].")
]


def compile_targets(targets: Sequence[str], texts: Mapping[Path, str] = MappingProxyType({})) -> Compilation:
    """Load and compile; the diagnostics are in the result. `texts` stand in for files.

    Raises `Failure` (exit 2) for a target that cannot be used."""
    from flowgraph_compiler import pipeline
    from flowgraph_compiler.source import TargetError

    try:
        with stdout_to_stderr():
            return pipeline.compile_targets(targets, texts)
    except TargetError as error:
        raise unusable(error) from error


def unusable(error: TargetError) -> Failure:
    """The failure (exit 2) for a target that cannot be used."""
    return Failure(str(error), "give a .py file, a folder or a dotted module", Exit.USAGE)


def compile_or_stop(targets: Sequence[str], code: Exit = Exit.FAILED) -> Compilation:
    """Compile and print the findings to stderr. Raises `SystemExit` with the code when there are errors."""
    compiled = compile_targets(targets)
    worth_it = [found for found in compiled.diagnostics if found.severity is not Level.NOTE]
    if worth_it:
        print_findings(worth_it)
    if has_errors(compiled.diagnostics):
        tell(summary(compiled.diagnostics, len(compiled.machines)))
        raise SystemExit(code)
    if not compiled.machines:
        raise Failure(f"no workflow in {' '.join(targets)}", "decorate an 'async def' with @workflow", Exit.USAGE)
    return compiled


def print_findings(diagnostics: Sequence[Diagnostic]) -> None:
    """Write the findings to stderr, in colour where stderr is a terminal."""
    console = messages()
    console.file.write(report.text(diagnostics, colour=console.is_terminal and not console.no_color))
    console.file.flush()


def summary(diagnostics: Sequence[Diagnostic], workflows: int) -> str:
    """One line: how many errors, warnings and notes, and how many workflows have a machine."""
    return f"{report.summary(diagnostics)}; {workflows} workflow{'' if workflows == 1 else 's'} compiled"
