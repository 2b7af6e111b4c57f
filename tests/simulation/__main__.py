"""Simulate many seeds.

python -m tests.simulation --seeds 20000 [--seed-from S] [--jobs 2] [--minutes M] [--no-ledger]
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.simulation import at_length
from verification import ledger


def main() -> None:
    """Run, print what was violated, and enter the result into the ledger; exit code 1 for a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20_000)
    parser.add_argument("--seed-from", type=int, help="default: go on where the ledger ends")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after that time")
    parser.add_argument("--no-ledger", action="store_true")
    args = parser.parse_args()
    first = at_length.next_seed() if args.seed_from is None else args.seed_from
    began = time.monotonic()
    found = at_length.run(args.seeds, first, args.jobs, args.minutes * 60)
    result = at_length.summary(found, first, time.monotonic() - began)
    print(json.dumps(result))
    if not args.no_ledger:
        ledger.enter(at_length.KIND, result)
    sys.exit(1 if found.violations else 0)


if __name__ == "__main__":
    main()
