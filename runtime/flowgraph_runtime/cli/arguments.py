"""Values given as text on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
