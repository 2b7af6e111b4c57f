"""What `fan_out` and `settle` accept, in the direct run and in a machine alike."""

from __future__ import annotations

from flowgraph.errors import LimitExceeded

FAN_OUT_LIMIT = 100_000
"""Most branches of one group."""


def check_fan_out(count: int, limit: object) -> None:
    """Raises `LimitExceeded` for too many branches, `ValueError` for a `limit` that is neither None nor a whole number from 1."""
    if count > FAN_OUT_LIMIT:
        raise LimitExceeded("the branches of a fan-out", FAN_OUT_LIMIT, count)
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ValueError(f"limit={limit!r}: it must be a whole number from 1")
