"""Texts that a database can hold: no NUL, no half surrogate pairs. Checked before anything is sent to one."""

from __future__ import annotations

from collections.abc import Iterable

from flowgraph_runtime.storage.errors import UnstorableText


def check_text(where: str, *texts: str | None) -> None:
    """Raise UnstorableText, naming `where`, for a text that SQLite or PostgreSQL would refuse or change."""
    for text in texts:
        if text is not None and (("\0" in text) or not (text.isascii() or _is_unicode(text))):
            problem = f"a NUL character at {text.index(chr(0))}" if "\0" in text else "a lone surrogate"
            raise UnstorableText(where, problem)


def are_storable(texts: Iterable[str | None]) -> bool:
    """Whether a database can hold all of them; one look at many, of which `check_text` then finds the one at fault."""
    joined = "".join(filter(None, texts))
    return "\0" not in joined and (joined.isascii() or _is_unicode(joined))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
