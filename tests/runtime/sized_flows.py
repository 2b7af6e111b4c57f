"""Workflows whose input fits its types and yet may not be storable: a dataclass that keeps an attribute beside its fields."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flowgraph import Event, step, workflow


@dataclass
class Box:
    """Larger than a metre it notes something that nobody declared."""

    width: int
    labels: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.width > 100:
            setattr(self, "oversize", True)  # noqa: B010  # undeclared on purpose


class Load(BaseModel):
    """What is sent."""

    model_config = ConfigDict(alias_generator=to_camel)
    load_boxes: list[Box] = Field(default_factory=list)


class Sent(Event, name="load.sent"):
    """A load is on its way."""

    the_load: Load = Field(alias="theLoad")


@step
async def weigh(load: Load) -> int:
    """Weigh a load."""
    return len(load.load_boxes)


@workflow(on=Sent)
async def receive(event: Sent) -> int:
    """Started by an event."""
    return await weigh(event.the_load)


@workflow
async def stack(first: Box, others: dict[str, Box]) -> int:
    """Started by hand."""
    return first.width + len(others)
