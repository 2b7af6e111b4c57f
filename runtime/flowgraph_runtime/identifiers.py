"""Ids of runs and events: ULIDs with a prefix, ever greater within a process, made before the transaction that stores them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ulid import ULID

from flowgraph_runtime.clock import Clock

_RANDOM_BITS = 80
_LOW_BITS = 20
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _LETTERS for second in _LETTERS)


@dataclass(frozen=True, slots=True)
class Seed:
    """What a sender gives so that each try of one sending has the same ids: milliseconds since 1970 and ten bytes of chance."""

    milliseconds: int
    chance: bytes

    def event(self, number: int) -> str:
        """Return the id of the sending's event with this number, from 1: the last four bytes count, as one big-endian number."""
        last = (int.from_bytes(self.chance[6:]) + number) % 2**32
        return f"evt_{ULID.from_bytes(self.milliseconds.to_bytes(6) + self.chance[:6] + last.to_bytes(4))}"


class Identifiers:
    """Makes ids from an injected clock and source of random bytes, so that a simulation repeats them.

    Within one millisecond the random part counts up (the ULID specification's monotonic rule), so ids sort by creation."""

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes] | None = None) -> None:
        self._clock = clock
        self._random_bytes = random_bytes or Random(os.urandom(16)).randbytes  # ids are no secrets; a system call each costs more
        self._last = 0
        self._high, self._head = -1, ""  # what is above the lowest bits of the last id, and its letters

    def run(self) -> str:
        """Return a new run id."""
        return f"run_{self._next()}"

    def event(self) -> str:
        """Return a new event id."""
        return f"evt_{self._next()}"

    def events(self, count: int) -> list[str]:
        """Return new event ids, all of one moment."""
        ids = [self.event()] if count else []
        while len(ids) < count:
            low = (self._last + 1) % len(_PAIRS)
            pairs = _PAIRS[low : low + count - len(ids)]
            self._last += len(pairs)
            head = f"evt_{self._letters()[:-2]}"
            ids += [head + pair for pair in pairs]
        return ids

    def key(self) -> str:
        """Return a new id of an API key."""
        return f"key_{self._next()}"

    def _next(self) -> str:
        milliseconds = self._clock.now() // 1000
        if milliseconds > self._last >> _RANDOM_BITS:
            self._last = (milliseconds << _RANDOM_BITS) | int.from_bytes(self._random_bytes(_RANDOM_BITS // 8))
        else:
            self._last += 1
        return self._letters()

    def _letters(self) -> str:
        """The last id as text. Ids that are made in a row differ in their last four letters: the others are kept."""
        high = self._last >> _LOW_BITS
        if high != self._high:
            self._high, self._head = high, str(ULID.from_int(self._last))[:-4]
        return f"{self._head}{_PAIRS[self._last >> 10 & 1023]}{_PAIRS[self._last & 1023]}"
