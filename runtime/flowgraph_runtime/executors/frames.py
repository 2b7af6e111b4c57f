"""Texts over a socket between a worker and a process of its pool: the length in four bytes, then UTF-8."""

from __future__ import annotations

import struct
from asyncio import StreamReader
from typing import BinaryIO

_LENGTH = struct.Struct(">I")


def framed(text: str) -> bytes:
    """Return the bytes that carry a text."""
    content = text.encode()
    return _LENGTH.pack(len(content)) + content


def read_frame(stream: BinaryIO) -> str | None:
    """Wait for the next text; None when the other side has closed."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    content = stream.read(length)
    return content.decode() if len(content) == length else None


async def receive(reader: StreamReader) -> str:
    """Wait for the next text. Raises `IncompleteReadError` when the other side has closed."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return (await reader.readexactly(length)).decode()
