"""The smallest program that still shows a difference: `python -m tests.differential.minimise SEED`.

Statements go first in large pieces, then in small ones (Zeller's delta debugging, over the lines' blocks), compound statements
give way to their bodies, then events, the cancel and the rest of what surrounds the run.
"""

from __future__ import annotations

import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from flowgraph_compiler.source import SourceError
from tests.differential.compare import Difference, compare_program
from tests.differential.generator import generate
from tests.differential.prelude import declarations
from tests.differential.programs import Program

TRIES = 600
"""Programs that are tried at most."""

Fails = Callable[[Program], "str | None"]


def difference_of(program: Program) -> str | None:
    """What kind of difference a program shows; None when there is none, or when it is no program at all."""
    try:
        compare_program(program)
    except Difference as difference:
        if isinstance(difference.__cause__, SourceError):
            return None
        return kind_of(str(difference))
    except SourceError:
        return None
    return None


def kind_of(message: str) -> str:
    """What must stay the same while a program shrinks: the rule that refuses it, the exception, or that results differ."""
    refused = re.search(r"refused: (FG\d{3})", message)
    if refused:
        return refused[1]
    return message.partition(": ")[2].partition(":")[0] if "\n  Python:" not in message else "differs"


def minimise(program: Program, fails: Fails = difference_of, tries: int = TRIES) -> Program:
    """A program, as small as it was found, that shows the same kind of difference."""
    kind = fails(program)
    if kind is None:
        raise ValueError(f"{program.name} shows no difference")
    return _Search(kind, fails, tries).shrunk(program)


class _Search:
    def __init__(self, kind: str, fails: Fails, tries: int) -> None:
        self._kind = kind
        self._fails = fails
        self._left = tries

    def _still(self, program: Program) -> bool:
        self._left -= 1
        return self._left >= 0 and self._fails(program) == self._kind

    def shrunk(self, program: Program) -> Program:
        program = self._surroundings(program)
        before = ""
        while program.functions != before and self._left > 0:
            before = program.functions
            for candidates in (without_blocks, without_headers):
                program = self._by(candidates, program)
        return self._surroundings(program)

    def _by(self, candidates: Callable[[list[str]], Iterator[list[str]]], program: Program) -> Program:
        found = True
        while found and self._left > 0:
            found = False
            for lines in candidates(program.functions.splitlines()):
                smaller = with_functions(program, "\n".join(lines) + "\n")
                if self._still(smaller):
                    program, found = smaller, True
                    break
        return program

    def _surroundings(self, program: Program) -> Program:
        simpler: tuple[dict[str, Any], ...] = ({"events": []}, {"late": []}, {"cancel_after": None}, {"cancel_during": None})
        for change in simpler:
            smaller = replace(program, **change)
            if smaller != program and self._still(smaller):
                program = smaller
        return program


def with_functions(program: Program, functions: str) -> Program:
    """The program with other functions, and what they need declared."""
    trigger = "Ping" if program.trigger is not None else "dict[str, int]"
    return replace(program, functions=functions, text=declarations(functions, trigger) + functions)


def without_blocks(lines: list[str]) -> Iterator[list[str]]:
    """The lines without one run of sibling blocks, the longest runs first."""
    runs = sorted(_runs(lines), key=lambda run: run[0] - run[1])
    for start, end in runs:
        indent = _indent(lines[start])
        is_whole = not any(_indent(line) == indent for line in _parent(lines, start, end))
        yield [*lines[:start], *([" " * indent + "pass"] if is_whole and indent else []), *lines[end:]]


def without_headers(lines: list[str]) -> Iterator[list[str]]:
    """The lines with one compound statement replaced by its body."""
    for start, line in enumerate(lines):
        end = _end(lines, start)
        if end > start + 1 and _indent(line):
            inner = textwrap.dedent("\n".join(lines[start + 1 : end])).splitlines()
            yield [*lines[:start], *(" " * _indent(line) + each for each in inner), *lines[end:]]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _end(lines: list[str], start: int) -> int:
    """Where the block that a line begins ends."""
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > _indent(lines[start])):
        end += 1
    return end


def _runs(lines: list[str]) -> Iterator[tuple[int, int]]:
    for start, line in enumerate(lines):
        if not line.strip():
            continue
        end, count = start, 0
        while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) == _indent(line)) and count < 32:
            end, count = _end(lines, end), count + 1
            if count in (1, 2, 3, 4, 8, 16, 32):
                yield start, end


def _parent(lines: list[str], start: int, end: int) -> list[str]:
    """The other lines of the body that a run of blocks stands in."""
    indent = _indent(lines[start])
    first, last = start, end
    while first and (not lines[first - 1].strip() or _indent(lines[first - 1]) >= indent):
        first -= 1
    while last < len(lines) and (not lines[last].strip() or _indent(lines[last]) >= indent):
        last += 1
    return [line for line in (*lines[first:start], *lines[end:last]) if line.strip()]


def report(program: Program, difference: str, tries: int = TRIES) -> str:
    """The minimal program of one that differs, with how to run it again."""
    smallest = minimise(program, tries=tries)
    try:
        compare_program(smallest)
    except Difference as again:
        difference = str(again)
    surroundings = {
        name: value
        for name in ("argument", "trigger", "events", "late", "cancel_after", "cancel_during")
        if (value := getattr(smallest, name)) not in (None, [])
    }
    return (
        f"{difference}\n\nA minimal program, with {surroundings}:\n\n{textwrap.indent(smallest.functions.strip(), '    ')}\n\n"
        f"Run it again: python -m tests.differential.minimise {program.seed}\n"
    )


def main() -> None:
    """Print the minimal program of a seed."""
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
    program = generate(int(sys.argv[1]))
    try:
        compare_program(program)
    except Difference as difference:
        print(report(program, str(difference)))
        sys.exit(1)
    print(f"{program.name} shows no difference")


if __name__ == "__main__":
    main()
