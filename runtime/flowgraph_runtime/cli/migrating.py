"""`flowgraph migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flowgraph_runtime.cli.connection import AsJson, Key, Url, connected
from flowgraph_runtime.cli.console import Exit, Failure, show, show_json

if TYPE_CHECKING:
    from flowgraph_runtime.api.shapes import FateOut, MigrationOut


def migrate(
    plan: Annotated[bool, typer.Option("--plan", help="Say what would become of the live runs; change nothing.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Move the runs that can.")] = False,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Move live runs to the machines of the code that the server has, where it is proven that they can go on there.

    A run ends on the machine that it started with, so a change of a workflow reaches new runs only. A run can move while it only
    waits (for time, an event, the next attempt of a step), if the new code waits for the same at that place and all that it reads
    from there on came about in the same way. The others stay on their own machine, and --plan says why.

    Deploy first: the running server does the moving, each run in one transaction, and its journal says so.
    """
    if plan == apply:
        raise Failure("one of --plan and --apply is needed", "look at --plan first", Exit.USAGE)
    with connected(url, key) as client:
        if plan:
            fates = client.migration_plan()
            show_json([one.model_dump(mode="json") for one in fates]) if as_json else show(_plan_text(fates))
        else:
            done = client.migrate()
            show_json(done.model_dump(mode="json")) if as_json else show(_outcome(done))


def _plan_text(fates: list[FateOut]) -> str:
    from flowgraph_runtime.deploy_plan import Fate, plan_text

    return plan_text(
        Fate(one.workflow, one.machine, one.to, one.outcome, one.runs, tuple(one.examples), one.at, one.why, (), tuple(one.codes))
        for one in fates
    )


def _outcome(done: MigrationOut) -> str:
    kept = [f"  {one.run} of '{one.workflow}' stays: {one.why}" for one in done.items if one.why is not None]
    return "\n".join([f"moved {done.moved} run{'' if done.moved == 1 else 's'}, {done.kept} stay", *kept])
