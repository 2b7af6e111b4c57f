"""Keys of the API: only their SHA-256 is stored."""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection, text

from flowgraph_runtime.storage.text import check_text
from flowgraph_runtime.storage.transaction import Tx

T = TypeVar("T")


class _Write(Protocol):
    def __call__(self, act: Callable[[Tx], T]) -> Awaitable[T]: ...


class _Read(Protocol):
    def __call__(self, query: Callable[[Connection], T]) -> Awaitable[T]: ...


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key without its secret. `prefix`: its first letters, to recognise it by."""

    id: str
    name: str
    prefix: str
    sha256: str
    scopes: tuple[str, ...]
    created_at: int
    revoked_at: int | None = None


def create_key(tx: Tx, key: KeyRow) -> None:
    """Store a new key."""
    check_text("an API key", key.id, key.name, key.prefix, *key.scopes)
    tx.sql.run(
        "INSERT INTO fg_api_key (id, name, prefix, sha256, scopes, created_at)"
        " VALUES (:id, :name, :prefix, :sha256, :scopes, :at)",
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        sha256=key.sha256,
        scopes=" ".join(key.scopes),
        at=key.created_at,
    )


def revoke_key(tx: Tx, id: str) -> bool:
    """Revoke a key for good; False when there is no such key in use."""
    return tx.sql.run("UPDATE fg_api_key SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL", now=tx.now, id=id) > 0


def list_keys(connection: Connection, sha256: str | None = None) -> list[KeyRow]:
    """All keys, oldest first, or the one in use with this SHA-256."""
    where = "WHERE sha256 = :sha256 AND revoked_at IS NULL" if sha256 is not None else ""
    statement = text(
        f"SELECT id, name, prefix, sha256, scopes, created_at, revoked_at FROM fg_api_key {where} ORDER BY created_at, id"
    )
    found = connection.execute(statement, {"sha256": sha256} if where else {})
    return [
        KeyRow(id, name, prefix, digest, tuple(scopes.split()), at, gone) for id, name, prefix, digest, scopes, at, gone in found
    ]


class ApiKeys:
    """The keys of a store, with its two ways to the database."""

    def __init__(self, write: _Write, read: _Read) -> None:
        self._write = write
        self._read = read

    async def create(self, key: KeyRow) -> None:
        """Store an API key."""
        await self._write(lambda tx: create_key(tx, key))

    async def revoke(self, id: str) -> bool:
        """Revoke an API key; False when there is none in use with this id."""
        return await self._write(lambda tx: revoke_key(tx, id))

    async def all(self) -> list[KeyRow]:
        """All keys, oldest first."""
        return await self._read(list_keys)

    async def find(self, sha256: str) -> KeyRow | None:
        """The key in use with this SHA-256."""
        return next(iter(await self._read(lambda connection: list_keys(connection, sha256))), None)
