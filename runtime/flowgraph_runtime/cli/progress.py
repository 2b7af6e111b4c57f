"""A run on the terminal: a step tree that moves, or plain lines where nobody looks at a screen.

Both read the JSON of the API: a run (`/v1/runs/{id}`) and its steps (`/v1/runs/{id}/steps`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

Row = Mapping[str, Any]

_MARKS = {
    "pending": ("○", "dim"),
    "running": ("●", "blue"),
    "waiting": ("◔", "cyan"),
    "sleeping": ("◔", "cyan"),
    "retrying": ("↻", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "cancelled": ("⊘", "magenta"),
    "skipped": ("–", "dim"),
}
ENDED = frozenset({"completed", "failed", "cancelled", "crashed"})
"""Statuses that a run does not leave."""


def tree(run: Row, steps: Sequence[Row], at: datetime | None = None) -> Group:
    """The run as a heading and a tree of its steps, pending ones included; `at` is the time for what is still running."""
    heading = Text.assemble((str(run["workflow"]), "bold"), f"  {run['id']}  ", (str(run["status"]), status_style(run["status"])))
    root = Tree(heading, guide_style="dim")
    branches = {None: root}
    for row in steps:
        parent = branches.get(row.get("parent"), root)
        branches[row["id"]] = parent.add(_line(row, at or datetime.now(UTC)))
    return Group(root)


def _line(row: Row, at: datetime) -> Text:
    instance: Row = row["instances"][-1] if row["instances"] else {"status": row["status"]}
    mark, style = _MARKS.get(shown_status(row, instance), ("?", ""))
    line = Text.assemble((f"{mark} ", style), (title(row), style if row["status"] in ("pending", "skipped") else ""))
    if row.get("count", 0) > 1:
        line.append(f" ×{row['count']}", "dim")
    spent = duration(instance, at)
    if spent:
        line.append(f"  {spent}", "dim")
    attempts = len(instance.get("attempts") or ())
    if attempts > 1:
        line.append(f"  attempt {attempts}", "yellow")
    problem = trouble(instance)
    if problem:
        line.append(f"  {problem}", "red" if row["status"] == "failed" else "yellow")
    return line


def title(row: Row) -> str:
    """What a row of the step list is called: a step by its name, the rest with its kind."""
    name, kind = str(row["name"]), str(row["kind"])
    return name if kind == "step" or name.startswith(kind) else f"{kind} {name}"


def shown_status(row: Row, instance: Row) -> str:
    """The status of a visit in words: a wait or a sleep that is open does not run."""
    open_as = {"wait": "waiting", "sleep": "sleeping"}
    return open_as.get(row["kind"], "running") if instance["status"] == "running" else str(instance["status"])


def trouble(instance: Row) -> str:
    """The newest error of an instance that has not completed, in one line."""
    if instance.get("status") == "completed":
        return ""
    error = instance.get("error") or next(
        (one["error"] for one in reversed(instance.get("attempts") or ()) if one.get("error")), None
    )
    return "" if not error else f"{error['type']}: {_first_line(error['message'])}"


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""


def duration(instance: Row, at: datetime) -> str:
    """How long an instance has taken, up to `at` when it has not ended; empty before it has started."""
    if not instance.get("started_at"):
        return ""
    begun = datetime.fromisoformat(instance["started_at"])
    ended = datetime.fromisoformat(instance["ended_at"]) if instance.get("ended_at") else at
    return readable_seconds(max((ended - begun).total_seconds(), 0.0))


def readable_seconds(seconds: float) -> str:
    """Seconds as people say them: 12 ms, 3.2 s, 5 min, 2 h, 3 d."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def status_style(status: str) -> str:
    """The colour of a run's status."""
    return {"completed": "green", "failed": "red", "crashed": "red", "cancelled": "magenta"}.get(status, "blue")


def changes(before: Sequence[Row], after: Sequence[Row]) -> Iterator[str]:
    """One line for everything that happened between two looks at the steps of a run."""
    known = {(row["id"], one["visit"]): one for row in before for one in row["instances"]}
    for row in after:
        for instance in row["instances"]:
            yield from _news(row, known.get((row["id"], instance["visit"])), instance)


def _news(row: Row, before: Row | None, after: Row) -> Iterator[str]:
    seen = len(before["attempts"]) if before else 0
    for number, attempt in enumerate(after["attempts"], 1):
        ended = attempt.get("error") and not (before and number <= seen and before["attempts"][number - 1].get("error"))
        if ended and number < len(after["attempts"]) + (after["status"] == "retrying"):
            error = attempt["error"]
            yield f"{title(row)}: attempt {number} failed: {error['type']}: {_first_line(error['message'])}"
    if before is None or before["status"] != after["status"]:
        spent = duration(after, datetime.now(UTC)) if after.get("ended_at") else ""
        reason = trouble(after) if after["status"] == "failed" else ""
        yield (
            f"{title(row)}: {shown_status(row, after)}" + (f" after {spent}" if spent else "") + (f": {reason}" if reason else "")
        )


class Progress:
    """Shows a run as it goes on: a live tree on a terminal, else lines. Use as a context manager; `update` at every change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self._steps: Sequence[Row] = ()
        self._status = ""

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, run: Row, steps: Sequence[Row]) -> None:
        """Show the present state."""
        if self._live is not None:
            self._live.update(tree(run, steps))
            return
        news = list(changes(self._steps, steps))
        if run["status"] != self._status:
            news.insert(len(news) if run["status"] in ENDED else 0, f"{run['workflow']} {run['id']}: {run['status']}")
        for line in news:
            self._print(line)
        self._steps, self._status = steps, run["status"]

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False)
