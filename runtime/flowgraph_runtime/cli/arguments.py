"""Values given as text on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from flowgraph_runtime.cli.console import Exit, Failure


def parsed(text: str, option: str) -> Any:
    """A JSON value, or that in the file after an `@`. Raises `Failure` (exit 2)."""
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise Failure(f"{option}: cannot read '{error.filename}': {error.strerror}", code=Exit.USAGE) from error
    except ValueError as error:
        raise Failure(f"{option}: not JSON: {error}", f"quote it for the shell: {option} '{{\"a\": 1}}'", Exit.USAGE) from error


def parsed_object(text: str, option: str, what: str) -> dict[str, Any]:
    """The same for a JSON object; `what` it is goes into the message."""
    value = parsed(text, option)
    if not isinstance(value, dict):
        raise Failure(f"{option}: {what} is a JSON object, as in '{{\"a\": 1}}'", code=Exit.USAGE)
    return cast("dict[str, Any]", value)
