"""Where in the user's source something is: the line of a step's call, and the line that raised an error."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowgraph_compiler.machine import Machine, NodeInfo
from flowgraph_runtime.registry import Registry

_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+), in (?P<name>.+)\n(?:    (?P<text>.*)\n)?', re.MULTILINE)
_FOREIGN = ("/site-packages/", "/dist-packages/", "/lib/python", "<frozen ")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of source. `text` is None when it is not known as it was."""

    file: str
    line: int
    text: str | None = None

    @property
    def label(self) -> str:
        """`file.py:line`, the file below the current directory if it is there."""
        return f"{_short(self.file)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Raised:
    """Where an error was raised: the innermost line of the user's own code, and the whole traceback."""

    place: Place | None
    traceback: str


def raised(error: str | None) -> Raised | None:
    """Return where a stored error was raised, from the traceback that was stored with it; None when it has none."""
    tree: Any = json.loads(error) if error else None
    text = tree.get("traceback") if isinstance(tree, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(text, str) or not text:
        return None
    frames = [Place(found["file"], int(found["line"]), found["text"]) for found in _FRAME.finditer(text)]
    own = [place for place in frames if not any(part in place.file for part in _FOREIGN)]
    places = own or frames
    return Raised(places[-1] if places else None, text)


def called(registry: Registry, machine: Machine, node: NodeInfo) -> Place:
    """Return the line of a node in the workflow or subflow that holds it. Its text is that which was compiled, so it is
    only given while the machine is the deployed one."""
    application = registry.application
    declared = application.workflows.get(node.function) or application.subflows.get(node.function)
    file = declared.span.file if declared is not None else machine.file
    current = registry.machines.get(registry.current.get(machine.workflow, "")) is machine
    return Place(file, node.line, _line(registry, file, node.line) if current else None)


def _line(registry: Registry, file: str, line: int) -> str | None:
    text = next((module.text for module in registry.application.modules if module.file == file), "")
    lines = text.splitlines()
    return lines[line - 1].strip() if 0 < line <= len(lines) else None


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else file
