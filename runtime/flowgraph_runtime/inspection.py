"""Fetches what the history of a run is made of."""

from __future__ import annotations

from flowgraph_runtime.errors import MissingCode
from flowgraph_runtime.history import History
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.service import Service


async def history_of(row: RunRow, service: Service) -> History:
    """Return the history of a run as it is committed. Raises `MissingCode` when its machine needs classes that are gone; steps
    that are gone are not called here, so the page of a run that they ended stays."""
    registry = service.registry
    if row.machine in registry.machines:
        missing = registry.missing(row.machine)
    else:
        stored = await service.store.machine(row.machine)
        if stored is None:
            raise MissingCode(row.machine, [f"machine {row.machine}"])
        missing = registry.add_machine(row.machine, stored.text)
    journal = await service.store.journal(row.id)
    live = service.worker.owned.get(row.id) if service.worker is not None else None
    attempts = live.attempts if live is not None else {}
    starts = {serial: attempt.started_at for serial, attempt in attempts.items() if attempt.started_at is not None}
    try:
        return History(row, registry.program(row.machine), journal, starts)
    except Exception as error:
        if missing:
            raise MissingCode(row.machine, missing) from error
        raise
