"""The physical limit here: a loop that inserts one 130-byte row per step, 1,000 rows a commit, with the engine's durability.

python benchmarks/raw.py sqlite:///FILE ROWS [--per-commit N]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from pathlib import Path

PAYLOAD = '{"i":0,"ok":true,"value":42,"note":"' + "x" * 58 + '","tag":"bench"}'


def sqlite_rows(path: Path, rows: int, per_commit: int) -> float:
    """Seconds that the rows take: WAL, synchronous=FULL, `executemany` of prepared tuples, one commit per batch."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("create table step (id integer primary key, run text, seq int, payload text)")
    started = time.perf_counter()
    for first in range(0, rows, per_commit):
        batch = [(f"run_{n % 1000:026d}", n, PAYLOAD) for n in range(first, min(first + per_commit, rows))]
        connection.execute("begin immediate")
        connection.executemany("insert into step (run, seq, payload) values (?, ?, ?)", batch)
        connection.execute("commit")
    elapsed = time.perf_counter() - started
    connection.close()
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("rows", type=int)
    parser.add_argument("--per-commit", type=int, default=1000)
    args = parser.parse_args()
    elapsed = sqlite_rows(Path(args.url.removeprefix("sqlite:///")), args.rows, args.per_commit)
    print(
        json.dumps(
            {
                "rows": args.rows,
                "per_commit": args.per_commit,
                "seconds": round(elapsed, 4),
                "rows_per_s": round(args.rows / elapsed),
            }
        )
    )


if __name__ == "__main__":
    main()
