"""Which scopes (`async with`) are open at each block of a function: the same on every way to it."""

from __future__ import annotations

from flowgraph_compiler.expressions import Const, Local, TupleOf
from flowgraph_compiler.jumps import successors
from flowgraph_compiler.machine import Block, CloseScope, Finish, Goto, OpenScope, Suspend
from flowgraph_compiler.statements import Assign

Sites = tuple[str, ...]


class UnbalancedScopes(ValueError):
    """A block closes a scope that is not open, or two ways to it differ in what is."""

    def __init__(self, block: int) -> None:
        super().__init__(f"the scopes at block {block} are not balanced")
        self.block = block


def open_scopes(blocks: tuple[Block, ...]) -> dict[int, Sites]:
    """The sites of the scopes around each block that can be reached, outermost first. Raises `UnbalancedScopes`."""
    found: dict[int, Sites] = {}
    waiting: list[tuple[int, Sites]] = [(0, ())]
    while waiting:
        number, sites = waiting.pop()
        if number not in found:
            found[number] = sites
            waiting += _onward(number, blocks[number], sites)
        elif found[number] != sites:
            raise UnbalancedScopes(number)
    return found


def _onward(number: int, block: Block, sites: Sites) -> list[tuple[int, Sites]]:
    """The blocks that a block leads to. Opening fails outside the scope, and so does closing."""
    inside = outside = sites
    match block.terminator:
        case Suspend(action=OpenScope(site=site)):
            inside = (*sites, site)
        case Suspend(action=CloseScope(site=site)):
            if sites[-1:] != (site,):
                raise UnbalancedScopes(number)
            inside = outside = sites[:-1]
        case Finish() if sites:
            raise UnbalancedScopes(number)
        case _:
            pass
    handled = [] if block.handler is None or _only_records(block) else [(block.handler, outside)]
    return [*((target, inside) for target in successors(block.terminator)), *handled]


def _only_records(block: Block) -> bool:
    """Whether a block only writes how a scope is left: it stands in the scope, its handler does not, and nothing in it fails."""
    written = [op.value.items if isinstance(op, Assign) and isinstance(op.value, TupleOf) else None for op in block.ops]
    return isinstance(block.terminator, Goto) and all(
        items is not None and all(isinstance(item, Const | Local) for item in items) for items in written
    )
