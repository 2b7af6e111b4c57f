"""Events: pydantic models with a name on the wire, and what is known about one once it has been received."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel


@dataclass(frozen=True)
class EventMeta:
    """What the receiver knows about an event besides its data: `ts` is aware, `source` is the sender if it said so."""

    id: str
    name: str
    ts: datetime
    source: str | None = None


class Event(BaseModel):
    """Base of all events; the fields are the event's data.

    `class Paid(Event, name="payment.completed")` sets the wire name (the class name otherwise). A base class without `name=`
    stands for all its subclasses in `on=` and `wait_for`. `aliases=("paid",)` are earlier names, on the wire or of the class:
    senders and runs that know the event by one of them still find it. `internal=True` declares that only the application's
    own workflows send and consume it.
    """

    __slots__ = ("__flowgraph_meta__",)

    event_name: ClassVar[str] = "Event"
    internal: ClassVar[bool] = False
    has_own_name: ClassVar[bool] = False
    event_aliases: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls, *, name: str | None = None, aliases: Sequence[str] = (), internal: bool = False, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.event_name = name or cls.__name__
        cls.internal = internal
        cls.has_own_name = name is not None
        cls.event_aliases = alias_names(aliases)

    @property
    def meta(self) -> EventMeta:
        """Return id, name, time and source. Raises `LookupError` for an event that nobody has received yet."""
        meta = meta_of(self)
        if meta is None:
            raise LookupError(f"event '{type(self).event_name}' was made here and not received: only a received event has `meta`")
        return meta


def alias_names(aliases: Sequence[str]) -> tuple[str, ...]:
    """Return the names given as `aliases=`; a text alone is one name, not its letters."""
    return (aliases,) if isinstance(aliases, str) else tuple(aliases)


def attach_meta(event: Event, meta: EventMeta) -> None:
    """Give `event` its meta. Kept outside the fields: it takes no part in equality or in the data sent."""
    object.__setattr__(event, "__flowgraph_meta__", meta)


def meta_of(event: Event) -> EventMeta | None:
    """Return the event's meta, or None when it has none."""
    found: EventMeta | None = getattr(event, "__flowgraph_meta__", None)
    return found
