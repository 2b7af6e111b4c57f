"""Compare machines with CPython over many programs.

python -m tests.differential --programs 50000 [--seed-from S] [--jobs 2] [--minutes M] [--no-ledger]
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.differential import at_length
from verification import ledger


def main() -> None:
    """Run, print what differs with minimal programs, and enter the result into the ledger; exit code 1 for a difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--programs", type=int, default=50_000)
    parser.add_argument("--seed-from", type=int, help="default: go on where the ledger ends")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after that time")
    parser.add_argument("--no-ledger", action="store_true")
    args = parser.parse_args()
    first = at_length.next_seed() if args.seed_from is None else args.seed_from
    began = time.monotonic()
    found = at_length.run(args.programs, first, args.jobs, args.minutes * 60)
    result = at_length.summary(found, first, time.monotonic() - began)
    print(json.dumps(result))
    if not args.no_ledger:
        ledger.enter(at_length.KIND, result)
    sys.exit(1 if found.different else 0)


if __name__ == "__main__":
    main()
