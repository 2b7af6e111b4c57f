"""What `settle` gives for each call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Ok(Generic[T]):
    """The call ended with `value`."""

    value: T


@dataclass(frozen=True)
class Err:
    """The call failed for good with `error`."""

    error: Exception
