"""`flowgraph.lock`: for each workflow the fingerprint of its machine and what the machine needs of the code.

The same code gives the same bytes: names are sorted, each stands on a line of its own, so that a diff can be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from flowgraph_compiler.in_flight import Deployed, exceptions_of
from flowgraph_compiler.machine import Machine, Manifest, StepNeed
from flowgraph_compiler.serialize import fingerprint
from flowgraph_compiler.spans import Span

VERSION = 1
_OPTIONAL = " = ..."


class LockError(Exception):
    """A text that is no lock file; the message says where it is not."""


def lock_text(machines: Iterable[Machine]) -> str:
    """The content of the file."""
    workflows = {machine.workflow: _workflow(machine) for machine in sorted(machines, key=lambda one: one.workflow)}
    return json.dumps({"version": VERSION, "workflows": workflows}, indent=2, ensure_ascii=False) + "\n"


def _workflow(machine: Machine) -> dict[str, Any]:
    manifest = machine.manifest
    return {
        "fingerprint": fingerprint(machine),
        "steps": {need.name: _step(need) for need in sorted(manifest.steps, key=lambda need: need.name)},
        "events": {name: dict(fields) for name, fields in sorted(manifest.events)},
        "classes": {name: dict(fields) for name, fields in sorted(manifest.classes)},
        "exceptions": list(exceptions_of(machine)),
        "workflows": sorted(manifest.workflows),
    }


def _step(need: StepNeed) -> dict[str, Any]:
    parameters = {name: f"{tp}{_OPTIONAL if optional else ''}" for name, tp, optional in need.parameters}
    return {"parameters": parameters, "result": need.result}


def deployed_by(text: str, file: str) -> list[Deployed]:
    """The machines that a lock file tells of, with the lines that their names stand in. Raises `LockError`."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise LockError(f"'{file}' is no JSON: {error}") from None
    if not isinstance(document, dict) or cast("dict[str, Any]", document).get("version") != VERSION:
        raise LockError(f"'{file}' is no lock file of this version of flowgraph")
    try:
        return [_deployed(name, told, text, file) for name, told in cast("dict[str, Any]", document)["workflows"].items()]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise LockError(f"'{file}' is no lock file: {error}") from None


def _deployed(workflow: str, told: dict[str, Any], text: str, file: str) -> Deployed:
    steps = tuple(
        StepNeed(
            name,
            tuple((each, tp.removesuffix(_OPTIONAL), tp.endswith(_OPTIONAL)) for each, tp in step["parameters"].items()),
            step["result"],
        )
        for name, step in told["steps"].items()
    )
    manifest = Manifest(steps, _fields(told["events"]), _fields(told["classes"]), tuple(told["workflows"]))
    return Deployed(workflow, told["fingerprint"], manifest, tuple(told["exceptions"]), file, _places(workflow, text, file))


def _fields(told: dict[str, dict[str, str]]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    return tuple((name, tuple(fields.items())) for name, fields in told.items())


def _places(workflow: str, text: str, file: str) -> dict[str, Span]:
    """The lines in which the names of a workflow's entry stand, from its own line on."""
    lines = text.split("\n")
    entry = f"    {json.dumps(workflow, ensure_ascii=False)}: {{"
    first = lines.index(entry) if entry in lines else 0
    places = {"": _line(file, first, lines)}
    for number in range(first + 1, len(lines)):
        if lines[number].startswith("    }"):
            break
        name = lines[number].strip().rstrip(",").partition('": ')[0].strip('"')
        places.setdefault(name, _line(file, number, lines))
    return places


def _line(file: str, number: int, lines: list[str]) -> Span:
    text = lines[number]
    return Span(file, number + 1, len(text) - len(text.lstrip()) + 1, number + 1, len(text) + 1)
