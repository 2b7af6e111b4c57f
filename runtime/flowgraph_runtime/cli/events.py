"""`flowgraph events`: look at what a server has received."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flowgraph_runtime.cli.connection import AsJson, Key, Url, connected
from flowgraph_runtime.cli.console import Exit, Failure, show, show_json

app = typer.Typer(no_args_is_help=True)

_STATUSES = ("stored", "unknown", "invalid")


@app.command("list", epilog="Example:  flowgraph events list --status invalid")
def list_(
    name: Annotated[str | None, typer.Option(help="Only events of this name.")] = None,
    status: Annotated[str | None, typer.Option(help="Only stored, unknown or invalid ones.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, the newest.")] = 20,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List events, newest first, with the reason for those that started nothing."""
    if status is not None and status not in _STATUSES:
        raise Failure(f"--status: '{status}' is not one of {', '.join(_STATUSES)}", code=Exit.USAGE)
    with connected(url, key) as client:
        page = client.events(name=name, status=status, limit=limit)
    if as_json:
        show_json(page.model_dump(mode="json"))
    else:
        _table([event.model_dump(mode="json") for event in page.items])


def _table(events: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("event", "name", "status", "received", "reason"):
        table.add_column(column, no_wrap=True)
    for event in events:
        received = event["received_at"].replace("T", " ")[:19]
        cells = (event["id"], event["name"], event["status"], received, event["reason"] or "")
        table.add_row(*(Text(cell) for cell in cells))
    Console(highlight=False, width=None if Console().is_terminal else 200).print(table)


@app.command("show", epilog="Example:  flowgraph events show evt_01J... --json")
def show_(
    id: Annotated[str, typer.Argument(metavar="ID", help="An event's id, as in evt_01J...")],
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show an event, its data, and the runs that it started or woke."""
    import json

    with connected(url, key) as client:
        event = client.event(id).model_dump(mode="json")
    if as_json:
        show_json(event)
        return
    show(f"{event['name']} {event['id']}: {event['status']}, received {event['received_at']}")
    if event["reason"]:
        show(f"reason: {event['reason']}")
    show(f"data: {json.dumps(event['data'], ensure_ascii=False)}")
    for run in event["runs"]:
        show(run)
