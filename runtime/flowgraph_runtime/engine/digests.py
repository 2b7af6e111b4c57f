"""A checksum of a decision's commands: the fold of a journal must come to the same one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zlib import crc32

from flowgraph_runtime.engine import commands as c

_SHOWN = frozenset({int, float, bool, str, bytes, type(None), Decimal, UUID, date, datetime})
_SIZED = frozenset({list, tuple, dict, set})


def digest(commands: Iterable[c.Command]) -> int:
    """Return the checksum. It covers what is decided, not the tracebacks or object identities that come with it."""
    total = 0
    for command in commands:
        total = crc32(_SIGNS[type(command)](command).encode("utf-8", "surrogatepass"), total)
    return total


def _value(value: object) -> str:
    kind = type(value)
    if kind in _SHOWN:
        return repr(value)
    return f"{kind.__name__}{len(value)}" if isinstance(value, Sized) and kind in _SIZED else kind.__name__


def _run_step(x: c.RunStep) -> str:
    if _SHOWN.issuperset(map(type, x.arguments)):
        words: object = x.arguments
    else:
        words = [_value(value) for value in x.arguments]
    keywords = [(name, _value(value)) for name, value in x.keywords.items()] if x.keywords else ""
    return f"step {x.serial} {x.site} {x.visit} {x.attempt} {words}{keywords}"


_SIGNS: dict[type, Callable[[Any], str]] = {
    c.RunStep: _run_step,
    c.AbandonStep: lambda x: f"abandon {x.serial} {x.interrupt}",
    c.SetTimer: lambda x: f"timer {x.serial} {x.due} {x.kind}",
    c.ClearTimer: lambda x: f"clear {x.serial}",
    c.OpenWait: lambda x: f"wait {x.serial} {x.names} {x.keys} {x.since_start}",
    c.CloseWait: lambda x: f"close {x.serial}",
    c.EmitEvent: lambda x: f"emit {x.event_id} {type(x.event).__name__}",
    c.StartRun: lambda x: f"start {x.run_id} {x.workflow} {x.serial} {x.payload}",
    c.CancelRun: lambda x: f"cancel {x.run_id}",
    c.EndRun: lambda x: f"end {x.status} {x.failed_step} {x.payload if x.status == 'completed' else ''}",
}
