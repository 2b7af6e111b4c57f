"""The settings of a server from flags: what is not given comes from the environment or `pyproject.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from flowgraph_runtime.cli.console import Exit, Failure
from flowgraph_runtime.cli.project import configured
from flowgraph_runtime.settings import Layered, Settings

T = TypeVar("T", bound=Layered)
_SQLITE = "sqlite:///"


def settings(**flags: Any) -> Settings:
    """The settings with the flags that were given (None: not given). Raises `Failure` (exit 2) for a value that does not fit."""
    chosen = layered(Settings, **flags)
    _make_folder(chosen.db)
    return chosen


def layered(kind: type[T], **flags: Any) -> T:
    """Settings of a kind with the flags that were given (None: not given). Raises `Failure` (exit 2)."""
    from pydantic import ValidationError

    configured()  # refuses keys that nothing reads
    try:
        return kind(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False))
        raise Failure(
            f"the settings do not fit: {wrong}", "look at the flags, FLOWGRAPH_* and [tool.flowgraph]", Exit.USAGE
        ) from error


def _make_folder(db: str) -> None:
    """A database file in a folder that is not there yet is no mistake."""
    if db.startswith(_SQLITE) and len(db) > len(_SQLITE):
        Path(db.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
