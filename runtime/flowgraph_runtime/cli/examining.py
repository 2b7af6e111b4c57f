"""`flowgraph doctor`: proves the invariants of a database and looks at how it is set up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from flowgraph_runtime.cli.compiling import SomeTargets, compile_or_stop
from flowgraph_runtime.cli.connection import Database
from flowgraph_runtime.cli.console import Exit, Failure, show_json

if TYPE_CHECKING:
    from flowgraph_runtime.storage.checkup import Finding

_STYLES = {"ok": "green", "warning": "bold yellow", "broken": "bold red", "skipped": "dim"}


class DoctorFormat(Enum):
    """How `doctor` prints what it found."""

    TEXT = "text"
    JSON = "json"


def doctor(
    targets: SomeTargets = None,
    db: Database = None,
    format: Annotated[DoctorFormat, typer.Option(help="text for people, json: one document on stdout.")] = DoctorFormat.TEXT,
) -> None:
    """Examine a database: is everything that it promises true, and is it set up to keep it so?

    Reads only, and works while servers run: a SQLite file is opened read-only, PostgreSQL in read-only transactions, one for each
    check. It goes through the version of the tables, durability, the disk, the clocks, long transactions, workers and late
    timers; then through every invariant: each step recorded once, no run stuck, no row that points nowhere, no limit exceeded,
    one run for each cron tick. With a TARGET also whether that code has all that runs under way need.

    A line each: ok, warning, broken, skipped. Below a warning or a broken one stand rows that show it and what to do. Exit code
    0: sound (warnings allowed), 1: something is broken, 2: no such database. 'flowgraph doctor --format json | jq .findings' for
    programs: each has check, level, found, examples, advice.
    """
    from flowgraph_runtime.cli.settings import settings
    from flowgraph_runtime.storage.errors import StorageError

    chosen = settings(db=db)
    try:
        findings = list(_examined(targets or (), chosen.db, chosen.durability))
    except (StorageError, ValueError) as error:
        raise Failure(f"cannot examine the database: {error}", "name another one with --db", Exit.USAGE) from error
    if format is DoctorFormat.JSON:
        show_json({"database": _hidden(chosen.db), "findings": [asdict(found) for found in findings]})
    else:
        _print(findings, _hidden(chosen.db))
    if any(found.level == "broken" for found in findings):
        raise SystemExit(Exit.FAILED)


def _examined(targets: Sequence[str], url: str, durability: str) -> Iterator[Finding]:
    from flowgraph_runtime.storage.checkup import examine

    for number, found in enumerate(examine(url, durability=durability)):
        yield found
        if number == 0 and found.level == "ok":
            yield _code(targets, url)


def _code(targets: Sequence[str], url: str) -> Finding:
    from flowgraph_runtime.registry import Registry
    from flowgraph_runtime.storage.checkup import Finding
    from flowgraph_runtime.storage.deployed import live_machines

    if not targets:
        return Finding("code", "skipped", "give a TARGET to compare it with what runs under way need")
    registry = Registry.from_compilation(compile_or_stop(targets))
    gaps: list[str] = []
    live = live_machines(url)
    for one in live:
        missing = registry.add_machine(one.fingerprint, one.text)
        if missing:
            gaps.append(
                f"{one.runs} of {one.workflow} ({one.fingerprint}): missing {', '.join(missing)}; {', '.join(one.examples)}"
            )
    if gaps:
        advice = "put it back, or cancel these runs; 'flowgraph check --against' says where"
        return Finding("code", "broken", "runs under way need what this code lacks", tuple(gaps), advice)
    return Finding("code", "ok", f"has all that {sum(one.runs for one in live)} runs under way need")


def _hidden(url: str) -> str:
    """The URL without its password."""
    head, at, tail = url.rpartition("@")
    user, colon, _ = head.rpartition(":") if "://" in head and ":" in head.partition("://")[2] else (head, "", "")
    return f"{user}{':***' if colon else ''}{at}{tail}"


def _print(findings: Sequence[Finding], url: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(url, "bold"))
    for found in findings:
        console.print(Text.assemble((f"{found.level:8}", _STYLES[found.level]), " ", (found.check, "bold"), ": ", found.found))
        for example in found.examples:
            console.print(Text(f"           {example}", "dim"))
        if found.advice is not None:
            console.print(Text.assemble(("         do: ", "bold"), found.advice))
    counts = {level: sum(found.level == level for found in findings) for level in _STYLES}
    told = [f"{count} {level}" for level, count in counts.items() if count]
    console.print(Text(", ".join(told), "bold red" if counts["broken"] else "bold"))
