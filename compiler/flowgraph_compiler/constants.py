"""Module globals that a workflow may read: immutable values that can be stored, captured by value when it is compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import cast
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from flowgraph.codec import encode
from flowgraph.errors import CodecError

_SCALARS = (bool, int, float, str, bytes, Decimal, UUID, date, datetime, time, timedelta, timezone, ZoneInfo, range)


def is_constant(value: object) -> bool:
    """Whether a machine can capture the value: it is immutable and can be stored."""
    if not is_immutable(value):
        return False
    try:
        encode(value)
    except CodecError:
        return False
    return True


def is_immutable(value: object) -> bool:
    """Whether the value cannot change: scalars, enum members; tuples, frozen sets, frozen models and dataclasses of such."""
    if value is None or isinstance(value, Enum) or type(value) in _SCALARS:
        return True
    if isinstance(value, tuple | frozenset):
        return all(map(is_immutable, cast(Iterable[object], value)))
    if isinstance(value, BaseModel):
        return bool(type(value).model_config.get("frozen")) and all(map(is_immutable, vars(value).values()))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        is_frozen: bool = getattr(type(value), "__dataclass_params__").frozen  # noqa: B009  (a dunder that typeshed leaves out)
        return is_frozen and all(is_immutable(getattr(value, field.name)) for field in dataclasses.fields(value))
    return False
