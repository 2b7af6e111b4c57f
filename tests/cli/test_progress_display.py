"""Lines and tree of a run's progress, from the API's JSON."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from flowgraph_runtime.cli.progress import Progress, changes, readable_seconds, tree

AT = "2026-03-01T09:00:{:09.6f}Z"


def attempt(number: int, begun: float, ended: float | None = None, error: str | None = None) -> dict[str, Any]:
    return {
        "attempt": number,
        "status": "failed" if error else "completed" if ended is not None else "running",
        "started_at": AT.format(begun),
        "ended_at": None if ended is None else AT.format(ended),
        "error": {"type": "ConnectionError", "message": error} if error else None,
    }


def row(name: str, status: str = "pending", *attempts: dict[str, Any], kind: str = "step", **more: Any) -> dict[str, Any]:
    instances = []
    if attempts:
        last = attempts[-1]
        ended = last["ended_at"] if status in ("completed", "failed") else None
        instances = [{"visit": 1, "status": status, "attempts": list(attempts), "started_at": attempts[0]["started_at"]}]
        instances[0] |= {"ended_at": ended, "error": last["error"] if status == "failed" else None}
    data = {"id": f"w/{name}", "name": name, "kind": kind, "line": 1, "parent": None, "status": status, "instances": instances}
    return data | {"count": len(instances)} | more


RUN = {"id": "run_1", "workflow": "pay", "status": "running"}
FAILED_ONCE = attempt(1, 0, 1, "no answer\nand a second line")


def test_lines_tell_each_failed_attempt_once() -> None:
    retrying = [row("charge", "retrying", FAILED_ONCE)]
    again = [row("charge", "running", FAILED_ONCE, attempt(2, 2))]
    done = [row("charge", "completed", FAILED_ONCE, attempt(2, 2, 2.5))]
    assert list(changes([], retrying)) == ["charge: attempt 1 failed: ConnectionError: no answer", "charge: retrying"]
    assert list(changes(retrying, again)) == ["charge: running"]
    assert list(changes(again, done)) == ["charge: completed after 2.5 s"]
    assert list(changes([], done)) == ["charge: attempt 1 failed: ConnectionError: no answer", "charge: completed after 2.5 s"]
    assert list(changes(done, done)) == []


def test_a_failed_step_tells_its_error_with_its_end() -> None:
    failed = [row("charge", "failed", FAILED_ONCE)]
    assert list(changes([], failed)) == ["charge: failed after 1.0 s: ConnectionError: no answer"]


def test_open_waits_and_sleeps_do_not_run() -> None:
    steps = [row("Paid", "running", attempt(1, 0), kind="wait"), row("sleep 3d", "running", attempt(1, 0), kind="sleep")]
    assert list(changes([], steps)) == ["wait Paid: waiting", "sleep 3d: sleeping"]


def test_the_tree_has_pending_steps_and_branches_under_their_group() -> None:
    steps = [
        row("check", "completed", attempt(1, 0, 0.25)),
        row("parallel", "running", attempt(1, 1), kind="parallel"),
        row("mail", "retrying", FAILED_ONCE, parent="w/parallel"),
        row("[b]odd[/b] name", "pending"),
    ]
    console = Console(file=io.StringIO(), width=100)
    console.print(tree(RUN, steps, datetime(2026, 3, 1, 9, 0, 3, tzinfo=UTC)))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines == [
        "pay  run_1  running",
        "├── ✓ check  250 ms",
        "├── ● parallel  2.0 s",
        "│   └── ↻ mail  3.0 s  ConnectionError: no answer",
        "└── ○ [b]odd[/b] name",
    ]


def test_without_a_terminal_there_are_lines_in_order() -> None:
    console = Console(file=io.StringIO(), width=100)
    with Progress(console) as progress:
        progress.update(RUN, [row("check", "running", attempt(1, 0))])
        progress.update(RUN | {"status": "completed"}, [row("check", "completed", attempt(1, 0, 1))])
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "pay run_1: running",
        "check: running",
        "check: completed after 1.0 s",
        "pay run_1: completed",
    ]


def test_on_a_terminal_the_last_tree_stays() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    with Progress(console) as progress:
        progress.update(RUN | {"status": "completed"}, [row("check", "completed", attempt(1, 0, 1))])
    assert isinstance(console.file, io.StringIO)
    assert "✓ check  1.0 s" in console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0124, "12 ms"), (1.25, "1.2 s"), (119, "119.0 s"), (300, "5 min"), (9000, "2 h"), (260_000, "3 d")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert readable_seconds(seconds) == text
