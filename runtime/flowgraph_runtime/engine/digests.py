"""A checksum of a decision's commands: the fold of a journal must come to the same one.

Nearly all decisions are one step with plain arguments, whose checksum is taken from their JSON by two calls of C; it is told
from the other kind, which any commands have, by a bit above the 32 of the sum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zlib import crc32

import orjson

from flowgraph_runtime.engine import commands as c

_SHOWN = frozenset({int, float, bool, str, bytes, type(None), Decimal, UUID, date, datetime})
_SIZED = frozenset({list, tuple, dict, set})
_BY_JSON = 1 << 32
_json = orjson.dumps
_PLAIN_ONLY = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def digest(commands: Sequence[c.Command]) -> int:
    """Return the checksum. It covers what is decided, not the tracebacks or object identities that come with it."""
    if len(commands) == 1:
        only = commands[0]
        if type(only) is c.RunStep:
            call = (only.serial, only.site, only.visit, only.attempt, only.arguments, only.keywords)
            try:
                return _BY_JSON | crc32(_json(call, None, _PLAIN_ONLY))
            except orjson.JSONEncodeError:
                pass
    return _of_any(commands)


def agrees(commands: Sequence[c.Command], recorded: int) -> bool:
    """Whether the commands have the checksum that was recorded, of whichever kind it is."""
    return recorded == (digest(commands) if recorded & _BY_JSON else _of_any(commands))


def _of_any(commands: Iterable[c.Command]) -> int:
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
