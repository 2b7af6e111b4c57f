"""What compiling takes: a workflow of 500 steps, a package of 200 workflows; beside Python's own compile of the same text.

python -m benchmarks.compiling [--rounds 5]        # the import of the user's module is not counted
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.source import from_text

HEAD = """from __future__ import annotations
from flowgraph import parallel, sleep, step, workflow

@step
async def add(a: int, b: int = 1) -> int:
    return a + b

@step
async def note(text: str) -> None: ...

"""


BRANCH = """    a{0} = await add(total, {0})
    if a{0} > 10:
        total += await add(a{0}, b=2)
    else:
        await note(f"{{a{0}}} is small")
    try:
        total = await add(total)
    except ValueError as error:
        await note(str(error))"""


def branching(name: str, steps: int) -> str:
    """A workflow of so many steps, with branches and handlers around every other one of them."""
    return _workflow(name, (BRANCH.format(number) for number in range(steps // 5)))


def straight(name: str, steps: int) -> str:
    """A workflow of so many steps one after the other, which keeps all their results."""
    return _workflow(name, (f"    a{number} = await add(total, {number})\n    total += a{number}" for number in range(steps)))


def _workflow(name: str, body: Iterable[str]) -> str:
    return "\n".join([f"@workflow\nasync def {name}(n: int) -> int:", "    total = n", *body, "    return total", "", ""])


SOURCES = {
    "a workflow of 500 steps, straight": HEAD + straight("flow", 500),
    "a workflow of 500 steps in branches and handlers": HEAD + branching("flow", 500),
    "a package of 200 workflows of 10 steps": HEAD + "".join(branching(f"flow{number}", 10) for number in range(200)),
}


def measured(text: str, rounds: int) -> tuple[float, float]:
    """Seconds of our compile and of Python's, medians of rounds that take turns. Raises AssertionError for a bad text."""
    module = from_text(text, "compiled_for_time")
    ours, python = [], []
    for _ in range(rounds):
        ours.append(_seconds(lambda: compile_application([module])))
        python.append(_seconds(lambda: compile(text, "compiled_for_time.py", "exec", dont_inherit=True)))
    assert compile_application([module]).ok
    return statistics.median(ours), statistics.median(python)


def _seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def table(rounds: int) -> Iterator[str]:
    """The figures as Markdown."""
    yield f"Python {sys.version.split()[0]}, seconds of CPU, medians of {rounds} rounds."
    yield ""
    yield "| source | lines | compiled in s | of Python's own compile |"
    yield "| --- | --: | --: | --: |"
    for name, text in SOURCES.items():
        ours, python = measured(text, rounds)
        yield f"| {name} | {text.count(chr(10)):,} | {ours:.2f} | {ours / python:.0f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compiling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    print("\n".join(table(parser.parse_args().rounds)))


if __name__ == "__main__":
    main()
