"""Where blocks go."""

from __future__ import annotations

from flowgraph_compiler.machine import Advance, Choose, Goto, Resume, Suspend, Terminator, Test


def successors(terminator: Terminator) -> tuple[int, ...]:
    """The blocks that a terminator names, without the handler."""
    match terminator:
        case Goto(block) | Suspend(block=block):
            return (block,)
        case Test(_, then, orelse):
            return (then, orelse)
        case Choose(_, ways, orelse):
            return (*(way.block for way in ways), *(() if orelse is None else (orelse,)))
        case Advance(body=body, done=done):
            return (body, done)
        case Resume(_, normal, returns, jumps):
            return tuple(target for target in (normal, returns, *jumps) if target is not None)
        case _:
            return ()
