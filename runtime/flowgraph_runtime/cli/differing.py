"""`flowgraph diff`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowgraph_runtime.cli.compiling import compile_or_stop, print_findings
from flowgraph_runtime.cli.console import Exit, Failure, show, tell, write_file
from flowgraph_runtime.cli.rendering import DiagramFormat, Theme, format_of, written

if TYPE_CHECKING:
    from flowgraph_compiler.declarations import Application
    from flowgraph_compiler.machine import Machine

_SIDE = "A machine's .json file, a folder of them ('flowgraph compile -o'), or a target as for 'check'."
Old = Annotated[str, typer.Argument(metavar="OLD", help=_SIDE)]
New = Annotated[str, typer.Argument(metavar="NEW", help=_SIDE)]


@dataclass(frozen=True)
class _Side:
    """The machines of one side by workflow, and the code when they were compiled from it."""

    machines: Mapping[str, Machine]
    app: Application | None = None


def diff(
    old: Old,
    new: New,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Draw it, too: .svg, .png, .pdf, .dot or .mmd; a folder for several."
        ),
    ] = None,
    theme: Annotated[Theme, typer.Option(help="Colours for a light or a dark page.")] = Theme.LIGHT,
) -> None:
    """Say in words what changed between two machines, and what it means for runs of the old one.

    With -o a diagram has what is added in green, what is removed in red and what changed in yellow.

    Where NEW is a target, the code is also held against what runs of OLD need (FG400 to FG406). Exit code 0: nothing breaks,
    1: runs of the old machines would break, 2: one of the two cannot be used.
    """
    before, after = _side(old), _side(new)
    for name in sorted({*before.machines, *after.machines}):
        _show(name, before.machines.get(name), after.machines.get(name))
    if output is not None:
        _draw(before, after, output, theme)
    if after.app is not None and _broken(before, after.app):
        raise SystemExit(Exit.FAILED)


def _side(given: str) -> _Side:
    path = Path(given)
    files = [path] if path.suffix == ".json" else sorted(path.glob("*.json")) if path.is_dir() else []
    if files:
        found = [_read(file) for file in files]
        return _Side({machine.workflow: machine for machine in found})
    compiled = compile_or_stop([given], Exit.USAGE)
    return _Side(compiled.machines, compiled.application)


def _read(file: Path) -> Machine:
    from flowgraph_compiler.serialize import MachineError, from_json

    try:
        return from_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, MachineError) as error:
        raise Failure(f"'{file}' is no machine: {error}", "write one with 'flowgraph compile TARGET'", Exit.USAGE) from error


def _show(name: str, old: Machine | None, new: Machine | None) -> None:
    from flowgraph_compiler.differences import differences, moves

    if old is None or new is None:
        show(f"{name}: {'new' if old is None else 'gone; its runs end on their own machine'}")
        return
    changes = differences(old, new)
    show(f"{name}: {_verdict(changes, moves(old, new))}")
    for change in changes:
        show(f"  {change}")


def _draw(before: _Side, after: _Side, output: Path, theme: Theme) -> None:
    """Each workflow that is not the same on both sides; one of them into a file, several into a folder."""
    from flowgraph_compiler.render import DARK, LIGHT, Style, compared
    from flowgraph_compiler.serialize import fingerprint

    pairs = {name: (before.machines.get(name), after.machines.get(name)) for name in {**before.machines, **after.machines}}
    differ = {name: both for name, both in pairs.items() if len({None if one is None else fingerprint(one) for one in both}) > 1}
    if not differ:
        tell("nothing is drawn: the machines are the same")
    into_folder = len(differ) > 1 or not output.suffix or output.is_dir()
    if into_folder and output.suffix and not output.is_dir():
        raise Failure(f"'{output}' is one file for {len(differ)} workflows", "give a folder with -o", Exit.USAGE)
    format = DiagramFormat.SVG if into_folder else format_of(output)
    for name, both in differ.items():
        style = Style(DARK if theme is Theme.DARK else LIGHT, (f"{name}: what changed",))
        file = output / f"{name}.{format.value}" if into_folder else output
        write_file(file, written(compared(*both), format, style))


def _verdict(changes: list[str], moves: bool) -> str:
    if not changes:
        return "the same machine"
    return "the same states, so runs could move" if moves else "runs that are under way stay on the old machine"


def _broken(before: _Side, app: Application) -> bool:
    """Print what runs of the old machines would miss."""
    from flowgraph_compiler.in_flight import deployed_as, live_findings

    found = [one for machine in before.machines.values() for one in live_findings(deployed_as(machine, "OLD"), app)]
    print_findings(found)
    return bool(found)
