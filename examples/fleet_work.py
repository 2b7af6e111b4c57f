"""What the nodes of `make fleet` do: deliveries of many short legs, which their sender can recall."""

from __future__ import annotations

import asyncio
import os

from flowgraph import Event, on, step, step_context, workflow

LEGS = int(os.environ.get("FLEET_LEGS", "60"))


class ParcelSent(Event, name="parcel.sent"):
    """A parcel is on its way."""

    parcel: str


class ParcelRecalled(Event, name="parcel.recalled"):
    """Its sender wants it back: its run is cancelled."""

    parcel: str


@step
async def drive(parcel: str, leg: int) -> str:
    """One leg, by whichever node owns the run."""
    step_context().logger.debug("leg %d of %s", leg, parcel)
    await asyncio.sleep(2)
    return os.environ.get("FLOWGRAPH_NODE", "one node")


@workflow(on=ParcelSent, cancel_on=[on(ParcelRecalled, where=lambda sent, recalled: recalled.parcel == sent.parcel)])
async def deliver(sent: ParcelSent) -> list[str]:
    """Drive leg by leg; the result names the nodes in their order."""
    nodes: list[str] = []
    for leg in range(LEGS):
        node = await drive(sent.parcel, leg)
        if not nodes or nodes[-1] != node:
            nodes.append(node)
    return nodes
