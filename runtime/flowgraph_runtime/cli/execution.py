"""What `flowgraph run` does with a compiled workflow: runs it, shows it, and turns its end into output and exit code."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from typing import Any

from pydantic import TypeAdapter

from flowgraph.codec import loads
from flowgraph_compiler.pipeline import Compilation
from flowgraph_runtime.cli.console import Exit, Failure, messages, tell
from flowgraph_runtime.cli.embedded import Interrupted, Order, Stuck, run_to_end
from flowgraph_runtime.cli.progress import Progress
from flowgraph_runtime.cli.settings import settings
from flowgraph_runtime.errors import InputRejected, TooLarge
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.views import error_view

__all__ = ["Order", "execute"]


def execute(compiled: Compilation, order: Order, db: str | None) -> str:
    """The run's result as JSON text. Raises `SystemExit` with the code of any other end."""
    try:
        row, registry = _follow(compiled, order, db)
    except (InputRejected, TooLarge) as error:
        raise Failure(f"the input or an event does not fit: {error}", code=Exit.USAGE) from error
    except Interrupted:
        raise SystemExit(Exit.INTERRUPTED) from None
    except Stuck as error:
        raise failed(type(error).__name__, str(error)) from error
    if row.status == "completed":
        return result_json(compiled, order.workflow, loads(row.result or "null", registry.types))
    why = error_view(row.error, registry.types, row.failed_step, row.failed_attempt)
    if why is None:
        raise failed("Cancelled", row.reason or "")
    raise failed(why.type, why.message, why.step, why.attempt)


def _follow(compiled: Compilation, order: Order, db: str | None) -> tuple[RunRow, Registry]:
    """Run to the end with progress on stderr, on a database that is gone afterwards unless one is named."""
    with tempfile.TemporaryDirectory(prefix="flowgraph-", ignore_cleanup_errors=True) as folder, Progress(messages()) as progress:
        own = {"db": f"sqlite:///{folder}/run.db", "durability": "normal"}
        chosen = settings(host="127.0.0.1", grace=0.0, **({"db": db} if db else own))
        return asyncio.run(run_to_end(compiled, order, chosen, progress.update))


def failed(type: str, message: str, step: str | None = None, attempt: int | None = None) -> SystemExit:
    """Write the error as the last line of stderr; the exit to raise."""
    tell(json.dumps({"type": type, "message": message, "step": step, "attempt": attempt}, ensure_ascii=False))
    return SystemExit(Exit.FAILED)


def result_json(compiled: Compilation, workflow: str, result: Any) -> str:
    """The result as its declared type serialises it: pydantic's JSON mode, by alias."""
    adapter: TypeAdapter[Any] = TypeAdapter(compiled.application.workflows[workflow].result)
    return adapter.dump_json(result, by_alias=True, indent=2 if sys.stdout.isatty() else None).decode()
