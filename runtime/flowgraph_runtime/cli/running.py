"""`flowgraph run`: one workflow to its end, here and now."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowgraph_compiler.diagnostics import Diagnostic, Level
from flowgraph_runtime.cli.arguments import parsed, parsed_object
from flowgraph_runtime.cli.compiling import compile_targets, print_findings
from flowgraph_runtime.cli.connection import Database
from flowgraph_runtime.cli.console import Exit, Failure, show, stdout_to_stderr
from flowgraph_runtime.cli.logs import log_to_stderr

if TYPE_CHECKING:
    from flowgraph_compiler.pipeline import Compilation


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
    from flowgraph_runtime.cli.execution import Order, execute

    with stdout_to_stderr():
        log_to_stderr()
        compiled = compile_targets([target.rpartition(":")[0] if _names_workflow(target) else target])
        workflow = chosen_workflow(compiled, target)
        given = parsed(input, "--input")
        posted = tuple(_event(text, compiled) for text in event or ())
        result = execute(compiled, Order(workflow, given, posted, skip_time), db)
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


def _event(text: str, compiled: Compilation) -> tuple[str, dict[str, Any]]:
    name, equals, data = text.partition("=")
    if not equals or not name:
        raise Failure(f"--event: '{text}' is not NAME=JSON", '--event order.paid=\'{"order_id": "o-1"}\'', Exit.USAGE)
    events = [cls for cls in compiled.application.events.values() if cls.has_own_name or cls.__subclasses__() == []]
    known = sorted({each for cls in events for each in (cls.event_name, *cls.event_aliases)})
    if name not in known:
        near = get_close_matches(name, known, 1) or known
        raise Failure(f"--event: no event is named '{name}', so nothing can wait for it", ", ".join(near), Exit.USAGE)
    return name, parsed_object(data, "--event", f"the data of '{name}'")
