"""The table `[tool.flowgraph]` of a project's `pyproject.toml`."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from flowgraph_runtime.cli.console import Exit, Failure

_OF_CLIENTS = ("url", "key")


def configured(folder: Path | None = None) -> dict[str, Any]:
    """The table in the `pyproject.toml` of a folder (default: the current one), empty when there is none.

    Raises `Failure` (exit 2) for a file that is no TOML and for a key that nothing reads."""
    file = (folder or Path.cwd()) / "pyproject.toml"
    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("flowgraph", {})
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"'{file}' is not valid TOML: {error}", code=Exit.USAGE) from error
    if not isinstance(table, dict):
        raise Failure(f"[tool.flowgraph] in '{file}' is not a table", code=Exit.USAGE)
    if table:
        _refuse_unknown(cast("dict[str, Any]", table))
    return cast("dict[str, Any]", table)


def _refuse_unknown(table: dict[str, Any]) -> None:
    from flowgraph_runtime.settings import CheckSettings, Settings

    known = (*CheckSettings.model_fields, *Settings.model_fields, *_OF_CLIENTS)
    for key in table:
        if key not in known:
            meant = get_close_matches(key.replace("-", "_"), known, 1)
            help_ = f"did you mean '{meant[0]}'?" if meant else f"it knows {', '.join(sorted(known))}"
            raise Failure(f"[tool.flowgraph] in 'pyproject.toml' has an unknown key '{key}'", help_, Exit.USAGE)
