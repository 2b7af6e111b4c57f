"""From rows of the database to the records of the runtime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flowgraph_runtime.records import InboxRow, JournalRow, RunRow

ID_MARK, DATA_MARK = "\1", "\2"
"""Where the id and the data of an event belong in its stored payload, if that does not repeat them. No JSON text holds these."""
PAYLOAD = f"replace(replace(e.payload, '{ID_MARK}', e.id), '{DATA_MARK}', e.data)"
"""The payload of an event `e`."""
INPUT = "COALESCE(r.input, (SELECT g.text FROM fg_large_input g WHERE g.run = r.number))"
"""The input of a run `r`, NULL when it is just its event's payload in a list."""
RUN_COLUMNS = (
    f"r.id, w.name, m.fingerprint, r.status, {INPUT}, r.created_at, r.received_at, e.id, r.started_at, r.ended_at, r.result,"
    " r.error, r.failed_step, r.failed_attempt, r.epoch, r.takeovers, p.id, r.parent_serial, r.idempotency_key, r.reason,"
    f" r.scheduled_at, {PAYLOAD}"
)
RUN_JOINS = (
    "JOIN fg_workflow w ON w.number = r.workflow JOIN fg_machine m ON m.number = r.machine"
    " LEFT JOIN fg_event e ON e.number = r.event LEFT JOIN fg_run p ON p.number = r.parent"
)
OWNED = "fg_run.epoch IS NOT DISTINCT FROM given.epoch"
"""Of a run that `given` names: whether the epoch still owns it. With `=` PostgreSQL would go through the index of owners, which
it takes for a small one when it has grown lately, and so through all runs of the owner for each of them."""
EVENT_COLUMNS = f"e.id, e.name, e.data, {PAYLOAD}, e.ts, e.received_at, e.source, e.client_id, e.status, e.reason"
JOURNAL_COLUMNS = "j.seq, j.at, j.kind, j.serial, j.payload, j.digest, j.site, j.visit, j.attempt, j.started_at"
INBOX_COLUMNS = f"i.position, r.id, i.id, i.kind, i.serial, i.payload, i.at, i.serials, e.id, {PAYLOAD}"


def run_row(row: Sequence[Any]) -> RunRow:
    """A row of RUN_COLUMNS."""
    run = RunRow(*row[:21])
    if row[4] is None:  # the event's payload is the only argument, and is not stored twice
        run.input = f"[{row[21]}]"
    return run


def journal_row(run_id: str, row: Sequence[Any]) -> JournalRow:
    """A row of JOURNAL_COLUMNS."""
    return JournalRow(run_id, *row)


def inbox_row(row: Sequence[Any]) -> InboxRow:
    """A row of INBOX_COLUMNS. For an offered event `id` is the event's and `payload` its codec text."""
    position, run_id, id, kind, serial, payload, at, serials, event_id, event_payload = row
    if event_id is None:
        return InboxRow(position, run_id, id, kind, serial, payload or "", at)
    return InboxRow(position, run_id, event_id, kind, serial, event_payload, at, tuple(json.loads(serials)))
