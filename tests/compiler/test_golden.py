"""Golden texts of graph and machine: the source above, the forms below. `FLOWGRAPH_UPDATE_GOLDEN=1` rewrites them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.pretty import pretty
from flowgraph_compiler.source import from_text

FILES = sorted((Path(__file__).parent / "golden").glob("*.txt"))
RULER = "-" * 60 + "\n"


def text_of(source: str, name: str) -> str:
    """What the file has to hold."""
    compilation = compile_application([from_text(source, f"golden_{name}")])
    assert compilation.ok, compilation.diagnostics
    (graph,), (machine,) = compilation.graphs.values(), compilation.machines.values()
    return RULER.join([source, pretty(graph), pretty(machine)])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_forms_are_as_reviewed(file: Path) -> None:
    held = file.read_text(encoding="utf-8")
    found = text_of(held.partition(RULER)[0], file.stem)
    if os.environ.get("FLOWGRAPH_UPDATE_GOLDEN"):
        file.write_text(found, encoding="utf-8")
        return
    assert found == held, f"{file.name} differs; FLOWGRAPH_UPDATE_GOLDEN=1 rewrites it, then review the difference"


def test_there_are_golden_texts() -> None:
    assert len(FILES) >= 8
