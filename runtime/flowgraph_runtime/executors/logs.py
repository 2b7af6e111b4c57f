"""Log records of a step in another process, shown by the worker's own logging: they cross as JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping

PREFIX = "log "
"""Begins a text that is a record and no outcome."""
_FORMATTER = logging.Formatter()


def levels() -> dict[str, int]:
    """Return the level of every logger that has one of its own, the root's under the empty name."""
    named = {name: logger for name, logger in logging.root.manager.loggerDict.items() if isinstance(logger, logging.Logger)}
    return {"": logging.root.level} | {name: logger.level for name, logger in named.items() if logger.level}


def forward(chosen: Mapping[str, int], send: Callable[[str], None]) -> None:
    """Give these levels to the loggers here, and every record that passes them to `send` as a text."""
    for name, level in chosen.items():
        logging.getLogger(name or None).setLevel(level)
    logging.root.handlers = [_Forwarding(send)]


def show(text: str) -> None:
    """Hand a record that came as a text to the logger of its name."""
    fields = json.loads(text.removeprefix(PREFIX))
    logger = logging.getLogger(fields["name"])
    if logger.isEnabledFor(fields["levelno"]):
        logger.handle(logging.makeLogRecord(fields))


class _Forwarding(logging.Handler):
    def __init__(self, send: Callable[[str], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(PREFIX + json.dumps(_fields(record)))
        except OSError:  # nobody listens any more: this process is about to end
            pass
        except Exception:
            self.handleError(record)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    text = record.exc_text or (_FORMATTER.formatException(record.exc_info) if record.exc_info else None)
    kept = ("name", "levelno", "levelname", "pathname", "filename", "module", "lineno", "funcName", "created", "process")
    return {"msg": record.getMessage(), "exc_text": text, **{name: getattr(record, name) for name in kept}}
