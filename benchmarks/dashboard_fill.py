"""Fills a database with finished runs: a few that the engine really ran, copied by SQL with ids, times and order of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from flowgraph_runtime.records import RunRow
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage import ENDED, Store
from flowgraph_runtime.storage.tables import METADATA

SPACING = 2_000_000
"""Microseconds between two copies: a million of them reach back 23 days."""
_CHUNK = 20_000
_SLOTS = 100
_SHARES = (("fulfil", 60), ("failing", 3), ("rare", 1), ("collect", 26), ("take_back", 10))
"""What each hundred copies are of; the runs are spread evenly among them."""


async def originals(service: Service) -> dict[str, int]:
    """Run one of each kind -> numbers of the runs."""
    await _send(service, "order.placed", {"order": "o-1", "amount": 5})
    await _send(service, "order.paid", {"order": "o-1"})
    await _send(service, "order.returned", {"order": "o-1"})
    await _all_ended(service)
    await _send(service, "order.placed", {"order": "o-2", "amount": -5})
    await _send(service, "order.paid", {"order": "o-2"})
    await service.intake.start("audit", {"amount": 1}, None)
    rows = await _all_ended(service)
    kinds = {("fulfil", "completed"): "fulfil", ("fulfil", "failed"): "failing", ("collect", "completed"): "collect"}
    kinds |= {("take_back", "completed"): "take_back", ("audit", "completed"): "rare"}
    ids = {kinds[row.workflow, row.status]: row.id for row in rows}
    sql = service.store._database.writing()
    return {kind: int(sql.rows("SELECT number FROM fg_run WHERE id = :id", id=id)[0][0]) for kind, id in ids.items()}


async def _send(service: Service, name: str, data: dict[str, Any]) -> None:
    from flowgraph_runtime.intake import Posted

    await service.intake.send([Posted(name=name, data=data, id=None, ts=None, source="benchmark")])


async def _all_ended(service: Service) -> list[RunRow]:
    while True:
        rows, _ = await service.store.runs(limit=200)
        if rows and all(row.status in ENDED for row in rows):
            return rows
        await asyncio.sleep(0.02)


def fill(store: Store, numbers: dict[str, int], count: int, now: int) -> None:
    """Add `count` copies, the newest of them now. Every tenth event has an unknown name and starts nothing."""
    sql = store._database.writing()
    slots = [kind for kind, share in _SHARES for _ in range(share)]
    spread = [slots[(slot * 37) % _SLOTS] for slot in range(_SLOTS)]
    first = {table: int(sql.rows(f"SELECT MAX(number) FROM {table}")[0][0]) + 1 for table in ("fg_run", "fg_event")}
    sql.run("CREATE TABLE pick (slot INTEGER PRIMARY KEY, run BIGINT, event BIGINT)")
    for slot, kind in enumerate(spread):
        run = numbers[kind]
        sql.run("INSERT INTO pick SELECT :slot, number, event FROM fg_run WHERE number = :run", slot=slot, run=run)
    for start in range(0, count, _CHUNK):
        values = {"low": start, "high": min(start + _CHUNK, count), "start": now - count * SPACING}
        sql.begin()
        for statement in _statements(first["fg_run"], first["fg_event"]):
            sql.run(statement, **values)
        sql.commit()
    sql.run("DROP TABLE pick")


def _statements(run: int, event: int) -> list[str]:
    numbers = "WITH RECURSIVE n(i) AS (SELECT CAST(:low AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :high)"
    started = "JOIN fg_event t ON t.number = COALESCE(p.event, 1)"
    picked = f"FROM n JOIN pick p ON p.slot = n.i % {_SLOTS}"
    at = f"(:start + n.i * {SPACING})"
    events = {
        "number": f"{event} + n.i",
        "id": _id("evt", f"{event} + n.i"),
        "received_at": at,
        "ts": at,
        "client_id": "NULL",
        "name": "CASE WHEN n.i % 10 = 9 THEN 'page.viewed' ELSE t.name END",
        "status": "CASE WHEN n.i % 1000 = 9 THEN 'unknown' ELSE t.status END",
    }
    runs = {
        "number": f"{run} + n.i",
        "id": _id("run", f"{run} + n.i"),
        "event": f"CASE WHEN t.event IS NULL THEN NULL ELSE {event} + n.i END",
        "created_at": at,
        "received_at": at,
        "started_at": f"{at} + (t.started_at - t.created_at)",
        "ended_at": f"{at} + (t.ended_at - t.created_at)",
    }
    journal = {"run": f"{run} + n.i"}
    taken = {"run": f"{run} + n.i", "event": f"{event} + n.i"}
    return [
        f"{_into('fg_event')} {numbers} {_select('fg_event', events)} {picked} {started}",
        f"{_into('fg_run')} {numbers} {_select('fg_run', runs)} {picked} JOIN fg_run t ON t.number = p.run",
        f"{_into('fg_journal')} {numbers} {_select('fg_journal', journal)} {picked} JOIN fg_journal t ON t.run = p.run",
        f"{_into('fg_taken')} {numbers} {_select('fg_taken', taken)} {picked} JOIN fg_taken t ON t.run = p.run",
    ]


def _columns(table: str) -> Sequence[str]:
    return [column.name for column in METADATA.tables[table].columns]


def _into(table: str) -> str:
    return f"INSERT INTO {table} ({', '.join(_columns(table))})"


def _select(table: str, changed: dict[str, str]) -> str:
    return f"SELECT {', '.join(changed.get(column, f't.{column}') for column in _columns(table))}"


def _id(prefix: str, number: str) -> str:
    """26 digits, as a ULID has letters; the last ones count."""
    return f"'{prefix}_01' || substr('000000000000000000000000' || ({number}), -24)"
