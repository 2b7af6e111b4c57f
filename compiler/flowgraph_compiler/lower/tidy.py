"""Drafts to blocks: jumps that only jump are threaded, blocks nobody reaches dropped, straight lines merged, the rest numbered.

::

    b0: x = 1; goto b1                 b0: x = 1; y = 2; goto b0
    b1: goto b2                  ->
    b2: y = 2; goto b0
    b3: (nobody goes here)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from flowgraph_compiler.lower.drafts import Draft, Drafts, edges
from flowgraph_compiler.machine import Advance, Block, Choose, Goto, Resume, Suspend, Terminator, Test


def tidy(drafts: Drafts) -> tuple[Block, ...]:
    """The blocks of a function, the entry first, in the order of the source."""
    _thread(drafts)
    reached = _reached(drafts)
    order = [label for label in drafts.order if label in reached]
    kept = _merge(drafts, order)
    numbers = {label: number for number, label in enumerate(kept)}
    return tuple(_numbered(drafts.all[label].block(), numbers) for label in kept)


def _thread(drafts: Drafts) -> None:
    ends = {label: _end(drafts, label) for label in range(len(drafts.all))}
    for label in drafts.order:
        draft = drafts.all[label]
        assert draft.terminator is not None
        draft.terminator = renumbered(draft.terminator, ends)
        if draft.guard.handler is not None:
            draft.guard = replace(draft.guard, handler=ends[draft.guard.handler])


def _end(drafts: Drafts, label: int) -> int:
    """Where a jump to the label really goes."""
    seen: set[int] = set()
    while label not in seen:
        seen.add(label)
        draft = drafts.all[label]
        if draft.ops or not isinstance(draft.terminator, Goto):
            break
        label = draft.terminator.block
    return label


def _reached(drafts: Drafts) -> set[int]:
    reached: set[int] = set()
    waiting = [drafts.order[0]]
    while waiting:
        label = waiting.pop()
        if label not in reached:
            reached.add(label)
            waiting.extend(edges(drafts.all[label]))
    return reached


def _merge(drafts: Drafts, order: list[int]) -> list[int]:
    entries = Counter(target for label in order for target in edges(drafts.all[label]))
    entries[order[0]] += 1
    gone: set[int] = set()
    for label in order:
        if label in gone:
            continue
        draft = drafts.all[label]
        while (following := _only_follower(drafts, draft, entries)) is not None:
            _append(draft, drafts.all[following])
            gone.add(following)
    return [label for label in order if label not in gone]


def _only_follower(drafts: Drafts, draft: Draft, entries: Counter[int]) -> int | None:
    if not isinstance(draft.terminator, Goto):
        return None
    following = drafts.all[draft.terminator.block]
    same = following.guard == draft.guard and following is not draft
    return draft.terminator.block if same and entries[draft.terminator.block] == 1 else None


def _append(draft: Draft, following: Draft) -> None:
    draft.ops += following.ops
    draft.terminator, draft.node, draft.line = following.terminator, following.node, following.line


def _numbered(block: Block, numbers: dict[int, int]) -> Block:
    handler = None if block.handler is None else numbers[block.handler]
    return replace(block, terminator=renumbered(block.terminator, numbers), handler=handler)


def renumbered(terminator: Terminator, numbers: dict[int, int]) -> Terminator:
    """The terminator with other block numbers."""
    match terminator:
        case Goto(block):
            return Goto(numbers[block])
        case Suspend():
            return replace(terminator, block=numbers[terminator.block])
        case Test(test, then, orelse):
            return Test(test, numbers[then], numbers[orelse])
        case Choose(_, ways, orelse):
            moved = tuple(replace(way, block=numbers[way.block]) for way in ways)
            return replace(terminator, ways=moved, orelse=None if orelse is None else numbers[orelse])
        case Advance():
            return replace(terminator, body=numbers[terminator.body], done=numbers[terminator.done])
        case Resume(record, normal, returns, jumps):
            after, held = (None if target is None else numbers[target] for target in (normal, returns))
            return Resume(record, after, held, tuple(numbers[target] for target in jumps))
        case _:
            return terminator
