"""Rows of the store as the JSON of the interface."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from flowgraph.codec import TypeRegistry, loads, plain
from flowgraph.errors import error_names
from flowgraph_compiler.machine import Machine
from flowgraph_runtime.api.shapes import ErrorOut, EventOut, EventStatus, JournalEntry, KeyOut, RunOut, RunStatus
from flowgraph_runtime.engine.folding import input_of
from flowgraph_runtime.engine.inputs import CancelAsked, ChildEnded, EventOffered, Input, StepDone, StepFailed
from flowgraph_runtime.engine.moving import MOVE
from flowgraph_runtime.engine.reopening import RETRY
from flowgraph_runtime.moments import rfc3339
from flowgraph_runtime.records import EventRow, JournalRow, RunRow
from flowgraph_runtime.storage import ENDED, KeyRow


def time(at: int) -> str:
    """Return a time that is there as RFC 3339."""
    return rfc3339(at) or ""


def plain_text(text: str | None) -> Any:
    """Return a codec text as plain JSON, without type tags; None stays None."""
    return None if text is None else plain(json.loads(text))


def error_view(text: str | None, types: TypeRegistry, step: str | None = None, attempt: int | None = None) -> ErrorOut | None:
    """Return a stored error as type, message, step and attempt."""
    if text is None:
        return None
    tree: Any = json.loads(text)
    if set(tree) == {"type", "message"}:
        return ErrorOut(type=tree["type"], message=tree["message"], step=step, attempt=attempt)
    kind, message = _told(text, tree, types)
    return ErrorOut(type=kind, message=message, step=step, attempt=attempt)


def _told(text: str, tree: Any, types: TypeRegistry) -> tuple[str, str]:
    """Return an error's type and message. Its message is the author's own code, which may fail, and its class may have changed
    since: then what was stored is shown as it is."""
    try:
        error = loads(text, types)
        return error_names(error)[0], str(error)
    except Exception:
        shown: object = plain(tree)
        if not isinstance(shown, dict):
            return "Exception", str(shown)
        members = cast("dict[str, Any]", shown)
        return str(members.get("type", "Exception")), str(members.get("message", members))


def run_status(row: RunRow) -> RunStatus:
    """Return the run's status: a queued run that a worker has taken is running, even before its first outcome is written."""
    status: Any = "running" if row.status == "queued" and row.epoch is not None else row.status
    return status  # type: ignore[no-any-return]


def run_view(
    row: RunRow,
    types: TypeRegistry,
    current: list[str] | None = None,
    missing: Sequence[str] = (),
    machine: Machine | None = None,
) -> RunOut:
    """Return a run. An event workflow's input is its event's data; with parameters, an object by their names as they are in the
    run's `machine` (None, unknown here: a list). A run that needs code which is `missing` is shown as paused, with the reason:
    no worker of this deployment takes it."""
    parked = bool(missing) and row.status not in ENDED
    return RunOut(
        id=row.id,
        workflow=row.workflow,
        machine=row.machine,
        status="paused" if parked else run_status(row),
        input=_input(row, machine),
        event_id=row.event_id,
        scheduled_at=rfc3339(row.scheduled_at),
        result=plain_text(row.result),
        error=error_view(row.error, types, row.failed_step, row.failed_attempt),
        parent_id=row.parent_run,
        reason=f"the deployed code lacks {', '.join(missing)}" if parked else row.reason,
        created_at=time(row.created_at),
        started_at=rfc3339(row.started_at),
        ended_at=rfc3339(row.ended_at),
        current=current or [],
    )


def _input(row: RunRow, machine: Machine | None) -> Any:
    arguments: list[Any] = plain_text(row.input)
    if machine is not None and machine.parameter_kind == "parameters":
        main = machine.functions[0]
        return dict(zip((*main.parameters, *main.keyword_only), arguments, strict=False))
    return arguments[0] if len(arguments) == 1 else arguments


def journal_view(row: JournalRow) -> JournalEntry:
    """Return one input of a run with what it carries in plain JSON."""
    return JournalEntry(
        seq=row.seq,
        at=time(row.at),
        kind=row.kind,
        serial=row.serial,
        site=row.site,
        visit=row.visit,
        attempt=row.attempt,
        started_at=rfc3339(row.started_at),
        data=_by_hand(row) if row.kind in (MOVE, RETRY) else _carried(input_of(row)),
    )


def _by_hand(row: JournalRow) -> Any:
    """A retry: of which step; a move: from which machine to which. Its state is not shown."""
    told: dict[str, Any] = json.loads(row.payload)
    return {name: value for name, value in told.items() if name != "state"}


def _carried(given: Input) -> Any:
    match given:
        case StepDone(payload=payload):
            return plain_text(payload)
        case StepFailed(payload=payload, retry_at=retry_at, final=final):
            return {"error": plain_text(payload), "final": final, "retry_at": rfc3339(retry_at)}
        case EventOffered(event_id=event_id, payload=payload):
            return {"event_id": event_id, "event": plain_text(payload)}
        case ChildEnded(status=status, payload=payload):
            return {"status": status, "outcome": plain_text(payload)}
        case CancelAsked(reason=reason):
            return {"reason": reason}
        case _:
            return None


def event_view(row: EventRow, runs: tuple[str, ...] = ()) -> EventOut:
    """Return an event with the runs that it started or woke."""
    return EventOut(
        id=row.id,
        name=row.name,
        data=json.loads(row.data),
        ts=time(row.ts),
        received_at=time(row.received_at),
        source=row.source,
        client_id=row.client_id,
        status=cast("EventStatus", row.status),
        reason=row.reason,
        envelope=None if row.envelope is None else json.loads(row.envelope),
        runs=list(runs),
    )


def key_view(row: KeyRow, secret: str | None = None) -> KeyOut:
    """Return a key, with its secret only right after it was made."""
    return KeyOut(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=list(row.scopes),
        created_at=time(row.created_at),
        revoked_at=rfc3339(row.revoked_at),
        key=secret,
    )
