"""What `flowgraph check` costs on a package of many workflows, beside mypy on the same package.

python -m benchmarks.checking [--workflows 200] [--rounds 3]

Each is measured as a program, start to end: with nothing kept from before, and again with what the first run has kept. Prints the
medians, and their ratios to mypy of the same round. A round before the first fills the folder of Python's bytecode, because a
program that is installed has its bytecode, whatever this checkout and its environment say.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

PER_MODULE = 10
SHARED = '''"""What all workflows use."""

from flowgraph import Backoff, Event, step
from pydantic import BaseModel


class Placed(Event, name="bench.placed"):
    order: str
    cents: int
    items: list[str]


class Paid(Event, name="bench.paid"):
    order: str
    reference: str


class Receipt(BaseModel):
    order: str
    cents: int


@step(retries=5, backoff=Backoff("1s", factor=2, max="1m"), timeout="30s")
async def charge(order: str, cents: int) -> Receipt:
    return Receipt(order=order, cents=cents)


@step
async def reserve(item: str) -> int:
    return len(item)


@step
async def mail(order: str, text: str) -> None:
    print(order, text)
'''
WORKFLOW = '''

@workflow(on=Placed)
async def order_{n}(event: Placed) -> str:
    """Reserve, charge, wait for the payment; {n}."""
    reserved = await fan_out(reserve(item) for item in event.items)
    total = sum(reserved) + {n}
    attempts = 0
    paid = None
    while paid is None and attempts < 3:
        receipt = await charge(event.order, event.cents + total)
        paid = await wait_for(Paid, where=lambda paid: paid.order == event.order, timeout="24h")
        if paid is None:
            attempts += 1
            await sleep("1h")
        else:
            await mail(receipt.order, f"paid by {{paid.reference}}")
    try:
        first, second = await parallel(reserve("a"), reserve("b"))
    except ValueError as error:
        await mail(event.order, str(error))
        return "failed"
    return f"{{first + second}} after {{attempts}}"
'''


def write_package(folder: Path, workflows: int) -> None:
    """A package `shop` of that many workflows, ten in a module."""
    package = folder / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "shared.py").write_text(SHARED, encoding="utf-8")
    head = "from flowgraph import fan_out, parallel, sleep, wait_for, workflow\n\n"
    head += "from shop.shared import Paid, Placed, charge, mail, reserve\n"
    for first in range(0, workflows, PER_MODULE):
        bodies = [WORKFLOW.format(n=n) for n in range(first, min(first + PER_MODULE, workflows))]
        (package / f"orders_{first}.py").write_text(head + "".join(bodies), encoding="utf-8")


def seconds(command: list[str], folder: Path) -> float:
    """How long a program takes. Raises `SystemExit` with its output when it fails."""
    began = time.perf_counter()
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / ".bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env=env)
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return took


def one_round(folder: Path) -> dict[str, float]:
    """Each program cold, then warm."""
    for kept in (".flowgraph", ".mypy_cache"):
        shutil.rmtree(folder / kept, ignore_errors=True)
    check = [sys.executable, "-m", "flowgraph_runtime.cli", "check", "shop"]
    mypy = [sys.executable, "-m", "mypy", "--strict", "shop"]
    return {
        "check, cold": seconds(check, folder),
        "mypy, cold": seconds(mypy, folder),
        "check, warm": seconds(check, folder),
        "mypy, warm": seconds(mypy, folder),
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checking", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--workflows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowgraph-bench-") as name:
        write_package(Path(name), args.workflows)
        time.sleep(0.1)  # files as new as the check itself are not kept
        _, *rounds = [one_round(Path(name)) for _ in range(args.rounds + 1)]
    print(f"{args.workflows} workflows; medians of {args.rounds} rounds.\n\n| program | s | of mypy |\n| --- | --: | --: |")
    for name in rounds[0]:
        beside = median(one[name] / one[f"mypy,{name.partition(',')[2]}"] for one in rounds)
        print(f"| {name} | {median(one[name] for one in rounds):.2f} | {beside:.2f} |")


if __name__ == "__main__":
    main()
