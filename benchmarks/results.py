"""Samples of a run of the benchmarks, kept as JSON, and the figures that are made of them."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

Sample: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, str, int]
"""Workload, database, size."""
Measure: TypeAlias = Callable[[Sample], float]


def rate(sample: Sample) -> float:
    """Units a second."""
    return float(sample["count"] / sample["seconds"])


def cpu(sample: Sample) -> float:
    """CPU microseconds of a unit."""
    return float(sample["cpu"] / sample["count"] * 1e6)


def of(name: str) -> Measure:
    """A member of the sample."""
    return lambda sample: float(sample[name])


@dataclass
class Results:
    """`machine`: where and when; `missing`: what was not measured, and why; `samples`: as the programs print them, with the case,
    who it is of and the number of the round."""

    machine: dict[str, str]
    missing: dict[str, str] = field(default_factory=dict[str, str])
    samples: list[Sample] = field(default_factory=list[Sample])

    @classmethod
    def load(cls, file: Path) -> Results:
        """Read what `save` has written."""
        return cls(**json.loads(file.read_text(encoding="utf-8")))

    def save(self, file: Path) -> None:
        """Write all, a line a sample."""
        lines = ",\n  ".join(json.dumps(sample) for sample in self.samples)
        head = f'"machine": {json.dumps(self.machine)},\n "missing": {json.dumps(self.missing)}'
        file.write_text(f'{{{head},\n "samples": [\n  {lines}\n]}}\n', encoding="utf-8")

    def cases(self, workload: str | None = None) -> list[Key]:
        """The cases, in the order of their measuring."""
        keys = ((one["workload"], one["database"], one["size"]) for one in self.samples if workload in (None, one["workload"]))
        return list(dict.fromkeys(keys))

    def whose(self, key: Key) -> list[str]:
        """Who was measured in a case."""
        return list(dict.fromkeys(one["who"] for one in self._of(key)))

    def middle(self, key: Key, who: str, measure: Measure) -> float | None:
        """The median over the rounds; None when it was not measured."""
        found = [measure(one) for one in self._of(key) if one["who"] == who]
        return median(found) if found else None

    def ratio(self, key: Key, who: str, other: str, measure: Measure, other_key: Key | None = None) -> float | None:
        """The median of the rounds' ratios: of two measured in the same round, never of two medians; None without both."""
        ours = {one["round"]: measure(one) for one in self._of(key) if one["who"] == who}
        theirs = {one["round"]: measure(one) for one in self._of(other_key or key) if one["who"] == other}
        both = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        return median(both) if both else None

    def rounds(self, key: Key) -> int:
        """How many rounds a case had."""
        return max(one["round"] for one in self._of(key))

    def said(self, name: str) -> dict[str, str]:
        """A text that programs say of themselves (`durability`, `version`), by who and database."""
        return {f"{one['who']} ({one['database']})": str(one[name]) for one in self.samples if name in one}

    def _of(self, key: Key) -> list[Sample]:
        return [one for one in self.samples if (one["workload"], one["database"], one["size"]) == key]


def this_machine(folder: Path, root: Path) -> dict[str, str]:
    """What a reader must know to compare: the machine, the versions, the file system below the databases, the commit."""
    model = next((line.split(":", 1)[1].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")), "")
    memory = next((int(line.split()[1]) / 1e6 for line in _lines(Path("/proc/meminfo")) if line.startswith("MemTotal")), 0.0)
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _said("git", "-C", str(root), "describe", "--always", "--dirty"),
        "processor": f"{os.cpu_count()} x {model or platform.machine()}",
        "memory": f"{memory:.0f} GB",
        "load before": f"{os.getloadavg()[0]:.1f} (a quiet machine has 0)",
        "system": f"{platform.system()} {platform.release()}",
        "file system": _said("findmnt", "-no", "FSTYPE,OPTIONS", "--target", str(folder)),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return "unknown"
