"""Moves live runs to the machines of the deployed code, one transaction a run, where that is proven, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from flowgraph.codec import CodecError, loads
from flowgraph_compiler.declarations import FlowDecl
from flowgraph_compiler.safe_points import NotProven, prove
from flowgraph_runtime.deploy_plan import Fate, plan
from flowgraph_runtime.engine.folding import fold
from flowgraph_runtime.engine.moving import carry
from flowgraph_runtime.engine.state import references, snapshot
from flowgraph_runtime.errors import MissingCode
from flowgraph_runtime.inspection import program_of
from flowgraph_runtime.positions import position_of
from flowgraph_runtime.records import RunRow, Transition
from flowgraph_runtime.service import Service
from flowgraph_runtime.storage.errors import RunHeld
from flowgraph_runtime.storage.standings import at_rest

TRIES, PAUSE = 5, 0.2
"""How often a run is tried that a worker has in its hands, and seconds between."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a run: moved, or `why` not."""

    run_id: str
    workflow: str
    machine: str
    to: str
    why: str | None


async def fates(service: Service) -> list[Fate]:
    """What becomes of the live runs under the deployed code."""
    registry = service.registry
    machines = {workflow: registry.machine_of(workflow) for workflow in registry.current}
    return plan(await service.store.deployed_machines(), machines, registry.application)


async def move_all(service: Service, told: Callable[[Moved], None]) -> None:
    """Try to move every run that is at rest on another machine than that of the deployed code; `told` hears of each of them."""
    for fate in await fates(service):
        workflow = service.registry.workflow_named(fate.workflow)
        if workflow is None or fate.to is None or fate.outcome == "unaffected" or fate.why is not None:
            continue
        for run_id in await service.store.ask(partial(at_rest, workflow=fate.workflow, machine=fate.machine)):
            told(Moved(run_id, fate.workflow, fate.machine, fate.to, await _tried(run_id, fate.machine, fate.to, service)))


async def _tried(run_id: str, old: str, new: str, service: Service) -> str | None:
    """Why a run was not moved. A worker that has it in its hands lets go of it soon: after a start each run is looked at once."""
    why = ""
    for _ in range(TRIES):
        try:
            await move(run_id, old, new, service)
        except RunHeld as held:
            why = str(held)
            await asyncio.sleep(PAUSE)
        except (NotProven, MissingCode, CodecError) as refused:
            return str(refused)
        else:
            return None
    return why


async def move(run_id: str, old: str, new: str, service: Service) -> None:
    """Put a run on another machine of the deployed code, where it stands now.

    Raises `NotProven` with the reason when it must stay, `RunHeld` when it is not at rest, `MissingCode` and `CodecError` when
    its state cannot be read with the deployed code."""
    loaded = await service.store.load(run_id)
    row = loaded.run
    if row.epoch is not None or row.ended_at is not None or row.machine != old:
        raise RunHeld(run_id)
    before, _ = await program_of(row, service)
    rows = references(loaded.snapshot) if loaded.snapshot is not None else []
    results = await service.store.results(run_id, rows) if rows else {}
    state = fold(before, loaded, lambda wanted: {seq: results[seq] for seq in wanted})
    after = service.registry.program(new)
    prove(before.machine, after.machine, position_of(snapshot(state, before)))
    _check_arguments(row, service)
    moved = carry(state, before, after, row.input, service.clock.now())
    text = snapshot(state, after, by_reference=True)
    await service.store.move(Transition(run_id, rows=[moved], snapshot=(state.seq, text)), old, new)


def _check_arguments(row: RunRow, service: Service) -> None:
    """Machines say nothing of the types of parameters, so the values have to be what the deployed code declares."""
    registry = service.registry
    decl = registry.application.workflows[registry.workflow_named(row.workflow) or row.workflow]
    for name, tp, value in _arguments(decl, loads(row.input, registry.types)):
        try:
            TypeAdapter(tp).validate_python(value, strict=True)
        except Exception:  # whatever stops it: nothing is proven
            raise NotProven(f"its '{name}' is not what the new code takes") from None


def _arguments(decl: FlowDecl, values: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    ordered = sorted(decl.parameters, key=lambda each: each.keyword_only)
    for parameter, value in zip(ordered, values, strict=False):
        if parameter.type is not None:
            yield parameter.name, parameter.type, value
