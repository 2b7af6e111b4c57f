"""What long programmes found, one JSON line each, so that hours add up."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

LEDGER = Path(__file__).parent / "ledger.jsonl"


def enter(kind: str, report: dict[str, Any]) -> None:
    """Append a report, with the commit that it is about."""
    with LEDGER.open("a") as ledger:
        ledger.write(json.dumps({"commit": _commit(), "kind": kind, **report}) + "\n")


def _commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run([git, "rev-parse", "--short", "HEAD"], cwd=LEDGER.parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
