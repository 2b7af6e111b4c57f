"""The pages' commands are typed in a folder of their own, with a real server where they start one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks, name_of, pages_with
from tests.docs.console import Shell, missing
from tests.docs.folder import files, write

pytestmark = pytest.mark.ci


@pytest.mark.parametrize("page", pages_with("console"), ids=name_of)
def test_commands_print_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    with Shell(tmp_path) as shell:
        for block in blocks(page):
            if "exempt" in block.options:
                continue
            if block.language == "console":
                if (program := missing(block)) is not None:
                    pytest.skip(f"needs {program}")
                shell.type(block)
            elif block.title is not None and block.language != "mermaid":
                write(block, tmp_path)


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_mypy_accepts_what_the_page_builds(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    last = {file: block for block, file in files(page, folder)}
    for file, block in last.items():
        if "wrong" in block.words:  # what the compiler refuses need not satisfy mypy
            file.unlink()
    cache = ROOT / ".mypy_cache" / "docs"
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={cache}", "--explicit-package-bases", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
