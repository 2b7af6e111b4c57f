"""How the pages write times, durations and values."""

from __future__ import annotations

import json
import re
from typing import Any

from markupsafe import Markup, escape

from flowgraph_runtime.moments import moment, rfc3339

SECOND = 1_000_000
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def span(microseconds: int | None) -> str:
    """Return a duration with two significant parts: `3 ms`, `1.25 s`, `2 min 5 s`, `3 d 4 h`; a dash for None."""
    if microseconds is None:
        return "–"
    if microseconds < SECOND:
        return f"{max(0, microseconds) / 1000:.3g} ms"
    seconds = microseconds / SECOND
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    for (size, name), (smaller, below) in zip(_UNITS, (*_UNITS[1:], (1, "s")), strict=True):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {below}" if rest else "")
    raise AssertionError("sixty seconds or more are at least a minute")


def ago(at: int | None, now: int) -> str:
    """Return how long ago a moment was, or how long it is until then."""
    if at is None:
        return "–"
    if at > now:
        return f"in {_rough(at - now)}" if at - now >= SECOND else "in a moment"
    return "just now" if now - at < SECOND else f"{_rough(now - at)} ago"


def _rough(microseconds: int) -> str:
    seconds = microseconds // SECOND
    for size, name in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def iso(at: int | None) -> str:
    """Return a moment as RFC 3339."""
    return rfc3339(at) or ""


def absolute(at: int | None) -> str:
    """Return a moment for people, to the millisecond, in UTC."""
    return "" if at is None else moment(at).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


MOST_SHOWN = 100_000
"""Characters of a value on a page."""
_TOKENS = re.compile(r'(?P<key>"(?:[^"\\]|\\.)*")(?=:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>-?\d[\d.eE+-]*|true|false|null)')


def json_markup(value: Any) -> Markup:
    """Return a value as indented JSON with its keys, texts and other values told apart; a text stands for itself.

    Every piece is escaped: whatever the value holds stays text."""
    if isinstance(value, str):
        return escape(value)
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) > MOST_SHOWN:
        return escape(f"{text[:MOST_SHOWN]}\n… {len(text) - MOST_SHOWN:,} more characters: the API has the whole value")
    parts: list[Markup] = []
    end = 0
    for token in _TOKENS.finditer(text):
        parts += [
            escape(text[end : token.start()]),
            Markup('<span class="json-{}">{}</span>').format(token.lastgroup, token.group()),
        ]
        end = token.end()
    return Markup("").join([*parts, escape(text[end:])])
