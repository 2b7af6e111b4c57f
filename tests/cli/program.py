"""Calls the program `flowgraph` in this process: what it printed, and its exit code."""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowgraph_runtime.cli import call


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


class Program:
    """`program("check", "shop.py")` runs a command in a folder of its own."""

    def __init__(self, folder: Path, output: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._output = output

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def __call__(self, *arguments: Any) -> Ended:
        self._output.readouterr()
        made_of_text = self._hidden()
        paths, modules, here = list(sys.path), set(sys.modules), Path.cwd()
        os.chdir(self.folder)
        linecache.clearcache()  # the names in it are of another test's folder
        try:
            code = call([str(argument) for argument in arguments])
        finally:
            os.chdir(here)
            sys.path[:] = paths
            for name in set(sys.modules) - modules:  # the user's modules; the next test has others of the same names
                if str(self.folder) in str(getattr(sys.modules[name], "__file__", "")):
                    del sys.modules[name]
            sys.modules.update(made_of_text)
        output = self._output.readouterr()
        return Ended(code, output.out, output.err)

    def _hidden(self) -> dict[str, ModuleType]:
        """Take away the modules that another test has made of a text under the name of one of the folder's files."""
        files = {name: str(getattr(module, "__file__", None) or os.sep) for name, module in sys.modules.items()}
        made_of_text = {name for name, file in files.items() if not os.path.isabs(file) and (self.folder / file).is_file()}
        return {name: sys.modules.pop(name) for name in made_of_text}
