"""`flowgraph dev` and `flowgraph serve`."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from flowgraph_runtime.cli.compiling import Targets
from flowgraph_runtime.cli.connection import Database
from flowgraph_runtime.cli.console import Exit, Failure, messages

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from flowgraph_runtime.settings import Settings

Port = Annotated[int | None, typer.Option(help="8288 when nothing is set; 0 takes a free one.")]


def dev(
    targets: Targets,
    port: Port = None,
    db: Database = None,
    reload: Annotated[bool, typer.Option(help="Start anew when a file of a target changes.")] = True,
    inherited: Annotated[int | None, typer.Option("--socket", hidden=True)] = None,
) -> None:
    """Serve workflows while you write them: server, worker and dashboard in one, reloading on change.

    Compile errors show here and on the page. Listens on this machine only and asks for no keys.
    """
    from flowgraph_runtime.cli import reloading
    from flowgraph_runtime.cli.settings import settings

    chosen = settings(host="127.0.0.1", port=port, db=db, dev=True)
    if inherited is not None:
        reloading.end_with_parent()
        with socket.socket(fileno=inherited) as bound:
            serve_targets(targets, chosen, bound)
        return
    with reloading.listening_socket(chosen.host, chosen.port) as bound:
        port = bound.getsockname()[1]
        if not reload:
            serve_targets(targets, chosen.model_copy(update={"port": port}), bound)
            return
        command = ["dev", *targets, "--port", str(port), "--db", chosen.db]
        code = reloading.supervise(command, targets, bound)
    if code:
        raise SystemExit(code)


def serve(
    targets: Targets,
    db: Database = None,
    host: Annotated[str | None, typer.Option(help="127.0.0.1 when nothing is set; another address needs keys.")] = None,
    port: Port = None,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Answer requests only; other processes run the workflows.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Start although live runs need code that is gone; park those runs.")
    ] = False,
) -> None:
    """Serve workflows in production: HTTP API, worker and dashboard.

    A server that listens on more than this machine needs a key first: flowgraph keys create.
    """
    from flowgraph_runtime.cli.reloading import listening_socket
    from flowgraph_runtime.cli.settings import settings

    chosen = settings(
        db=db, host=host, port=port, worker=False if no_worker else None, allow_missing=True if allow_missing else None
    )
    with listening_socket(chosen.host, chosen.port) as bound:
        serve_targets(targets, chosen.model_copy(update={"port": bound.getsockname()[1]}), bound)


def serve_targets(targets: Sequence[str], chosen: Settings, bound: socket.socket) -> None:
    """Compile and serve on the socket until told to end; in dev, code that does not compile is served as a page that says so."""
    from flowgraph_compiler.source import TargetError
    from flowgraph_runtime.app import create_app
    from flowgraph_runtime.cli.databases import upgrade_for_development, wait_for_database
    from flowgraph_runtime.cli.logs import log_to_stderr
    from flowgraph_runtime.dashboard import pages
    from flowgraph_runtime.dashboard.broken import create_broken_app
    from flowgraph_runtime.errors import CompilationRefused, StartupRefused

    log_to_stderr()
    if chosen.dev:
        upgrade_for_development(chosen.db)
    try:
        app = create_app(targets, settings=chosen, pages=pages)
    except (CompilationRefused, TargetError) as refused:
        if not chosen.dev and isinstance(refused, TargetError):
            raise Failure(str(refused), code=Exit.USAGE) from refused
        text = refused.report if isinstance(refused, CompilationRefused) else f"{refused}\n"
        messages().file.write(text)
        if not chosen.dev:
            raise SystemExit(Exit.FAILED) from None
        app = create_broken_app(text, chosen)
    except StartupRefused as refused:
        raise Failure(str(refused)) from refused
    if not chosen.dev:
        wait_for_database(chosen)
    run_server(app, chosen, bound)


def run_server(app: ASGIApp, chosen: Settings, bound: socket.socket) -> None:
    """Serve on a socket that is listening already, until told to end. Raises `Failure` when the application does not start."""
    from flowgraph_runtime.cli.server import Server, Watched
    from flowgraph_runtime.errors import RuntimeProblem
    from flowgraph_runtime.storage.errors import StorageError

    watched = Watched(app)
    server = Server(watched, f"http://{chosen.host}:{chosen.port}", grace=2 if chosen.dev else 30)
    server.serve_on(bound)
    if watched.failure is None:
        return
    if server.started or not isinstance(watched.failure, RuntimeProblem | StorageError | ValueError):
        raise watched.failure
    raise Failure(str(watched.failure)) from watched.failure
