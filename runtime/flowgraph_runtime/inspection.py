"""Fetches what the history of a run is made of."""

from __future__ import annotations

import asyncio
from itertools import groupby

from msgspec.structs import replace

from flowgraph_runtime.engine.moving import MOVE, machines_of
from flowgraph_runtime.engine.program import Program
from flowgraph_runtime.errors import MissingCode
from flowgraph_runtime.history import History
from flowgraph_runtime.limits import waits_for
from flowgraph_runtime.records import JournalRow, RunRow
from flowgraph_runtime.service import Service

AT_ONCE = 250
"""Rows that are folded before others have their turn."""


async def history_of(row: RunRow, service: Service) -> History:
    """Return the history of a run as it is committed. Raises `MissingCode` when its machine needs classes that are gone; steps
    that are gone are not called here, so the page of a run that they ended stays."""
    program, missing = await program_of(row, service)
    try:
        known = service.histories.known(row)
        journal = await service.store.journal(row.id, -1 if known is None else known.seq)
        programs = {row.machine: program, **await _programs(row, journal, service)}
        history = known or History(row, programs[_first_machine(row, journal)])
        await _followed(history, journal, programs, row, service)
        history.hold(await _held_up(row, program, service))
    except Exception as error:
        service.histories.forget(row)
        if missing:
            raise MissingCode(row.machine, missing) from error
        raise
    service.histories.keep(row, history)
    return history


async def _programs(row: RunRow, journal: list[JournalRow], service: Service) -> dict[str, Program]:
    """The programs of the machines that a run was moved from and to."""
    machines = {machine for entry in journal if entry.kind == MOVE for machine in machines_of(entry)}
    return {machine: (await program_of(replace(row, machine=machine), service))[0] for machine in machines}


def _first_machine(row: RunRow, journal: list[JournalRow]) -> str:
    """The machine that a run has begun on."""
    return next((machines_of(entry)[0] for entry in journal if entry.kind == MOVE), row.machine)


async def _followed(
    history: History, journal: list[JournalRow], programs: dict[str, Program], row: RunRow, service: Service
) -> None:
    """Fold what is new. Two readers of one history may do so at the same time: each row counts once."""
    live = service.worker.owned.get(row.id) if service.worker is not None else None
    attempts = live.attempts if live is not None else {}
    history.look(row, {serial: one.started_at for serial, one in attempts.items() if one.started_at is not None})
    for first in range(0, len(journal), AT_ONCE):
        history.follow(journal[first : first + AT_ONCE], programs)
        if len(journal) > AT_ONCE:
            await asyncio.sleep(0)


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
