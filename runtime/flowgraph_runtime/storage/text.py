"""Texts that a database can hold: no NUL, no half surrogate pairs. Checked before anything is sent to one."""

from __future__ import annotations

from flowgraph_runtime.storage.errors import UnstorableText


def check_text(where: str, *texts: str | None) -> None:
    """Raise UnstorableText, naming `where`, for a text that SQLite or PostgreSQL would refuse or change."""
    for text in texts:
        if text is not None and (("\0" in text) or not (text.isascii() or _is_unicode(text))):
            problem = f"a NUL character at {text.index(chr(0))}" if "\0" in text else "a lone surrogate"
            raise UnstorableText(where, problem)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
