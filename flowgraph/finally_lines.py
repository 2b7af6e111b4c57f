"""Whether a coroutine stands inside a `finally` body: clean-up is never interrupted.

CPython keeps no such flag, so the line that a frame stands on is compared with the `finally` bodies of its source. A
compiled machine needs none of this.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
from types import CodeType, FrameType
from typing import Any


def suspended_in_finally(awaitable: Any) -> int:
    """Return in how many `finally` bodies a suspended coroutine stands, those of the ones that it awaits included."""
    count = 0
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None)
        count += 0 if frame is None else _in_finally(frame)
        awaitable = getattr(awaitable, "cr_await", None)
    return count


def running_in_finally(boundaries: frozenset[CodeType]) -> int:
    """Return in how many `finally` bodies the running coroutine stands, looking outwards up to a frame of `boundaries`."""
    frame: FrameType | None = inspect.currentframe()
    count = 0
    while frame is not None and frame.f_code not in boundaries:
        count += _in_finally(frame)
        frame = frame.f_back
    return count


def _in_finally(frame: FrameType) -> int:
    module = str(frame.f_globals.get("__name__", ""))
    if module == "flowgraph" or module.startswith("flowgraph."):
        return 0
    linecache.getlines(frame.f_code.co_filename, frame.f_globals)  # lets a module's loader provide its source
    return sum(first <= frame.f_lineno <= last for first, last in _finally_bodies(frame.f_code))


@functools.lru_cache(maxsize=1024)
def _finally_bodies(code: CodeType) -> tuple[tuple[int, int], ...]:
    """Return first and last line of each `finally` body in the file of `code`; none when there is no source."""
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return ()
    tries = [node for node in ast.walk(tree) if isinstance(node, (ast.Try, ast.TryStar)) and node.finalbody]
    return tuple((node.finalbody[0].lineno, node.finalbody[-1].end_lineno or 0) for node in tries)
