"""`flowgraph runs`: look at runs of a server, follow them, cancel and retry them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flowgraph_runtime.cli.connection import AsJson, Key, Url, connected
from flowgraph_runtime.cli.console import Exit, messages, show, show_json, tell

app = typer.Typer(no_args_is_help=True)

RunId = Annotated[str, typer.Argument(metavar="ID", help="A run's id, as in run_01J...")]


@app.command("list", epilog="Example:  flowgraph runs list --workflow pay_order --status failed")
def list_(
    workflow: Annotated[str | None, typer.Option(help="Only runs of this workflow.")] = None,
    status: Annotated[str | None, typer.Option(help="Only runs with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, the newest.")] = 20,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    with connected(url, key) as client:
        page = client.runs(workflow=workflow, status=status, limit=limit)
    if as_json:
        show_json(page.model_dump(mode="json"))
    else:
        _table([run.model_dump(mode="json") for run in page.items])


def _table(runs: list[dict[str, Any]]) -> None:
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from flowgraph_runtime.cli.progress import duration, status_style

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("run", "workflow", "status", "started", "took"):
        table.add_column(column, no_wrap=True)
    for run in runs:
        status = Text(run["status"], status_style(run["status"]))
        started = (run["started_at"] or "").replace("T", " ")[:19]
        table.add_row(run["id"], run["workflow"], status, started, duration(run, datetime.now(UTC)))
    Console(highlight=False, width=None if Console().is_terminal else 200).print(table)


@app.command("show", epilog="Example:  flowgraph runs show run_01J... --json")
def show_(id: RunId, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show a run with every step of its machine: done, running, retrying, pending."""
    with connected(url, key) as client:
        run, steps = client.run(id), client.steps(id)
    rows = [step.model_dump(mode="json") for step in steps]
    data = run.model_dump(mode="json")
    if as_json:
        show_json(data | {"steps": rows})
        return
    from rich.console import Console

    from flowgraph_runtime.cli.progress import tree

    Console(highlight=False, soft_wrap=True).print(tree(data, rows))
    _print_end(data)


def _print_end(run: dict[str, Any]) -> None:
    import json

    if run["error"]:
        step = f" in step '{run['error']['step']}'" if run["error"]["step"] else ""
        show(f"error{step}: {run['error']['type']}: {run['error']['message']}")
    elif run["status"] == "completed":
        show(f"result: {json.dumps(run['result'], ensure_ascii=False)}")


@app.command("watch", epilog="Example:  flowgraph runs watch run_01J...")
def watch(id: RunId, url: Url = None, key: Key = None) -> None:
    """Follow a run until it ends: progress on stderr, its result as JSON on stdout. Exit code 1 when it fails or is cancelled."""
    from flowgraph_runtime.cli.following import looks
    from flowgraph_runtime.cli.progress import ENDED, Progress

    data: dict[str, Any] = {}
    with connected(url, key) as client, Progress(messages()) as progress:
        for _ in looks(client, id):
            data = client.run(id).model_dump(mode="json")
            progress.update(data, [step.model_dump(mode="json") for step in client.steps(id)])
            if data["status"] in ENDED:
                break
    if data["status"] == "completed":
        show_json(data["result"])
        return
    if data["error"]:
        tell(f"{data['error']['type']}: {data['error']['message']}", style="red")
    raise SystemExit(Exit.FAILED)


@app.command("cancel", epilog="Example:  flowgraph runs cancel run_01J... --reason 'ordered twice'")
def cancel(
    id: RunId,
    reason: Annotated[str, typer.Option(help="Kept with the run.")] = "asked on the command line",
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask to cancel a run: prints 'cancelling', or 'already' and the status that it has ended with."""
    with connected(url, key) as client:
        answer = client.cancel(id, reason)
    if as_json:
        show_json(answer.model_dump(mode="json"))
    else:
        show(answer.status)


@app.command("retry", epilog="Example:  flowgraph runs retry run_01J... && flowgraph runs watch run_01J...")
def retry(id: RunId, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Let a failed run go on from its failed step, with all attempts of that step anew; earlier steps are not run again."""
    with connected(url, key) as client:
        run = client.retry(id)
    if as_json:
        show_json(run.model_dump(mode="json"))
    else:
        show(run.status)
