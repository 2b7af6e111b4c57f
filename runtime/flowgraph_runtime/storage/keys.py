"""Keys of events and waits as they are stored, and their locks."""

from __future__ import annotations

from hashlib import sha256
from zlib import crc32

_LONGEST_VALUE = 120
NO_KEY = ("", "")
"""Path and value of a wait without a key."""


def stored_value(value: str) -> str:
    """A key's text as it is stored: long ones by their hash (an index entry has a limit)."""
    return value if len(value) <= _LONGEST_VALUE else f"sha256:{sha256(value.encode()).hexdigest()}"


def bucket(name: str, path: str, value: str) -> int:
    """The lock of this name and key, 0 to 255."""
    return crc32(f"{name}\0{path}\0{value}".encode()) & 255
