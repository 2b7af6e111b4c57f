"""`flowgraph run`: one workflow to its end, here and now."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from flowgraph.codec import loads
from flowgraph_compiler.diagnostics import Diagnostic, Level
from flowgraph_compiler.pipeline import Compilation
from flowgraph_runtime.cli.compiling import compile_targets, print_findings
from flowgraph_runtime.cli.connection import Database
from flowgraph_runtime.cli.console import Exit, Failure, messages, show, stdout_to_stderr, tell
from flowgraph_runtime.cli.embedded import Interrupted, Order, Stuck, run_to_end
from flowgraph_runtime.cli.logs import log_to_stderr
from flowgraph_runtime.cli.progress import Progress
from flowgraph_runtime.cli.settings import settings
from flowgraph_runtime.errors import InputRejected, TooLarge
from flowgraph_runtime.intake import Posted
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.views import error_view


def run(
    target: Annotated[
        str, typer.Argument(metavar="TARGET:workflow", help="A .py file, a folder or a module, and which workflow.")
    ],
    input: Annotated[
        str, typer.Option("--input", metavar="JSON|@FILE", help="The event's data, or the parameters by name.")
    ] = "{}",
    event: Annotated[
        list[str] | None, typer.Option("--event", metavar="NAME=JSON", help="An event in the stream at the start; repeatable.")
    ] = None,
    db: Database = None,
    skip_time: Annotated[bool, typer.Option("--skip-time", help="Jump over sleeps, backoff and deadlines.")] = False,
) -> None:
    """Run one workflow to its end in this process, on a temporary database unless --db names one.

    Progress goes to stderr, the result as JSON to stdout. Exit code 0: completed, 1: failed or cancelled (the last line of
    stderr is the error as JSON), 2: compile or usage errors, 130: Ctrl-C.
    """
    with stdout_to_stderr():
        log_to_stderr()
        compiled = compile_targets([target.rpartition(":")[0] if _names_workflow(target) else target])
        workflow = chosen_workflow(compiled, target)
        given = parsed(input, "--input")
        posted = tuple(_event(text) for text in event or ())
        result = _run(compiled, workflow, Order(workflow, given, posted, skip_time), db)
    show(result)


def _names_workflow(target: str) -> bool:
    return ":" in target and not Path(target).exists()


def chosen_workflow(compiled: Compilation, target: str) -> str:
    """The workflow that the target names, or the only one. Raises `SystemExit(2)` when it does not compile."""
    workflows = compiled.application.workflows
    name = target.rpartition(":")[2] if _names_workflow(target) else next(iter(workflows)) if len(workflows) == 1 else None
    named = next((known for known in workflows if name in (known, *workflows[known].target.aliases)), None)
    mine = [found for found in compiled.diagnostics if found.workflow in (None, named)]
    _print_all(compiled.diagnostics)
    if any(found.severity is Level.ERROR for found in mine):
        raise SystemExit(Exit.USAGE)
    if named is None:
        listed = ", ".join(f"'{known}'" for known in workflows) or "none"
        what = f"no workflow '{name}'" if name else "several workflows" if workflows else "no workflow"
        raise Failure(f"{what} in '{target}': it has {listed}", "name one: TARGET:workflow", Exit.USAGE)
    return named


def _print_all(diagnostics: Sequence[Diagnostic]) -> None:
    worth_it = [found for found in diagnostics if found.severity is not Level.NOTE]
    if worth_it:
        print_findings(worth_it)


def parsed(text: str, option: str) -> Any:
    """A JSON value given on the command line, or in the file after an `@`. Raises `Failure` (exit 2)."""
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise Failure(f"{option}: cannot read '{error.filename}': {error.strerror}", code=Exit.USAGE) from error
    except ValueError as error:
        raise Failure(f"{option}: not JSON: {error}", f"quote it for the shell: {option} '{{\"a\": 1}}'", Exit.USAGE) from error


def _event(text: str) -> Posted:
    name, equals, data = text.partition("=")
    if not equals or not name:
        raise Failure(f"--event: '{text}' is not NAME=JSON", '--event order.paid=\'{"order_id": "o-1"}\'', Exit.USAGE)
    value = parsed(data, "--event")
    if not isinstance(value, dict):
        raise Failure(f"--event: the data of '{name}' is not a JSON object", code=Exit.USAGE)
    return Posted(name, value)


def _run(compiled: Compilation, workflow: str, order: Order, db: str | None) -> str:
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
        return result_json(compiled, workflow, loads(row.result or "null", registry.types))
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
