"""Other Python versions, each with an environment of its own that has the package: `.venv-3.12`, `.venv-3.13`.

python -m tests.differential.pythons        # makes the environments and says which versions are missing

`FLOWGRAPH_PYTHONS` names interpreters, separated as on the PATH; others are looked for on the PATH, with `pyenv` and with `uv`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
OTHERS = ("3.12", "3.13")


class Missing(Exception):
    """No usable interpreter of a version, with what was looked at."""


@cache
def environment(version: str) -> Path:
    """The interpreter of the environment of a version, which is made when it is not there. Raises `Missing`."""
    python = ROOT / f".venv-{version}" / "bin" / "python"
    marker = python.parent.parent / ".installed"
    wanted = (ROOT / "pyproject.toml").stat().st_mtime
    if not marker.exists() or marker.stat().st_mtime < wanted:
        _make(version, python)
        marker.touch()
    return python


def _make(version: str, python: Path) -> None:
    tried: list[str] = []
    for candidate in candidates(version):
        if _version(candidate) != version:
            tried.append(candidate)
            continue
        made = _run([candidate, "-m", "venv", "--clear", str(python.parent.parent)])
        made = made or _run([str(python), "-m", "pip", "install", "-qq", "--editable", str(ROOT)])
        if made is None:
            return
        tried.append(f"{candidate} ({made})")
    raise Missing(f"no usable Python {version}: name one in FLOWGRAPH_PYTHONS; tried {tried or 'the PATH, pyenv, uv'}")


def candidates(version: str) -> Iterator[str]:
    """Where an interpreter of a version may be."""
    yield from (each for each in os.environ.get("FLOWGRAPH_PYTHONS", "").split(os.pathsep) if each)
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield on_path
    roots = {os.environ.get("PYENV_ROOT", ""), str(Path.home() / ".pyenv")}
    if shutil.which("pyenv") is not None:
        roots.add(_output(["pyenv", "root"]))
    for root in sorted(roots - {""}):
        yield from (str(each) for each in sorted(Path(root).glob(f"versions/{version}.*/bin/python{version}"), reverse=True))
    if shutil.which("uv") is not None:
        found = _output(["uv", "python", "find", "--no-project", version])
        if found:
            yield found


def _version(python: str) -> str:
    return _output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _run(command: list[str]) -> str | None:
    """What a command says when it fails, in one line; None when it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return None if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]


def run(version: str, *arguments: str) -> str:
    """What `python -m ...` prints under a version, run from the root. Raises `Missing`, AssertionError when it fails."""
    command = [str(environment(version)), "-m", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, f"Python {version}: {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def main() -> None:
    """Make the environments."""
    for version in OTHERS:
        try:
            print(f"Python {version}: {environment(version)}")
        except Missing as missing:
            print(f"Python {version}: {missing}")


if __name__ == "__main__":
    main()
