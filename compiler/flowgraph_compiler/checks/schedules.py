"""FG310-FG312, and FG320, FG321 for `Cron`: schedules that cannot be read or that never come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args, get_type_hints

from flowgraph import Cron
from flowgraph_compiler import cron
from flowgraph_compiler.checks.options import duration_error
from flowgraph_compiler.declarations import Application, FlowDecl
from flowgraph_compiler.declared_at import option
from flowgraph_compiler.diagnostics import Diagnostic
from flowgraph_compiler.rulebook import RULES

_CHOICES = {name: get_args(get_type_hints(Cron)[name]) for name in ("catch_up", "overlap")}
_Report = Callable[[str, str, str], Diagnostic]
"""Code, message, help."""


def check(app: Application) -> Iterator[Diagnostic]:
    """The schedules of every workflow."""
    for flow in app.workflows.values():
        schedules = [trigger for trigger in flow.target.options.triggers() if isinstance(trigger, Cron)]
        report = _reporter(flow, app)
        for schedule in schedules:
            yield from _times(schedule, report)
            yield from _policies(schedule, report)
        yield from _repeated(schedules, report)


def _reporter(flow: FlowDecl, app: Application) -> _Report:
    def report(code: str, message: str, help_: str) -> Diagnostic:
        place = option(flow, "on", app)
        return Diagnostic(RULES[code], place, f"workflow '{flow.name}' {message}", help_, (), flow.name)

    return report


def _times(schedule: Cron, report: _Report) -> Iterator[Diagnostic]:
    try:
        if not cron.ever_fires(str(schedule.expression)):
            yield report("FG311", f"is never due: no day fits '{schedule.expression}'", 'Cron("0 0 28 2 *")')
    except cron.CronError as error:
        yield report(
            "FG310",
            f"has a schedule that cannot be read, '{schedule.expression}': {error}",
            'Cron("0 9 * * 1-5") or Cron("@daily")',
        )
    if cron.zone(str(schedule.tz)) is None:
        yield report(
            "FG312", f"has a schedule in the time zone '{schedule.tz}', which is none of the IANA database", 'tz="Europe/Paris"'
        )


def _policies(schedule: Cron, report: _Report) -> Iterator[Diagnostic]:
    for name, choices in _CHOICES.items():
        value = getattr(schedule, name)
        if value not in choices:
            shown = " or ".join(f'"{choice}"' for choice in choices)
            yield report("FG320", f"has a schedule with the unknown '{name}={value!r}'", f"{name}={shown}")
    wrong = None if schedule.jitter is None else duration_error(schedule.jitter)
    if wrong is not None:
        yield report("FG321", f"has a schedule with 'jitter={schedule.jitter!r}', which is no duration: {wrong}", 'jitter="30s"')


def _repeated(schedules: list[Cron], report: _Report) -> Iterator[Diagnostic]:
    seen: set[tuple[str, str]] = set()
    for schedule in schedules:
        try:
            identity = cron.five_fields(str(schedule.expression)), schedule.tz
        except cron.CronError:
            continue
        if identity in seen:
            yield report("FG310", f"has the schedule '{schedule.expression}' twice", "leave one of them out")
        seen.add(identity)
