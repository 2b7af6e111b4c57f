"""`flowgraph check` and `flowgraph compile`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowgraph_compiler import report
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_runtime.cli.choosing import choice
from flowgraph_runtime.cli.compiling import (
    SomeTargets,
    Target,
    compile_or_stop,
    compile_targets,
    print_findings,
    summary,
    unusable,
)
from flowgraph_runtime.cli.console import Exit, Failure, show, tell, write_file
from flowgraph_runtime.cli.exploring import EXPLORE_HELP, MAX_STATES, explored
from flowgraph_runtime.cli.locking import live_run_findings, locked_findings, no_target

if TYPE_CHECKING:
    from flowgraph_compiler.pipeline import Compilation
    from flowgraph_runtime.cli.remembered import Checked


class CheckFormat(Enum):
    """How `check` prints its findings."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


def check(
    targets: SomeTargets = None,
    format: Annotated[
        CheckFormat,
        typer.Option(help="text for people, json: one list on stdout, github: annotations, sarif: a log for code scanning."),
    ] = CheckFormat.TEXT,
    select: Annotated[
        str | None, typer.Option(metavar="CODES", help="Show only these codes or prefixes, as in FG1,FG220.")
    ] = None,
    ignore: Annotated[str | None, typer.Option(metavar="CODES", help="Leave these warnings and notes out.")] = None,
    warnings_as_errors: Annotated[
        bool | None, typer.Option("--warnings-as-errors/--no-warnings-as-errors", help="Exit with 1 on warnings, too.")
    ] = None,
    stdin_filename: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take what stdin says for the content of this file, as editors do.")
    ] = None,
    cache: Annotated[
        bool | None, typer.Option("--cache/--no-cache", help="Use what the last check found if no file that it read has changed.")
    ] = None,
    locked: Annotated[
        bool, typer.Option("--locked", help="Also fail on what breaks runs of the machines in flowgraph.lock (FG400-406).")
    ] = False,
    explore: Annotated[bool, typer.Option("--explore", help=EXPLORE_HELP)] = False,
    max_states: Annotated[
        int, typer.Option(metavar="N", min=1, help="With --explore: stop after so many states of a workflow, and say so.")
    ] = MAX_STATES,
    against: Annotated[
        str | None, typer.Option(metavar="URL_OR_DB", help="The same for the live runs of a server or database; prints a plan.")
    ] = None,
) -> None:
    """Compile everything and print what is wrong with it.

    With --explore an invariant is a function marked with @invariant, or at_most_once(step), never_after(step, other) or
    always_compensated(step, by=other) of flowgraph.invariants, in a name of the workflow's module. stderr has a report of each
    workflow: states, invariants (holds, broken, unknown), worst wall time, attempts of each step.

    Exit code 0: clean (warnings allowed), 1: errors, 2: a target that cannot be used. What neither arguments nor options say
    is taken from FLOWGRAPH_SELECT, FLOWGRAPH_IGNORE and FLOWGRAPH_WARNINGS_AS_ERRORS, then from [tool.flowgraph] in
    pyproject.toml: targets, select, ignore, per_file_ignores, warnings_as_errors, cache.
    """
    from flowgraph_runtime.cli.settings import layered
    from flowgraph_runtime.settings import CheckSettings

    given = targets or ([str(stdin_filename)] if stdin_filename is not None else None)
    flags = {"select": select, "ignore": ignore, "warnings_as_errors": warnings_as_errors, "cache": cache}
    chosen = layered(CheckSettings, targets=given, **flags)
    if not chosen.targets:
        raise no_target()
    asked = choice(chosen)
    checked = _checked(chosen.targets, stdin_filename, chosen.cache, _Live(locked, against))
    more = explored(chosen.targets, format is CheckFormat.JSON, max_states) if explore else []
    found = asked.shown([*checked.diagnostics, *more])
    _print(found, format)
    tell(summary(found, checked.workflows))
    if asked.fails(found):
        raise SystemExit(Exit.FAILED)


@dataclass(frozen=True)
class _Live:
    """Which machines of runs that are under way the code is held against."""

    locked: bool
    against: str | None

    @property
    def asked(self) -> bool:
        return self.locked or self.against is not None

    def findings(self, compiled: Compilation) -> list[Diagnostic]:
        found = locked_findings(compiled) if self.locked else []
        return found + (live_run_findings(compiled, self.against) if self.against is not None else [])


def _checked(targets: Sequence[str], stdin_filename: Path | None, cache: bool, live: _Live) -> Checked:
    from flowgraph_compiler.source import TargetError
    from flowgraph_runtime.cli import remembered

    texts = {} if stdin_filename is None else {stdin_filename.resolve(): unsaved_text(sys.stdin.buffer.read())}

    def check_now() -> Checked:
        compiled = compile_targets(targets, texts)
        read = [*(module.file for module in compiled.application.modules), *(one.span.file for one in compiled.diagnostics)]
        files = frozenset(Path(file).resolve() for file in read if os.path.isfile(file))
        return remembered.Checked((*compiled.diagnostics, *live.findings(compiled)), len(compiled.machines), files)

    try:
        with _rare_collections():
            return check_now() if texts or live.asked or not cache else remembered.checked(targets, check_now)
    except TargetError as error:
        raise unusable(error) from error


@contextmanager
def _rare_collections() -> Generator[None]:
    """Compiling makes many trees that live to its end: looking for garbage among them costs a tenth of it and finds none."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def unsaved_text(content: bytes) -> str:
    """A file's content as text, by the encoding that it declares. Raises `Failure` (exit 2)."""
    from importlib.util import decode_source

    try:
        return decode_source(content)
    except (UnicodeDecodeError, SyntaxError) as error:
        raise Failure(f"stdin cannot be read as Python text: {error}", code=Exit.USAGE) from error


def _print(found: Sequence[Diagnostic], format: CheckFormat) -> None:
    match format:
        case CheckFormat.JSON:
            show(report.json_text(found))
        case CheckFormat.GITHUB:
            sys.stdout.write(report.github_text(found))
        case CheckFormat.SARIF:
            show(_sarif(found))
        case CheckFormat.TEXT if found:
            print_findings(found)
        case CheckFormat.TEXT:
            pass


def _sarif(found: Sequence[Diagnostic]) -> str:
    from importlib.metadata import version

    from flowgraph_compiler.sarif import sarif_text

    return sarif_text(found, version("flowgraph-engine"))


def compile_(
    target: Target,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="One file a workflow in this folder.")
    ] = None,
) -> None:
    """Print the machine of a workflow as JSON, or write those of all workflows to a folder."""
    from flowgraph_compiler.serialize import to_json

    machines = compile_or_stop([target]).machines
    if output is not None:
        for name, machine in machines.items():
            write_file(output / f"{name}.json", f"{to_json(machine)}\n".encode())
    elif len(machines) == 1:
        show(to_json(*machines.values()))
    else:
        raise several(target, machines)


def several(target: str, names: Collection[str]) -> Failure:
    """The failure for a command that prints one thing and has found several workflows."""
    listed = ", ".join(f"'{name}'" for name in names)
    return Failure(
        f"'{target}' has {len(names)} workflows: {listed}",
        f"name one ({target}:{next(iter(names))}) or give a folder with -o",
        Exit.USAGE,
    )
