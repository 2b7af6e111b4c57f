"""The command line: `flowgraph check`, `render`, `run`, `dev`, `serve`, ..."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main() -> None:
    """Run the program and exit with its code."""
    try:
        code = call(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # `flowgraph runs list | head`: nobody reads on, and the flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def call(arguments: Sequence[str]) -> int:
    """Run a command in this process; its exit code."""
    from flowgraph_runtime.cli.app import app
    from flowgraph_runtime.cli.console import Exit, Failure, complain

    try:
        app(list(arguments), prog_name="flowgraph")
    except Failure as failure:
        complain(failure)
        return failure.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.OK
    return Exit.OK
