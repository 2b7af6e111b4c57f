"""From source lines to states: what an editor shows over a line of a workflow.

A state is a block of the machine: what is computed in one go, and what it then waits for. A line that has none of its own, as
a comment or the rest of a long statement, belongs to the state of the line before it in the same function.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from flowgraph_compiler import machine as m
from flowgraph_compiler.declarations import Application, FlowDecl
from flowgraph_compiler.pipeline import Compilation
from flowgraph_compiler.pretty import block_text


def line_states(compilation: Compilation, file: str) -> dict[int, str]:
    """Markdown for each line of a file that a function with a machine covers, by line number from 1."""
    found: dict[int, str] = {}
    for name, machine in compilation.machines.items():
        flows = {function.name: function for function in compilation.graphs[name].functions}
        for function in machine.functions:
            declared = _declared(function.name, compilation.application)
            if declared is not None and flows[function.name].span.file == file:
                found |= _spread(_states(function, machine), declared)
    return found


def _declared(name: str, app: Application) -> FlowDecl | None:
    return app.workflows.get(name) or app.subflows.get(name) or app.pures.get(name)


def _states(function: m.Function, machine: m.Machine) -> dict[int, str]:
    """By the lines that ops, terminators and branches of groups stand in."""
    numbers: defaultdict[int, list[int]] = defaultdict(list)
    lines = {node.site: node.line for node in machine.nodes}
    for number, block in enumerate(function.blocks):
        branches = [lines[site] for site in _sites(block.terminator) if site in lines]
        for line in dict.fromkeys((*block.lines, *branches)):
            numbers[line].append(number)
    return {line: _markdown(function, states) for line, states in numbers.items() if line}


def _sites(end: m.Terminator) -> Iterator[str]:
    waiting = [end.action] if isinstance(end, m.Suspend) else []
    while waiting:
        action = waiting.pop()
        yield action.site
        waiting += action.branches if isinstance(action, m.Group) else ()
        waiting += (action.branch,) if isinstance(action, m.FanOutGroup) else ()


def _spread(states: dict[int, str], declared: FlowDecl) -> dict[int, str]:
    """The states of all lines of a function's body."""
    first, last = declared.tree.body[0].lineno, declared.tree.end_lineno or 0
    spread: dict[int, str] = {}
    current = None
    for line in range(first, last + 1):
        current = states.get(line, current)
        if current is not None:
            spread[line] = current
    return spread


def _markdown(function: m.Function, numbers: list[int]) -> str:
    parts = [f"**state {number}** of {function.kind} `{function.name}`\n\n{_code(function, number)}" for number in numbers]
    return "\n\n".join(parts)


def _code(function: m.Function, number: int) -> str:
    block = function.blocks[number]
    end = block.terminator
    stored = ", ".join(f"`{name}`" for name in end.live if not name.startswith("$")) if isinstance(end, m.Suspend) else ""
    told = "" if not isinstance(end, m.Suspend) else f"\n\nstored while it waits: {stored or 'nothing'}"
    return f"```text\n{block_text(block)}\n```{told}"
