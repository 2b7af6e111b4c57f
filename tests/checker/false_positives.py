"""Random valid programs through the checker, with all rules on: an error in one of them is a false positive.

python -m tests.checker.false_positives [--programs 10000] [--seed-from 0] [--no-ledger]

The programs are those of the differential comparison, which CPython runs. Warnings and notes are counted by rule: a generated
program does contain unreachable code and constant conditions.
"""

from __future__ import annotations

import argparse
import json
import linecache
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field

from flowgraph_compiler.diagnostics import Level
from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.source import from_text
from tests.differential.generator import generate
from verification import ledger

KIND = "false positives of the checker"


@dataclass
class Found:
    """What was said of a series of programs."""

    programs: int = 0
    lines: int = 0
    errors: list[str] = field(default_factory=list[str])
    others: Counter[str] = field(default_factory=Counter[str])


def check(seeds: range) -> Found:
    """Compile the program of each seed."""
    found = Found()
    for seed in seeds:
        program = generate(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own remarks on generated expressions
            compilation = compile_application([from_text(program.text, program.module)])
        found.programs += 1
        found.lines += program.text.count("\n")
        for one in compilation.diagnostics:
            if one.severity is Level.ERROR:
                found.errors.append(f"{program.name}, line {one.span.line}: {one.rule.code} {one.message}")
            else:
                found.others[one.rule.code] += 1
        sys.modules.pop(program.module, None)
        linecache.cache.pop(f"{program.module}.py", None)
    return found


def main() -> None:
    """Check, print, and enter the result into the ledger; exit code 1 for a false positive."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.checker.false_positives", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed-from", type=int, default=0)
    parser.add_argument("--no-ledger", action="store_true")
    args = parser.parse_args()
    began = time.monotonic()
    found = check(range(args.seed_from, args.seed_from + args.programs))
    result = {
        "programs": found.programs,
        "seed_from": args.seed_from,
        "lines": found.lines,
        "false_positives": len(found.errors),
        "warnings_and_notes": dict(found.others.most_common()),
        "python": sys.version.split()[0],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result), *found.errors[:20], sep="\n")
    if not args.no_ledger:
        ledger.enter(KIND, result)
    sys.exit(1 if found.errors else 0)


if __name__ == "__main__":
    main()
