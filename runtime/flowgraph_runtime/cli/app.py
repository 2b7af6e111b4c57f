"""The program `flowgraph`: every command is registered here, one line each."""

from __future__ import annotations

from typing import Annotated

import typer

from flowgraph_runtime.cli import (
    checking,
    databases,
    differing,
    editing,
    events,
    examining,
    explaining,
    keys,
    locking,
    migrating,
    rendering,
    running,
    runs,
    sending,
    serving,
    starting,
    working,
)
from flowgraph_runtime.cli.console import show

app = typer.Typer(
    name="flowgraph",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with:  flowgraph dev TARGET   (a .py file, a folder or a dotted module, each optionally with :workflow)",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        show(f"flowgraph {version('flowgraph-engine')}")
        raise typer.Exit


@app.callback()
def flowgraph(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Durable workflows: typed async Python functions, compiled to state machines that a database advances."""


app.command("init", epilog="Example:  flowgraph init shop")(starting.init)
app.command("check", epilog="Example:  flowgraph check shop/ --format json")(checking.check)
app.command("compile", epilog="Example:  flowgraph compile shop.py:pay_order -o machines/")(checking.compile_)
app.command("render", epilog="Example:  flowgraph render shop.py:pay_order -o pay_order.svg --title --legend")(rendering.render)
app.command("explain", epilog="Example:  flowgraph explain FG113")(explaining.explain)
app.command("rules", epilog="Example:  flowgraph rules")(explaining.rules)
app.command("lock", epilog="Example:  flowgraph lock shop/")(locking.lock)
app.command("diff", epilog="Example:  flowgraph diff machines/ shop/")(differing.diff)
app.command("migrate", epilog="Example:  flowgraph migrate --plan && flowgraph migrate --apply")(migrating.migrate)
app.command("lsp", epilog="Example:  flowgraph lsp")(editing.lsp)
app.command("doctor", epilog="Example:  flowgraph doctor shop/ --db postgresql://localhost/shop")(examining.doctor)
app.command("run", epilog='Example:  flowgraph run shop.py:pay_order --input \'{"order_id": "o-1"}\' --skip-time')(running.run)
app.command("dev", epilog="Example:  flowgraph dev shop/")(serving.dev)
app.command("serve", epilog="Example:  flowgraph serve shop/ --db postgresql://localhost/shop")(serving.serve)
app.command("worker", epilog="Example:  flowgraph worker shop/ --db postgresql://localhost/shop")(working.worker)
app.command("send", epilog='Example:  flowgraph send order.placed --data \'{"order_id": "o-1"}\'')(sending.send)
app.add_typer(runs.app, name="runs", help="Look at runs of a server, follow them, cancel and retry them.")
app.add_typer(events.app, name="events", help="Look at the events that a server has received.")
app.add_typer(databases.app, name="db", help="The tables of a database: their version, and bringing them up to date.")
app.add_typer(keys.app, name="keys", help="Keys that a server accepts: create, list, revoke.")
