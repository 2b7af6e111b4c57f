"""Time zones in stored values: what `isoformat` leaves out of a moment, and zones that stand for themselves."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_core import TzInfo

from flowgraph.errors import CodecError

_PYDANTICS = "pydantic"
"""Stands for pydantic's own class of offsets, which it makes of text; no zone of the tz database has this name."""


def is_storable_zone(zone: tzinfo | None) -> bool:
    """Say whether a moment in this zone can be stored."""
    return zone is None or type(zone) in (timezone, TzInfo) or (type(zone) is ZoneInfo and bool(zone.key))


def beside_text(zone: tzinfo | None) -> dict[str, str]:
    """Return what has to be stored of the zone of a moment beside its text. Raises `CodecError`."""
    if zone is None or zone is UTC:
        return {}
    if not is_storable_zone(zone):
        raise CodecError(
            f"a time zone of type {type(zone).__name__} cannot be stored: use zoneinfo.ZoneInfo(...) or datetime.timezone"
        )
    if isinstance(zone, ZoneInfo):
        return {"zone": zone.key}
    return {"zone": _PYDANTICS} if isinstance(zone, TzInfo) else _own_name(zone)


def with_zone(value: Any, tree: dict[str, Any]) -> Any:
    """Return a datetime or time read from its text in the zone that `beside_text` described."""
    zone = tree.get("zone")
    if zone == _PYDANTICS:
        return value.replace(tzinfo=_pydantics(_offset(value)))
    if zone is not None:
        return value.replace(tzinfo=ZoneInfo(zone))
    return value if "name" not in tree else value.replace(tzinfo=timezone(_offset(value), tree["name"]))


def zone_tree(zone: tzinfo) -> dict[str, Any]:
    """Return the stored form of a zone that is a value itself. Raises `CodecError`."""
    beside = beside_text(zone)
    if isinstance(zone, ZoneInfo):
        return {"$zone": beside["zone"]}
    offset = _offset(zone)
    return {"$offset": [offset.days, offset.seconds, offset.microseconds], **beside}


def offset_zone(tree: dict[str, Any]) -> tzinfo:
    """Return the zone of a `$offset` tree."""
    offset = timedelta(*tree["$offset"])
    if tree.get("zone") == _PYDANTICS:
        return _pydantics(offset)
    return timezone(offset, tree["name"]) if "name" in tree else timezone(offset)


def _offset(moment: datetime | time | tzinfo) -> timedelta:
    offset = moment.utcoffset(None) if isinstance(moment, tzinfo) else moment.utcoffset()
    return offset if offset is not None else timedelta(0)


def _pydantics(offset: timedelta) -> tzinfo:
    return TzInfo(round(offset.total_seconds()))


def _own_name(zone: tzinfo) -> dict[str, str]:
    name = zone.tzname(None)
    return {} if name is None or name == timezone(_offset(zone)).tzname(None) else {"name": name}
