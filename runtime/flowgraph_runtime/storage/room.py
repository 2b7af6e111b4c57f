"""Room on the disk: what is new is refused before it runs out, so that what is under way can still be written."""

from __future__ import annotations

import time
from collections.abc import Callable

from flowgraph_runtime.storage.errors import DatabaseFull

_LOOK_EVERY = 0.02  # seconds: a look is a system call, and in a quarter of a second a busy writer fills 15 MB


class Room:
    """`free` answers the free bytes of the database's disk, None where nobody can tell; `reserve`: what is kept for runs that
    have been taken."""

    def __init__(self, free: Callable[[], int | None], reserve: int) -> None:
        self._free = free
        self._reserve = reserve
        self._looked_at = 0.0
        self._left: int | None = None

    def check(self) -> None:
        """Raises DatabaseFull when no more than the reserve is left."""
        now = time.monotonic()
        if self._reserve and now - self._looked_at > _LOOK_EVERY:
            self._looked_at, self._left = now, self._free()
        if self._left is not None and self._left < self._reserve:
            raise DatabaseFull(
                f"{self._left // 1_000_000} MB are left on the disk of the database: below {self._reserve // 1_000_000} MB "
                "(disk_reserve) nothing new is taken, so that what is under way can end"
            )
