"""The language page: each example is refused where it says so, and comes to what it says, as Python and as a machine.

A line `# pay(Order(id="o-1"), events=[Paid(id="o-1")]) -> "paid"` in a block is a call, the events that are there from the start,
and the result, or `-> raises Late("o-1")`. A line that ends with `# error: FG113` is the place of that finding, and of no other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from flowgraph.direct import direct_run
from flowgraph.virtual import run_virtual
from flowgraph_compiler.diagnostics import Diagnostic, Level
from flowgraph_compiler.pipeline import Compilation, compile_application
from flowgraph_compiler.source import SourceError, from_text
from flowgraph_runtime import testing
from tests.docs.blocks import ROOT, Block, blocks

PAGE = ROOT / "docs" / "language.md"
BLOCKS = [block for block in blocks(PAGE) if block.language == "python"]
GOOD = [block for block in BLOCKS if "wrong" not in block.words]
WRONG = [block for block in BLOCKS if "wrong" in block.words]
CALL = re.compile(r"^# (\w+)\((.*)\) -> (.+)$", re.MULTILINE)
MARK = re.compile(r"# error: (FG\d{3}(?:, FG\d{3})*)")


@dataclass(frozen=True)
class Example:
    """A call that the page shows, and what it shows of its end."""

    name: str
    arguments: str
    end: str

    def bound(self, namespace: dict[str, Any]) -> tuple[tuple[Any, ...], list[Any]]:
        """The arguments and the events, made of the block's own classes."""
        arguments, named = eval(f"(lambda *a, **k: (a, k))({self.arguments})", dict(namespace))
        return arguments, named.get("events", [])

    def expected(self, namespace: dict[str, Any]) -> str:
        """The end as `seen` writes it."""
        value = eval(self.end.removeprefix("raises "), dict(namespace))
        return f"raises {value!r}" if self.end.startswith("raises ") else repr(value)


def load(block: Block) -> tuple[Compilation | None, list[Diagnostic]]:
    """Compile a block as a module of its own; None when it cannot even be imported."""
    try:
        module = from_text(block.text, f"language_{block.line}")
    except SourceError as refused:
        return None, list(refused.diagnostics)
    compilation = compile_application((module,))
    return compilation, list(compilation.diagnostics)


def seen(run: Callable[..., Any], *arguments: Any) -> str:
    """How a call ends."""
    try:
        return repr(run(*arguments))
    except Exception as error:
        return f"raises {error!r}"


@pytest.mark.parametrize("block", GOOD, ids=lambda block: f"line {block.line}")
def test_an_example_compiles_and_comes_to_what_it_says(block: Block) -> None:
    compilation, found = load(block)
    assert [f"{one.span.line} {one.rule.code} {one.message}" for one in found if one.severity is not Level.NOTE] == []
    assert compilation is not None
    namespace = vars(compilation.application.modules[0].module)
    for example in (Example(*call) for call in CALL.findall(block.text)):
        expected = example.expected(namespace)
        assert seen(run_virtual, direct(example, namespace)) == expected, f"{block.place} as Python: {example}"
        assert seen(asyncio.run, machine(example, namespace, compilation)) == expected, f"{block.place}: {example}"


async def direct(example: Example, namespace: dict[str, Any]) -> Any:
    """Run the call as Python."""
    arguments, events = example.bound(namespace)
    async with direct_run(events=events):
        return await namespace[example.name](*arguments)


async def machine(example: Example, namespace: dict[str, Any], compilation: Compilation) -> Any:
    """Run the call on the engine."""
    arguments, events = example.bound(namespace)
    async with testing.engine(compilation, skip_time=True, on_schedule=False) as app:
        run = await app.start(namespace[example.name], *arguments)
        for event in events:
            await app.send(event)
        return await run.result()


@pytest.mark.parametrize("block", WRONG, ids=lambda block: f"line {block.line}")
def test_a_wrong_example_is_refused_where_it_says(block: Block) -> None:
    lines = enumerate(block.text.splitlines(), 1)
    marked = {(number, code) for number, line in lines if (mark := MARK.search(line)) for code in mark[1].split(", ")}
    _, found = load(block)
    codes = {code for _, code in marked}
    told = {(one.span.line, one.rule.code) for one in found if one.severity is Level.ERROR or one.rule.code in codes}
    assert marked, block.place
    assert told == marked, [f"{one.span}: {one.rule.code} {one.message}" for one in found]


def test_most_examples_are_run() -> None:
    assert sum(bool(CALL.search(block.text)) for block in GOOD) >= 11
