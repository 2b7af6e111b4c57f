"""`flowgraph init`: a small project to begin with."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from flowgraph_runtime.cli.console import Exit, Failure, tell, write_file

FILES = {
    "pyproject.toml": "pyproject.toml",
    "orders.py": "orders.py",
    "tests/test_orders.py": "test_orders.py",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".github/workflows/check.yml": "check.yml",
}
"""Where each file of the project goes, and its template in the package (`.txt`, so that no tool takes it for our own code)."""


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="A folder, made if need be.", show_default=".")] = Path(),
) -> None:
    """Write a starter project: a workflow, its tests, and a CI job that checks both.

    Nothing is overwritten: exit code 2 when one of the files is there already.
    """
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise Failure(f"'{folder}' has {', '.join(there)} already", "give a folder without them: nothing was written", Exit.USAGE)
    name = project_name(folder)
    for place, template in FILES.items():
        text = (files("flowgraph_runtime.cli") / "starter" / f"{template}.txt").read_text(encoding="utf-8")
        write_file(folder / place, text.replace("{{name}}", name).encode())
    tell("next:")
    for command in (*([] if folder.resolve() == Path.cwd() else [f"cd {folder}"]), "pytest", "flowgraph dev orders.py"):
        tell(f"  {command}")


def project_name(folder: Path) -> str:
    """The name of a Python project for a folder: letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "workflows"
