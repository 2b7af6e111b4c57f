"""`flowgraph worker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flowgraph_runtime.cli.compiling import Targets
from flowgraph_runtime.cli.connection import Database
from flowgraph_runtime.cli.console import Exit, Failure, messages, tell

if TYPE_CHECKING:
    from flowgraph_compiler.pipeline import Compilation
    from flowgraph_runtime.settings import Settings


def worker(
    targets: Targets,
    db: Database = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Start although live runs need code that is gone; park those runs.")
    ] = False,
) -> None:
    """Run workflows beside other processes on one PostgreSQL database; answers no requests.

    Ends in good order on SIGTERM: its runs go on at once in the other processes.
    """
    from flowgraph_compiler.source import TargetError
    from flowgraph_runtime.app import compiled
    from flowgraph_runtime.cli.databases import wait_for_database
    from flowgraph_runtime.cli.logs import log_to_stderr
    from flowgraph_runtime.cli.settings import settings
    from flowgraph_runtime.errors import CompilationRefused, RuntimeProblem
    from flowgraph_runtime.storage.errors import StorageError

    chosen = settings(db=db, host="127.0.0.1", worker=True, allow_missing=True if allow_missing else None)
    if chosen.db.startswith("sqlite:"):
        raise Failure("a worker of its own needs PostgreSQL: only one process can write to a SQLite file", code=Exit.USAGE)
    log_to_stderr()
    try:
        compilation = compiled(targets)
        wait_for_database(chosen)
        work(compilation, chosen)
    except CompilationRefused as refused:
        messages().file.write(refused.report)
        raise SystemExit(Exit.FAILED) from None
    except TargetError as error:
        raise Failure(str(error), code=Exit.USAGE) from error
    except (RuntimeProblem, StorageError, ValueError) as error:
        raise Failure(str(error)) from error


def work(compilation: Compilation, chosen: Settings) -> None:
    """Run a worker until SIGINT or SIGTERM."""
    import asyncio
    import signal

    from flowgraph_runtime import event_loop
    from flowgraph_runtime.registry import Registry
    from flowgraph_runtime.service import Service, open_store

    async def until_told() -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told.set)
        store = open_store(chosen)
        try:
            async with Service(Registry.from_compilation(compilation), store, chosen).running():
                tell(f"worker {chosen.node} is at work", style="bold green")
                await told.wait()
        finally:
            store.close()

    event_loop.run(until_told())
