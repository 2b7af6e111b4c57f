"""What the ledger comes to: `python -m verification.totals` writes the table of `docs/reliability.md`.

The page says from how many entries it was computed, so that a new entry does not make it wrong, only older than it could be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verification.ledger import LEDGER

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
BEGIN = "<!-- From the first {} entries of the ledger, by `python -m verification.totals`. -->"
END = "<!-- Up to here. -->"
_WRITTEN = re.compile(re.escape(BEGIN).replace(r"\{\}", r"(\d+)") + r"\n(.*?)\n" + re.escape(END), re.DOTALL)

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of the table. `done`: how much an entry of these `kinds` adds; `goal`: how much there shall be; `faults`: how many
    an entry found."""

    what: str
    kinds: tuple[str, ...]
    done: Callable[[Entry], float]
    goal: int
    unit: str
    faults: Callable[[Entry], int]


def _key(name: str) -> Callable[[Entry], float]:
    return lambda entry: float(entry.get(name, 0))


def _sum(*names: str) -> Callable[[Entry], int]:
    return lambda entry: sum(_size(entry.get(name, 0)) for name in names)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, list | dict) else int(value)


def _acked(entry: Entry) -> float:
    return float(entry.get("acked_events", entry.get("events", 0)))


_LOST = _sum("lost_events", "stuck", "wrong_results", "steps_missing", "violations", "over_the_limit", "leaked_slots", "faults")
_KILLED = ("kill -9", "kill -9 of limited steps", "fleet under attack", "soak", "soak of a fleet")
ROWS = (
    Row("the engine simulated under faults", ("engine simulation",), _key("seeds"), 20_000, "seeds", _sum("violations")),
    Row("real processes killed (`kill -9`)", _KILLED, _key("kills"), 1_000, "kills", _LOST),
    Row("events acknowledged around kills", _KILLED, _acked, 100_000, "events", _sum("lost_events")),
    Row("connections cut around COMMIT", ("fleet under attack",), _key("cuts"), 200, "cuts", _LOST),
    Row("processes stopped beyond their lease", ("fleet under attack",), _key("zombies"), 50, "zombies", _LOST),
    Row("event, wait and deadline at once", ("event/wait/deadline races",), _key("rounds"), 2_000, "rounds", _LOST),
    Row("mixed load for a long time", ("soak", "soak of a fleet"), _key("minutes"), 60, "minutes", _LOST),
    Row("random programs beside CPython", ("differential fuzzing",), _key("programs"), 200_000, "programs", _sum("differences")),
    Row("sound programs that are checked", ("false positives of the checker",), _key("programs"), 10_000, "programs",
        _sum("false_positives")),
)  # fmt: skip


def table(entries: Sequence[Entry]) -> str:
    """The table in Markdown."""
    lines = ["| attack | done | to reach | faults seen | newest commit |", "| --- | ---: | ---: | ---: | --- |"]
    for row in ROWS:
        found = [entry for entry in entries if entry["kind"] in row.kinds]
        done, faults = sum(map(row.done, found)), sum(map(row.faults, found))
        newest = f"`{found[-1]['commit']}`" if found else "-"
        lines.append(f"| {row.what} | {done:,.0f} {row.unit} | {row.goal:,} | {faults} | {newest} |")
    counted = {kind for row in ROWS for kind in row.kinds}
    others = {str(entry["kind"]): entry["commit"] for entry in entries if entry["kind"] not in counted}
    lines += [f"| {kind} | see the ledger | - | - | `{commit}` |" for kind, commit in others.items()]
    return "\n".join(lines)


def ledger() -> list[Entry]:
    """All entries, oldest first."""
    return [json.loads(line) for line in LEDGER.read_text(encoding="utf-8").splitlines()]


def written(page: str) -> tuple[int, str]:
    """How many entries the page has seen, and its table. Raises ValueError when it has none."""
    found = _WRITTEN.search(page)
    if found is None:
        raise ValueError(f"{PAGE.name} has no place for the table")
    return int(found[1]), found[2]


def renewed(page: str, entries: Sequence[Entry]) -> str:
    """The page with the table of these entries."""
    written(page)
    return _WRITTEN.sub(lambda _: f"{BEGIN.format(len(entries))}\n{table(entries)}\n{END}", page)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), ledger()), encoding="utf-8")
