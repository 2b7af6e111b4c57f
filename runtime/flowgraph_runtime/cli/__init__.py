"""The command line: `flowgraph check`, `render`, `run`, `dev`, `serve`, ..."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the program and exit with its code."""
    from flowgraph_runtime.cli.app import app
    from flowgraph_runtime.cli.console import Exit, Failure, complain

    try:
        app()
    except Failure as failure:
        complain(failure)
        sys.exit(failure.code)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:  # `flowgraph runs list | head`: nobody reads on, and the flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)
