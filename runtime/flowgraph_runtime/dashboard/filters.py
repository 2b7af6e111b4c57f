"""What a visitor looks for: the fields of a page's form, checked, as what the store is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from flowgraph_runtime.api.shapes import RunStatus
from flowgraph_runtime.dashboard.shell import BadRequest
from flowgraph_runtime.moments import microseconds
from flowgraph_runtime.storage.event_pages import EVENT_STATUSES, EventsWanted
from flowgraph_runtime.storage.keysets import Cursor, cursor_of
from flowgraph_runtime.storage.run_pages import RunsWanted

RUN_STATUSES: tuple[str, ...] = RunStatus.__args__  # type: ignore[attr-defined]  # of a Literal
WITHIN = {"15m": 15 * 60, "1h": 3_600, "24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
"""Spans of time that the form offers, in seconds."""
LONGEST = 200
"""Characters of a field."""
_RUN_FIELDS = ("workflow", "status", "event", "within", "from", "to")
_EVENT_FIELDS = ("name", "status")


@dataclass(frozen=True, slots=True)
class Form:
    """The fields that were filled in, and the address of the page that they belong to."""

    path: str
    fields: Mapping[str, str]
    cursor: Cursor

    def get(self, name: str) -> str:
        """Return what stands in a field."""
        return self.fields.get(name, "")

    @property
    def first(self) -> bool:
        """Whether this is the page with the newest rows."""
        return self.cursor.key is None

    def link(self, **changed: str | None) -> str:
        """Return the address of this list with further parameters (None: without)."""
        fields = {name: value for name, value in {**self.fields, **changed}.items() if value}
        return f"{self.path}?{urlencode(fields)}" if fields else self.path


def form_of(path: str, names: tuple[str, ...], query: Mapping[str, str]) -> Form:
    """Read the fields of a form. Raises `BadRequest` for a parameter that the page does not know."""
    unknown = sorted(set(query) - {*names, "before", "after"})
    if unknown:
        raise BadRequest(f"'{unknown[0]}' is not a field of this page; it has {', '.join(names)}")
    fields = {name: query[name].strip() for name in names if query.get(name, "").strip()}
    for name, value in fields.items():
        if len(value) > LONGEST or "\0" in value or not value.isprintable():
            raise BadRequest(f"'{name}' has at most {LONGEST} characters that can be printed")
    return Form(path, fields, _cursor(query))


def _cursor(query: Mapping[str, str]) -> Cursor:
    try:
        if query.get("after"):
            return cursor_of(query["after"], newer=True)
        return cursor_of(query["before"]) if query.get("before") else Cursor()
    except ValueError as error:
        raise BadRequest(f"'before' and 'after': {error}") from None


def run_form(query: Mapping[str, str], path: str = "/runs") -> Form:
    """Read the form of the list of runs."""
    return form_of(path, _RUN_FIELDS, query)


def event_form(query: Mapping[str, str]) -> Form:
    """Read the form of the list of events."""
    return form_of("/events", _EVENT_FIELDS, query)


def runs_wanted(form: Form, now: int, parked: frozenset[str]) -> RunsWanted:
    """Return what the form asks of the store. Raises `BadRequest`. An event is given by name or, with `evt_`, by id."""
    event = form.get("event") or None
    by_id = event is not None and event.startswith("evt_")
    since, until = _times(form, now)
    return RunsWanted(
        workflow=form.get("workflow") or None,
        status=_one_of(form, "status", RUN_STATUSES),
        event_name=None if by_id else event,
        event_id=event if by_id else None,
        since=since,
        until=until,
        parked=parked,
    )


def events_wanted(form: Form) -> EventsWanted:
    """Return what the form asks of the store. Raises `BadRequest`."""
    return EventsWanted(form.get("name") or None, _one_of(form, "status", EVENT_STATUSES))


def _one_of(form: Form, name: str, known: tuple[str, ...]) -> str | None:
    value = form.get(name)
    if value and value not in known:
        raise BadRequest(f"'{name}' is one of {', '.join(known)}")
    return value or None


def _times(form: Form, now: int) -> tuple[int | None, int | None]:
    within = _one_of(form, "within", tuple(WITHIN))
    since, until = _minute(form, "from"), _minute(form, "to")
    if since is not None and until is not None and since >= until:
        raise BadRequest("'from' is a time before 'to'")
    return (now - WITHIN[within] * 1_000_000 if within and since is None else since), until


def _minute(form: Form, name: str) -> int | None:
    text = form.get(name)
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"'{name}' is a time such as 2026-03-01T09:00, in UTC") from None
    return microseconds(when.replace(tzinfo=UTC) if when.tzinfo is None else when)
