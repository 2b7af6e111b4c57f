"""Where runs stand, read from their stored states without decoding a value: PURE."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeAlias

from flowgraph_compiler.differences import action_title
from flowgraph_compiler.machine import Machine, Suspend
from flowgraph_compiler.safe_points import Call, Place, Position


def position_of(state: str) -> Position:
    """The position in the text of a state (see `engine.state`)."""
    document = json.loads(state)
    return Position(document["phase"], document.get("cancel_reason") is not None, _place(document["main"], 0))


def _place(token: dict[str, Any], index: int) -> Place:
    wait = token["wait"]
    frames = tuple(Call(function, block, frozenset([*names, *cursors])) for function, block, names, cursors in token["frames"])
    return Place(
        frames,
        _kind(token),
        busy=wait is not None and wait[0] == "step" and wait[5],
        index=index,
        undos=tuple(done[0] for scope in token.get("scopes", ()) if scope[0] == "saga" for done in scope[1]),
        branches=frozenset(_branches(wait)),
    )


def _kind(token: dict[str, Any]) -> str:
    wait = token["wait"]
    if wait is None or token["cancel"] or token.get("expired"):
        return "ending"
    if wait[0] == "group":
        return "undo" if wait[10] is not None else "ending" if wait[3] else "group"
    abandoned = wait[6] if wait[0] == "step" else wait[4] if wait[0] == "child" else False
    return "ending" if abandoned else str(wait[0])


def _branches(wait: list[Any] | None) -> Iterator[Place]:
    """The branches that have not ended; those of a fan-out that stand alike are one, whatever their number."""
    if wait is not None and wait[0] == "group" and wait[10] is None:
        for index, token in wait[7]:
            yield _place(token, index)


def spot(machine: Machine, position: Position) -> str:
    """The place as people look for it: `shop.py:21, wait for 'Paid'`."""
    call = position.main.frames[-1]
    block = machine.functions[call.function].blocks[call.block]
    if not isinstance(block.terminator, Suspend):
        return f"block {call.block}"
    action = block.terminator.action
    line = next((node.line for node in machine.nodes if node.site == action.site), None)
    what = action_title(action)
    return what if line is None else f"{PurePath(machine.file).name or machine.workflow}:{line}, {what}"


@dataclass(frozen=True)
class Standing:
    """Runs of a machine that stand alike; `position` is None for those that are on their way."""

    position: Position | None
    runs: int
    examples: tuple[str, ...]


Standings: TypeAlias = tuple[Standing, ...]


def gathered(runs: Iterable[tuple[str, str | None]], examples: int) -> Standings:
    """Where runs stand, each given by its id and the text of its state (None: on its way). At most so many `examples` of each."""
    counts: Counter[Position | None] = Counter()
    ids: dict[Position | None, list[str]] = {}
    for id, state in runs:
        position = None if state is None else position_of(state)
        counts[position] += 1
        known = ids.setdefault(position, [])
        if len(known) < examples:
            known.append(id)
    return tuple(Standing(position, count, tuple(ids[position])) for position, count in counts.items())
