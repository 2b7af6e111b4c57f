"""`flowgraph send`."""

from __future__ import annotations

from typing import Annotated

import typer

from flowgraph_runtime.cli.arguments import parsed_object
from flowgraph_runtime.cli.connection import AsJson, Key, Url, connected
from flowgraph_runtime.cli.console import show, show_json


def send(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The event's name, as in order.placed.")],
    data: Annotated[str, typer.Option(metavar="JSON|@FILE", help="The event's data, a JSON object.")] = "{}",
    id: Annotated[str | None, typer.Option(help="Your own id: sending it again starts nothing twice.")] = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Send an event to a server; prints the event's id and the runs that it started."""
    value = parsed_object(data, "--data", "the data of an event")
    with connected(url, key) as client:
        accepted = client.send(name, value, id=id)
    if as_json:
        show_json(accepted.model_dump(mode="json", exclude_none=True))
        return
    show(accepted.id)
    for run in accepted.runs:
        show(run)
    if accepted.reason:
        show(f"no run: {accepted.reason}")
