"""Log lines on stderr, also while a live tree is shown there."""

from __future__ import annotations

import logging
import sys


class StderrHandler(logging.Handler):
    """Writes to whatever `sys.stderr` is at the moment: a live display replaces it to keep lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Show what steps and the engine log."""
    handler = StderrHandler()
    handler.setFormatter(logging.Formatter("%(levelname).1s %(name)s: %(message)s"))
    logger = logging.getLogger("flowgraph")
    logger.handlers = [handler]
    logger.setLevel(level)
