"""The diagrams of all examples at both levels, as they were looked at. `FLOWGRAPH_UPDATE_GOLDEN=1` rewrites them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from flowgraph_compiler.machine import Machine
from flowgraph_compiler.render import Style, diagram, dot, heading
from flowgraph_compiler.serialize import from_json

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parent / "golden"
LEVELS = ("graph", "machine")


COMPILE = """
import json, sys
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_compiler.serialize import to_json
compiled = compile_targets(sys.argv[1:])
assert not compiled.diagnostics, compiled.diagnostics
print(json.dumps([to_json(machine) for machine in compiled.machines.values()]))
"""


@cache
def machines() -> dict[str, Machine]:
    """All examples as one package, in a process of its own: other tests import them, too, by other names."""
    command = [sys.executable, "-c", COMPILE, "examples"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=EXAMPLES.parent).stdout
    found = [from_json(text) for text in json.loads(printed)]
    return {machine.workflow: machine for machine in found}


def drawn() -> dict[str, str]:
    """The DOT text of every workflow and level, by the name of its file."""
    return {
        f"{name}.{level}.dot": dot(diagram(machine, level), Style(heading=heading(machine), legend=level == "graph"))
        for name, machine in machines().items()
        for level in LEVELS
    }


def test_each_workflow_of_the_examples_has_its_diagrams() -> None:
    if os.environ.get("FLOWGRAPH_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        for file in GOLDEN.glob("*.dot"):
            file.unlink()
        for name, text in drawn().items():
            (GOLDEN / name).write_text(text, encoding="utf-8")
    assert {file.name for file in GOLDEN.glob("*.dot")} == drawn().keys()


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.dot")), ids=lambda file: file.stem)
def test_a_diagram_is_as_reviewed(file: Path) -> None:
    held = file.read_text(encoding="utf-8")
    assert drawn()[file.name] == held, f"{file.name} differs; FLOWGRAPH_UPDATE_GOLDEN=1 rewrites it, then review the difference"
