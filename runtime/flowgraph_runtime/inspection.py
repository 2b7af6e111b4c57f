"""Fetches what the history of a run is made of."""

from __future__ import annotations

from itertools import groupby

from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.errors import MissingCode
from flowgraph_runtime.history import History
from flowgraph_runtime.limits import waits_for
from flowgraph_runtime.records import RunRow
from flowgraph_runtime.service import Service


async def history_of(row: RunRow, service: Service) -> History:
    """Return the history of a run as it is committed. Raises `MissingCode` when its machine needs classes that are gone; steps
    that are gone are not called here, so the page of a run that they ended stays."""
    program, missing = await program_of(row, service)
    journal = await service.store.journal(row.id)
    live = service.worker.owned.get(row.id) if service.worker is not None else None
    attempts = live.attempts if live is not None else {}
    starts = {serial: attempt.started_at for serial, attempt in attempts.items() if attempt.started_at is not None}
    try:
        return History(row, program, journal, starts, await _held_up(row, program, service))
    except Exception as error:
        if missing:
            raise MissingCode(row.machine, missing) from error
        raise


async def program_of(row: RunRow, service: Service) -> tuple[Program, list[str]]:
    """Return the program of a run's machine, and what it misses in the deployed code. Raises `MissingCode` without a machine."""
    registry = service.registry
    if row.machine in registry.machines:
        missing = registry.missing(row.machine)
    else:
        stored = await service.store.machine(row.machine)
        if stored is None:
            raise MissingCode(row.machine, [f"machine {row.machine}"])
        missing = registry.add_machine(row.machine, stored.text)
    return registry.program(row.machine), missing


async def _held_up(row: RunRow, program: Program, service: Service) -> dict[int, str]:
    """Why attempts of the run do not start, by serial; 0 stands for the run itself."""
    if not program.machine.limits or row.ended_at is not None:
        return {}
    waiting = sorted(await service.store.slots.waiting(row.id), key=lambda slot: slot.serial)
    return {serial: waits_for(slots) for serial, slots in groupby(waiting, key=lambda slot: slot.serial)}


async def reason_of(row: RunRow, service: Service) -> str | None:
    """Return why a run that is not over is where it is, None when there is nothing to tell."""
    registry = service.registry
    if row.epoch is not None or row.ended_at is not None or row.machine not in registry.machines:
        return row.reason
    return (await _held_up(row, registry.program(row.machine), service)).get(0, row.reason)
