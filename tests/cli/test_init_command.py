"""`flowgraph init`: the project that it writes passes its own checks and tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from flowgraph_runtime.cli.starting import FILES
from tests.cli.program import Ended, Program


def within(program: Program, folder: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "FLOWGRAPH"))}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=program.folder / folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def made(program: Program) -> Ended:
    return program("init", "Corner Shop")


def test_it_names_what_it_wrote_and_what_comes_next(program: Program, made: Ended) -> None:
    assert (made.code, made.stdout) == (0, "")
    folder = program.folder / "Corner Shop"
    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == set(FILES)
    assert all(f"wrote Corner Shop/{name}" in made.stderr for name in FILES)
    assert made.stderr.endswith("next:\n  cd Corner Shop\n  pytest\n  flowgraph dev orders.py\n")
    assert 'name = "corner-shop"' in (folder / "pyproject.toml").read_text()
    assert "{{" not in "".join(file.read_text() for file in folder.rglob("*") if file.is_file())


@pytest.mark.ci
def test_the_project_passes_its_check_and_its_tests(program: Program, made: Ended) -> None:
    checked = within(program, "Corner Shop", "flowgraph_runtime.cli", "check", "orders.py", "--warnings-as-errors")
    assert (checked.returncode, checked.stderr) == (0, "no findings; 1 workflow compiled\n")
    tested = within(program, "Corner Shop", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "3 passed" in tested.stdout


@pytest.mark.ci
def test_the_project_is_typed_and_formatted(program: Program, made: Ended) -> None:
    for command in (("mypy", "--strict", "orders.py", "tests"), ("ruff", "check", "."), ("ruff", "format", "--check", ".")):
        done = within(program, "Corner Shop", *command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_overwritten(program: Program) -> None:
    program.write("README.md", "mine")
    done = program("init")
    assert done.code == 2
    assert "has README.md already" in done.stderr
    assert [file.name for file in program.folder.iterdir()] == ["README.md"]
    assert (program.folder / "README.md").read_text() == "mine"
