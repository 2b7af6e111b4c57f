"""Which variables each suspension has to keep: those that some way on, handlers included, reads before it writes them.

A backward fixpoint over the blocks of one function. The result of a suspension is unbound until it has ended, so it is kept
only where the handler reads its old value. Completion records, cursors and caught exceptions are variables like others.
"""

from __future__ import annotations

from dataclasses import replace

from flowgraph_compiler.jumps import successors
from flowgraph_compiler.lower.variables import NONE, Names, before, chosen, evaluated, every, reads, target_reads, writes
from flowgraph_compiler.machine import Advance, Block, Choose, Fail, Finish, Goto, Reraise, Resume, Suspend, Terminator, Test


def with_liveness(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks with `Suspend.live` filled in."""
    entries = _entries(blocks)
    return tuple(
        replace(block, terminator=replace(block.terminator, live=tuple(sorted(_kept(block, block.terminator, entries)))))
        if isinstance(block.terminator, Suspend)
        else block
        for block in blocks
    )


def _entries(blocks: tuple[Block, ...]) -> list[Names]:
    """What is live at the entry of each block."""
    entries = [NONE] * len(blocks)
    leading: list[list[int]] = [[] for _ in blocks]
    for number, block in enumerate(blocks):
        for target in (*successors(block.terminator), *(() if block.handler is None else (block.handler,))):
            leading[target].append(number)
    waiting, stale = list(range(len(blocks))), [True] * len(blocks)  # from the last block on: most ways lead forward
    while waiting:
        number = waiting.pop()
        stale[number] = False
        block = blocks[number]
        found = before(block.ops, _before(block.terminator, entries)) | _handled(block, entries)
        if found != entries[number]:
            entries[number] = found
            again = [each for each in leading[number] if not stale[each]]
            waiting += again
            for each in again:
                stale[each] = True
    return entries


def _kept(block: Block, end: Suspend, entries: list[Names]) -> Names:
    return (entries[end.block] - {end.result or ""}) | _handled(block, entries)


def _handled(block: Block, entries: list[Names]) -> Names:
    return NONE if block.handler is None else entries[block.handler] - {block.caught or ""}


def _before(end: Terminator, entries: list[Names]) -> Names:
    match end:
        case Goto(block):
            return entries[block]
        case Test(test, then, orelse):
            return evaluated(test, entries[then] | entries[orelse])
        case Choose(subject, ways, orelse):
            taken = [(way.pattern, way.guard, entries[way.block]) for way in ways]
            return chosen(subject, taken, NONE if orelse is None else entries[orelse])
        case Advance(cursor, target, body, done):
            return NONE | {cursor} | target_reads(target) | (entries[body] - writes(target)) | entries[done]
        case Suspend(action, result, block):
            return reads(action) | (entries[block] - {result or ""})
        case Finish(value):
            return reads(value)
        case Fail(exception, cause):
            return reads(exception) | reads(cause)
        case Reraise(variable):
            return frozenset({variable})
        case Resume(record, normal, returns, jumps):
            held = NONE if returns is None else entries[returns] - {"$return"}
            return held | {record} | every(entries[target] for target in (normal, *jumps) if target is not None)
