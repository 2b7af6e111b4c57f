"""What a check has found, kept in `.flowgraph/cache` until a file that it has read changes.

An entry is one JSON file, named after the targets. It lists every file that the check has read (the targets and what they import
by content, libraries by size and time) and is used while all of them are as they were. What modules read when they are imported
besides modules (the environment, data files) is not seen: `--no-cache` is for those. Writers replace whole files, so that checks
running at once each see an old entry or a new one; an entry that cannot be read is no entry.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flowgraph
import flowgraph_compiler
from flowgraph_compiler import report
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.source import files_of

FOLDER = Path(".flowgraph") / "cache"
KEPT = 64
"""Entries that stay, the newest ones."""

_LIBRARIES = tuple({str(Path(place).resolve()) for place in (sys.prefix, sys.base_prefix)})
_CLOCK_GRAIN = 50_000_000  # ns: how much later than its file's time a change may really have been


@dataclass(frozen=True)
class Checked:
    """What a check came to: all findings, how many workflows have a machine, and the files that it has read."""

    diagnostics: tuple[Diagnostic, ...]
    workflows: int
    files: frozenset[Path] = frozenset()


def checked(targets: Sequence[str], check: Callable[[], Checked]) -> Checked:
    """What an earlier check of the targets has found if it would find the same again, else what `check` finds now."""
    entry = FOLDER / f"check-{_name(targets)}.json"
    known = _read(entry, targets)
    if known is not None:
        return known
    began, before = time.time_ns(), set(sys.modules)
    found = check()
    files = {*found.files, *_listed(targets), *_imported(before)}
    _write(entry, targets, found, sorted(files), began)
    return found


# --- entries


def _read(entry: Path, targets: Sequence[str]) -> Checked | None:
    try:
        data = json.loads(entry.read_bytes())
        same = data["listed"] == [str(file) for file in _listed(targets)]
        if not same or any(_state(Path(file)) != state for file, state in data["files"].items()):
            return None
        return Checked(tuple(report.from_data(found) for found in data["found"]), data["workflows"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write(entry: Path, targets: Sequence[str], found: Checked, files: Sequence[Path], began: int) -> None:
    """Keep what was found, unless a file has changed since the check began; a folder that cannot be written keeps nothing."""
    try:
        if any(file.stat().st_mtime_ns > began - _CLOCK_GRAIN for file in files):
            return
        data = {
            "listed": [str(file) for file in _listed(targets)],
            "files": {str(file): _state(file) for file in files},
            "found": [report.as_data(one) for one in found.diagnostics],
            "workflows": found.workflows,
        }
        _replace(entry, json.dumps(data, ensure_ascii=False).encode())
        _forget(entry.parent)
    except OSError:
        return


def _replace(file: Path, content: bytes) -> None:
    """Write a file as a whole; the folder tells git to leave it alone."""
    file.parent.mkdir(parents=True, exist_ok=True)
    ignored = file.parent / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
    handle, name = tempfile.mkstemp(prefix=file.name, dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as written:
            written.write(content)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _forget(folder: Path) -> None:
    entries = sorted(folder.glob("check-*.json"), key=lambda file: file.stat().st_mtime_ns)
    for old in entries[:-KEPT]:
        old.unlink(missing_ok=True)


# --- what an answer depends on


def _name(targets: Sequence[str]) -> str:
    """The targets, where they are looked for, and what looks at them."""
    told = [*targets, str(Path.cwd()), os.environ.get("PYTHONPATH", ""), sys.version, *_program()]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()[:32]


def _program() -> Iterator[str]:
    """The state of the compiler, of what authors import, and of pydantic."""
    for package in (flowgraph, flowgraph_compiler):
        for file in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            yield _state(file, by_content=False)
    spec = importlib.util.find_spec("pydantic")
    yield "" if spec is None or spec.origin is None else _state(Path(spec.origin), by_content=False)


def _listed(targets: Iterable[str]) -> list[Path]:
    return sorted({file for target in targets for file in files_of(target)})


def _imported(before: set[str]) -> Iterator[Path]:
    """The files of the modules that have been imported since."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules.get(name), "__file__", None)
        if isinstance(file, str) and os.path.isfile(file):
            yield Path(file).resolve()


def _state(file: Path, by_content: bool | None = None) -> str:
    """The content of a file as a digest; of a library only its size and time. Raises `OSError` for one that is gone."""
    if by_content is None:
        by_content = not str(file).startswith(_LIBRARIES)
    if by_content:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    state: Any = file.stat()
    return f"{file} {state.st_size} {state.st_mtime_ns}"
