"""Both type checkers, in strict mode, find every planted error and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = [HERE / "booking_typed.py", HERE / "planted_typed.py", HERE / "client_typed.py"]
Place = tuple[str, int]


def planted() -> set[Place]:
    return {
        (file.name, number)
        for file in FILES
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if line.endswith("# E")
    }


def run(*command: str, files: Iterable[Path], where: Path) -> str:
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, (ROOT, ROOT / "compiler", ROOT / "runtime")))}
    done = subprocess.run(
        [sys.executable, "-m", *command, *map(str, files)],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout


def test_enough_is_planted() -> None:
    assert len(planted()) >= 18


def test_mypy_strict(tmp_path: Path) -> None:
    copies = [shutil.copy(file, tmp_path) for file in FILES]  # elsewhere they would be modules of the tests' own package
    cache = f"--cache-dir={ROOT / '.mypy_cache' / 'typing'}"
    out = run("mypy", "--strict", "--config-file=", "--no-error-summary", cache, files=copies, where=tmp_path)
    found = {(Path(file).name, int(line)) for file, line in re.findall(r"^(\S+?):(\d+): error:", out, re.MULTILINE)}
    assert found == planted(), out


@pytest.mark.ci
def test_pyright_strict() -> None:
    out = run("pyright", "--outputjson", files=FILES, where=ROOT)
    found = {(Path(d["file"]).name, d["range"]["start"]["line"] + 1) for d in json.loads(out)["generalDiagnostics"]}
    assert found == planted(), out
