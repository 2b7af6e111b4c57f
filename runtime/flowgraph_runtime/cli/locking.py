"""`flowgraph lock`, and what `flowgraph check --locked` and `--against` hold the code against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowgraph_runtime.cli.compiling import SomeTargets, compile_or_stop
from flowgraph_runtime.cli.console import Exit, Failure, tell, write_file

if TYPE_CHECKING:
    from flowgraph_compiler.diagnostics import Diagnostic
    from flowgraph_compiler.in_flight import Deployed
    from flowgraph_compiler.pipeline import Compilation
    from flowgraph_runtime.api.shapes import MachineOut
    from flowgraph_runtime.storage.deployed import LiveMachine

LOCK = Path("flowgraph.lock")


def lock(
    targets: SomeTargets = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where to write it.")] = LOCK,
) -> None:
    """Write flowgraph.lock: what the machines of all workflows need of the code.

    Commit the file with what you deploy. 'flowgraph check --locked' then fails on changes that would break runs that are
    under way: a step that is gone, a new parameter, another result, a field that is missing (FG400 to FG406).
    """
    from flowgraph_compiler.lockfile import lock_text
    from flowgraph_runtime.cli.settings import layered
    from flowgraph_runtime.settings import CheckSettings

    chosen = layered(CheckSettings, targets=targets or None)
    if not chosen.targets:
        raise no_target()
    machines = compile_or_stop(chosen.targets).machines
    write_file(output, lock_text(machines.values()).encode())


def no_target() -> Failure:
    """The failure (exit 2) for a command without a target."""
    help_ = 'give a .py file, a folder or a dotted module, or set targets = ["shop/"] in [tool.flowgraph]'
    return Failure("no target is given", help_, Exit.USAGE)


def locked_findings(compiled: Compilation, file: Path = LOCK) -> list[Diagnostic]:
    """FG400 to FG406 against the lock file; tells which machines are new. Raises `Failure` (exit 2) without a usable file."""
    from flowgraph_compiler.in_flight import live_findings

    deployed = _read(file)
    _tell_changes(compiled, deployed)
    return [found for one in deployed for found in live_findings(one, compiled.application)]


def live_run_findings(compiled: Compilation, where: str) -> list[Diagnostic]:
    """FG400 to FG406 against the live runs of a database or a server; tells what becomes of them. Raises `Failure`."""
    from flowgraph_runtime.deploy_plan import plan, plan_text

    live = _of_server(where) if where.startswith(("http://", "https://")) else _of_database(where)
    fates = plan(live, compiled.machines, compiled.application)
    tell(plan_text(fates))
    unreadable = [fate.machine for fate in fates if fate.outcome == "breaks" and not fate.findings]
    if unreadable:
        raise Failure(f"this version cannot read the machine {unreadable[0]}, which live runs are on", code=Exit.FAILED)
    return list(dict.fromkeys(found for fate in fates for found in fate.findings))


def _of_database(url: str) -> list[LiveMachine]:
    from flowgraph_runtime.storage import StorageError
    from flowgraph_runtime.storage.deployed import live_machines

    try:
        return live_machines(url)
    except (StorageError, ValueError) as error:
        help_ = "give sqlite:///path.db, postgresql://user@host/name or the address of a server"
        raise Failure(f"--against: {error}", help_, Exit.USAGE) from error


def _of_server(url: str) -> list[LiveMachine]:
    """By its API; the key is that of FLOWGRAPH_KEY or of pyproject.toml. A server that cannot be asked is wrong usage."""
    import os

    from flowgraph_runtime.cli.connection import connected

    try:
        with connected(url, os.environ.get("FLOWGRAPH_KEY")) as client:
            found = client.machines()
    except Failure as failure:
        raise Failure(f"--against: {failure}", failure.help, Exit.USAGE) from failure
    return [_live(one) for one in found]


def _live(told: MachineOut) -> LiveMachine:
    import json

    from pydantic import TypeAdapter

    from flowgraph_compiler.safe_points import Position
    from flowgraph_runtime.positions import Standing
    from flowgraph_runtime.storage.deployed import LiveMachine

    positions = TypeAdapter(Position | None)
    standings = tuple(Standing(positions.validate_python(one.position), one.runs, tuple(one.examples)) for one in told.standings)
    machine = json.dumps(told.machine)
    return LiveMachine(told.workflow, told.fingerprint, machine, told.runs, tuple(told.examples), standings)


def _read(file: Path) -> list[Deployed]:
    from flowgraph_compiler.lockfile import LockError, deployed_by

    try:
        return deployed_by(file.read_text(encoding="utf-8"), str(file))
    except FileNotFoundError as error:
        raise Failure(f"there is no '{file}'", "write it with 'flowgraph lock TARGET...'", Exit.USAGE) from error
    except (OSError, UnicodeDecodeError, LockError) as error:
        raise Failure(f"the lock file cannot be used: {error}", "write it anew with 'flowgraph lock'", Exit.USAGE) from error


def _tell_changes(compiled: Compilation, deployed: Sequence[Deployed]) -> None:
    from flowgraph_compiler.serialize import fingerprint

    locked = {one.workflow: one.fingerprint for one in deployed}
    changed = [name for name, machine in compiled.machines.items() if locked.get(name) != fingerprint(machine)]
    if changed:
        names = ", ".join(f"'{name}'" for name in sorted(changed))
        tell(f"other machines than in the lock file: {names}; 'flowgraph lock' writes it anew when you deploy")
