"""`flowgraph check` and `flowgraph compile`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from flowgraph_compiler import report
from flowgraph_compiler.diagnostics import Diagnostic, Level, has_errors
from flowgraph_compiler.rulebook import RULES
from flowgraph_runtime.cli.compiling import Target, Targets, compile_or_stop, compile_targets, print_findings, summary
from flowgraph_runtime.cli.console import Exit, Failure, show, tell, write_file


class CheckFormat(Enum):
    """How `check` prints its findings."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def check(
    targets: Targets,
    format: Annotated[
        CheckFormat, typer.Option(help="text for people, json: one list on stdout, github: annotations.")
    ] = CheckFormat.TEXT,
    select: Annotated[
        str | None, typer.Option(metavar="CODES", help="Show only these codes or prefixes, as in FG1,FG220.")
    ] = None,
    ignore: Annotated[str | None, typer.Option(metavar="CODES", help="Leave these warnings and notes out.")] = None,
    warnings_as_errors: Annotated[
        bool | None, typer.Option("--warnings-as-errors/--no-warnings-as-errors", help="Exit with 1 on warnings, too.")
    ] = None,
) -> None:
    """Compile everything and print what is wrong with it.

    Exit code 0: clean (warnings allowed), 1: errors, 2: a target that cannot be used. What no option says is taken from
    FLOWGRAPH_SELECT, FLOWGRAPH_IGNORE and FLOWGRAPH_WARNINGS_AS_ERRORS, then from [tool.flowgraph] in pyproject.toml.
    """
    from flowgraph_runtime.cli.settings import layered
    from flowgraph_runtime.settings import CheckSettings

    chosen = layered(CheckSettings, select=select, ignore=ignore, warnings_as_errors=warnings_as_errors)
    codes = _codes(chosen.select), _codes(chosen.ignore)
    compiled = compile_targets(targets)
    found = filtered(compiled.diagnostics, codes[0], codes[1])
    if format is CheckFormat.JSON:
        show(report.json_text(found))
    elif format is CheckFormat.GITHUB:
        sys.stdout.write(report.github_text(found))
    elif found:
        print_findings(found)
    tell(summary(found, len(compiled.machines)))
    if has_errors(found) or (chosen.warnings_as_errors and any(one.severity is Level.WARNING for one in found)):
        raise SystemExit(Exit.FAILED)


def filtered(diagnostics: Sequence[Diagnostic], select: Sequence[str], ignore: Sequence[str]) -> list[Diagnostic]:
    """The findings that are asked for; errors cannot be ignored, because nothing runs with them."""
    return [
        found
        for found in diagnostics
        if (not select or found.rule.code.startswith(tuple(select)))
        and (found.severity is Level.ERROR or not ignore or not found.rule.code.startswith(tuple(ignore)))
    ]


def _codes(given: str | Sequence[str]) -> list[str]:
    codes = [code.strip().upper() for code in (given.split(",") if isinstance(given, str) else given) if code.strip()]
    for code in codes:
        if not any(known.startswith(code) for known in RULES):
            raise Failure(f"no rule has the code '{code}'", "'flowgraph rules' lists them", Exit.USAGE)
    return codes


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
