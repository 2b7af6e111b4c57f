"""The physical limit here: a loop that inserts one 130-byte row per step, 1,000 rows a commit, with the engine's durability.

python benchmarks/raw.py sqlite:///FILE ROWS [--per-commit N]
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import time
from pathlib import Path

PAYLOAD = '{"i":0,"ok":true,"value":42,"note":"' + "x" * 58 + '","tag":"bench"}'


def sqlite_rows(path: Path, rows: int, per_commit: int) -> list[float]:
    """Seconds of each commit: WAL, synchronous=FULL, `executemany` of `per_commit` tuples, which are made in that time."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode=wal")
    connection.execute("pragma synchronous=full")
    connection.execute("create table step (id integer primary key, run text, seq int, payload text)")
    seconds: list[float] = []
    for first in range(0, rows, per_commit):
        started = time.perf_counter()
        batch = [(f"run_{n % 1000:026d}", n, PAYLOAD) for n in range(first, min(first + per_commit, rows))]
        connection.execute("begin immediate")
        connection.executemany("insert into step (run, seq, payload) values (?, ?, ?)", batch)
        connection.execute("commit")
        seconds.append(time.perf_counter() - started)
    connection.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("rows", type=int)
    parser.add_argument("--per-commit", type=int, default=1000)
    args = parser.parse_args()
    cpu = time.process_time()
    seconds = sqlite_rows(Path(args.url.removeprefix("sqlite:///")), args.rows, args.per_commit)
    cpu, elapsed = time.process_time() - cpu, sum(seconds)
    print(
        json.dumps(
            {
                "rows": args.rows,
                "per_commit": args.per_commit,
                "seconds": round(elapsed, 4),
                "rows_per_s": round(args.rows / elapsed),
                "cpu_us_per_row": round(cpu / args.rows * 1e6, 1),
                "p50_ms": round(statistics.median(seconds) * 1000, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
