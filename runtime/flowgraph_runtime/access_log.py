"""Event keys stand in paths (`/e/<key>`), and no log may show them."""

from __future__ import annotations

import logging
import re

_KEY = re.compile(r"(/e/)[^/?#\s]+")


def without_key(text: str) -> str:
    """Return a path, or a line with one, with stars for the event key."""
    return _KEY.sub(r"\1***", text)


class _KeysHidden(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(without_key(value) if isinstance(value, str) else value for value in record.args)
        return True


_FILTER = _KeysHidden()


def hide_event_keys() -> None:
    """Keep event keys out of uvicorn's access log, whoever has set that up."""
    logging.getLogger("uvicorn.access").addFilter(_FILTER)
