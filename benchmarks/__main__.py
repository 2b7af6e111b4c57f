"""Measures this engine beside a raw loop, and beside DBOS where there is one: `make bench`, `python -m benchmarks --help`.

Everything runs in processes of its own and in turn, round after round, so that a change of the machine's mood hits all alike;
the table has medians. A peer is measured when `FLOWGRAPH_PEER_DBOS` names a Python that has `dbos`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
PEER = "FLOWGRAPH_PEER_DBOS"


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the peer gets fewer runs, because it takes so much longer."""

    runs: int
    steps: int
    rows: int
    posts: int
    peer_runs: int


def commands(folder: Path, sizes: Sizes, peer: str | None) -> Iterator[tuple[str, list[str]]]:
    """What is run in each round, by name."""
    ours, raw = [sys.executable, "-m", "benchmarks.engine"], [sys.executable, "-m", "benchmarks.raw"]
    url, file = f"sqlite:///{folder / 'ours.db'}", f"sqlite:///{folder / 'raw.db'}"
    yield "chain", [*ours, "chain", url, str(sizes.runs), str(sizes.steps)]
    yield "raw", [*raw, file, str(sizes.rows)]
    yield "latency", [*ours, "latency", url, str(sizes.posts)]
    yield "raw commit", [*raw, file, str(sizes.posts), "--per-commit", "1"]
    if peer is not None:
        theirs = [peer, str(HERE / "peer_dbos.py")]
        yield "peer chain", [*theirs, "chain", str(folder / "peer.db"), str(sizes.peer_runs), str(sizes.steps)]
        yield "peer latency", [*theirs, "latency", str(folder / "peer.db"), str(sizes.posts)]


def measured(command: list[str]) -> dict[str, Any]:
    """The last line that a command prints, as JSON. Raises `SystemExit` with its output when it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=HERE.parent)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def rounds(count: int, sizes: Sizes, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All measurements, by name."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for number in range(count):
        for name, command in commands(folder, sizes, os.environ.get(PEER)):
            print(f"round {number + 1} of {count}: {name}", file=sys.stderr, flush=True)
            found[name].append(measured(command))
    return found


def table(found: dict[str, list[dict[str, Any]]], sizes: Sizes) -> str:
    """The medians as Markdown."""

    def middle(name: str, field: str) -> float:
        return float(median(one[field] for one in found[name]))

    rate, commit = middle("raw", "rows_per_s"), middle("raw commit", "p50_ms")
    lines = [
        f"SQLite, synchronous=FULL, one process, {os.cpu_count()} CPUs; medians of {len(found['raw'])} rounds.",
        "",
        f"| {sizes.runs} runs x {sizes.steps} steps | steps/s | of the raw loop | CPU us/step |",
        "| --- | --: | --: | --: |",
        f"| raw loop: one row a step, 1,000 a commit | {rate:,.0f} | 1 | {middle('raw', 'cpu_us_per_row'):.1f} |",
    ]
    cpu = middle("chain", "cpu_us_per_step")
    for name, field in (("flowgraph, starts included", "steps_per_s"), ("flowgraph, after the starts", "running_steps_per_s")):
        ratio = median(ours[field] / raw["rows_per_s"] for ours, raw in zip(found["chain"], found["raw"], strict=True))
        lines.append(f"| {name} | {middle('chain', field):,.0f} | {ratio:.3f} | {cpu:.1f} |")
    if "peer chain" in found:
        theirs = middle("peer chain", "steps_per_s")
        cpu = middle("peer chain", "cpu_us_per_step")
        lines.append(f"| DBOS, {sizes.peer_runs} runs | {theirs:,.0f} | {theirs / rate:.4f} | {cpu:,.0f} |")
    lines += ["", "| one step, one run after the other | p50 ms | of a raw commit |", "| --- | --: | --: |"]
    names = {
        "raw commit": "raw commit of one row",
        "latency": "flowgraph, HTTP post to completed",
        "peer latency": "DBOS, call in process",
    }
    for name, text in names.items():
        if name in found:
            lines.append(f"| {text} | {middle(name, 'p50_ms'):.2f} | {middle(name, 'p50_ms') / commit:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rows", type=int, default=100_000, help="of the raw loop")
    parser.add_argument("--posts", type=int, default=200, help="samples of the latency")
    parser.add_argument("--peer-runs", type=int, default=100)
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the table there, too")
    args = parser.parse_args()
    sizes = Sizes(args.runs, args.steps, args.rows, args.posts, args.peer_runs)
    with tempfile.TemporaryDirectory(prefix="flowgraph-bench-") as folder:
        text = table(rounds(args.rounds, sizes, Path(folder)), sizes)
    print(text)
    if args.save is not None:
        args.save.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
