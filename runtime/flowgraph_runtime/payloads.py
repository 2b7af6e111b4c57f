"""The stored form of many received events of one class at once: for those that hold nothing but texts, numbers and None."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import methodcaller
from types import NoneType
from typing import Any

import orjson

from flowgraph import Event
from flowgraph.codec import encode
from flowgraph_runtime.moments import moment
from flowgraph_runtime.records import EventRow
from flowgraph_runtime.texts import usual_texts, values_of
from flowgraph_runtime.verbatim import kinds_of

_PLAIN = {str, int, bool, float, NoneType}
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_BEFORE_ID = ',"meta":{"id":"'


class PlainPayloads:
    """Writes the payloads of events of one class as `codec.dumps` would write them with their meta: the fields by one call for
    all, around them texts that hardly differ. An eighth of the time."""

    def __init__(self, cls: type[Event]) -> None:
        self._cls = cls
        self._names = tuple(cls.model_fields)
        self._all = set(self._names)
        self._possible = not cls.__private_attributes__ and cls.model_config.get("extra") != "allow"
        self._head: str | None = None
        self._kinds = list((kinds_of(cls) or {}).values())

    def texts(self, events: Sequence[Event], rows: Sequence[EventRow]) -> list[str] | None:
        """Return the payload of each event, whose row has its id, name, time and source; None when one of them is not plain."""
        if not self._possible or set(map(type, events)) != {self._cls}:
            return None
        fields = [vars(event) for event in events]
        bodies = usual_texts(fields) if self._are_plain(fields) else None
        if bodies is None:
            return None
        head, sets, tails = self._beginning(events[0]), self._given(events), _metas(rows)
        return [
            f'{head}{body}{given}{_BEFORE_ID}{row.id}",{tail}'
            for body, given, row, tail in zip(bodies, sets, rows, tails, strict=True)
        ]

    def are_data(self, events: Sequence[Event], data: Sequence[str]) -> bool:
        """Whether these texts, from which the events were made, are their fields, all of them given, as `texts` writes them."""
        if not self._possible or set(map(type, events)) != {self._cls}:
            return False
        fields = [vars(event) for event in events]
        return usual_texts(fields) == data and self._are_plain(fields) and self._are_given(events)

    def take(self, data: Sequence[str]) -> bool | None:
        """Whether the class takes these texts as they are, and `are_data` would be true of its events; None when that has to be
        asked."""
        if not self._possible or not self._kinds:
            return None
        joined = f"[{','.join(data)}]"
        try:
            values: list[dict[str, Any]] = orjson.loads(joined)
        except orjson.JSONDecodeError:
            return False
        if len(values) != len(data) or set(map(type, values)) != {dict} or not all(map(self._names.__eq__, map(tuple, values))):
            return False
        columns: Iterable[tuple[Any, ...]] = zip(*map(values_of, values), strict=True)
        return all(map(_fits, columns, self._kinds)) and orjson.dumps(values) == joined.encode() and self._are_whole(data)

    def _are_whole(self, data: Sequence[str]) -> bool:
        """Whether each text is one of the flat objects that they are when joined: a text that began within a string would end
        that string by its second character, before a letter."""
        return all(map(methodcaller("startswith", f'{{"{self._names[0]}":'), data))

    def frame(self, event: Event, name: str, ts: int, source: str | None) -> tuple[str, str, str]:
        """Return what the payload of an event, all of whose fields are given, has before its fields, between them and its id, and
        after that."""
        return self._beginning(event), _BEFORE_ID, f'",{_meta(name, ts, source)}'

    def _are_plain(self, fields: Sequence[dict[str, Any]]) -> bool:
        if not all(map(self._names.__eq__, map(tuple, fields))):
            return False
        values = list(chain.from_iterable(map(values_of, fields)))
        kinds = set(map(type, values))
        if int in kinds and not _are_small(values):
            return False
        return kinds <= _PLAIN and (float not in kinds or all(math.isfinite(value) for value in values if type(value) is float))

    def _beginning(self, event: Event) -> str:
        """What comes before the fields: the name of the class, and what it is made of."""
        if self._head is None:
            tree: dict[str, Any] = encode(event)
            members = {name: tree[name] for name in ("$model", "of") if name in tree}
            self._head = f'{orjson.dumps(members).decode()[:-1]},"v":'
        return self._head

    def _are_given(self, events: Sequence[Event]) -> bool:
        return all(self._all == event.__pydantic_fields_set__ for event in events)

    def _given(self, events: Sequence[Event]) -> list[str]:
        """Which fields were given, for each event where some have their defaults."""
        if self._are_given(events):
            return [""] * len(events)
        given = [event.__pydantic_fields_set__ for event in events]
        return ["" if names == self._all else f',"set":{orjson.dumps(sorted(names)).decode()}' for names in given]


def _fits(values: Sequence[Any], taken: set[type]) -> bool:
    kinds = set(map(type, values))
    return kinds <= taken and (int not in kinds or _are_small(values))


def _are_small(values: Sequence[Any]) -> bool:
    """Whether those that are whole numbers have 64 bits: others the codec writes in its own way."""
    return all(_SMALLEST <= value <= _LARGEST for value in values if type(value) is int)


def _metas(rows: Sequence[EventRow]) -> list[str]:
    """What the meta of each event says after its id: the same for all that have come at one time from one source."""
    known = {(row.name, row.ts, row.source) for row in rows}
    if len(known) == 1:
        return [_meta(*known.pop())] * len(rows)
    return [_meta(row.name, row.ts, row.source) for row in rows]


def _meta(name: str, ts: int, source: str | None) -> str:
    return orjson.dumps({"name": name, "ts": moment(ts).isoformat(), "source": source}).decode()[1:] + "}"
