"""Who may do what: keys, scopes, and the checks of Host and Origin."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from flowgraph_runtime.clock import Clock
from flowgraph_runtime.settings import Settings

SCOPES = ("event:write", "read", "operate", "admin")
"""What a key may be for. `admin` includes the others."""
OPEN = "none"
"""The scope of a route that asks for no key."""
KEY_PREFIX = "fg_"
COOKIE = "flowgraph_key"
"""Carries a browser's key (HttpOnly, SameSite=Strict); good for reading only: an event stream cannot send a header."""


class StoredKey(Protocol):
    """A key as the store knows it."""

    @property
    def sha256(self) -> str:
        """The hash of the key, in hexadecimal."""
        ...

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it may be used for."""
        ...

    @property
    def revoked_at(self) -> int | None:
        """When it was revoked, None while it is good."""
        ...


class KeyRing:
    """The live keys, read again every two seconds: a key that another process revokes works that long at most."""

    LIFETIME = 2_000_000

    def __init__(self, list_keys: Callable[[], Awaitable[Sequence[StoredKey]]], clock: Clock) -> None:
        self._list_keys = list_keys
        self._clock = clock
        self._keys: dict[str, StoredKey] = {}
        self._good_until = 0

    async def live(self) -> dict[str, StoredKey]:
        """Return the keys that are not revoked, by hash."""
        now = self._clock.now()
        if now >= self._good_until:
            self._keys = {key.sha256: key for key in await self._list_keys() if key.revoked_at is None}
            self._good_until = now + self.LIFETIME
        return self._keys

    def forget(self) -> None:
        """Read the keys again at the next request."""
        self._good_until = 0


def new_key() -> str:
    """Return a fresh key: 256 random bits with a prefix that secret scanners can look for."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def key_hash(key: str) -> str:
    """Return what is stored of a key. A fast hash is right here: the key itself has 256 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is turned away: an HTTP status with a title and what to do."""

    status: int
    title: str
    detail: str


class Gate:
    """Decides over a request by its scope and credentials."""

    def __init__(self, keys: KeyRing, settings: Settings) -> None:
        self._keys = keys
        self._settings = settings

    async def open_house(self) -> bool:
        """Whether no key is asked for: on a loopback address in dev, or while no key exists."""
        return self._settings.loopback and (self._settings.dev or not await self._keys.live())

    async def refuse(self, scope: str, authorization: str | None, cookie: str | None = None) -> Refusal | None:
        """Return why a request for a route of this scope is refused, None when it may pass."""
        if scope == OPEN or await self.open_house():
            return None
        key = _bearer(authorization) or (cookie if scope == "read" else None)
        if key is None:
            return Refusal(401, "a key is needed", "send the header 'Authorization: Bearer <key>'")
        found = self._match(key_hash(key), await self._keys.live())
        if found is None:
            return Refusal(401, "the key is unknown", "it may be revoked; make one with 'flowgraph keys create'")
        if scope not in found.scopes and "admin" not in found.scopes:
            return Refusal(403, "the key may not do this", f"it needs the scope '{scope}'")
        return None

    @staticmethod
    def _match(digest: str, live: Mapping[str, StoredKey]) -> StoredKey | None:
        """Compare with every key, in constant time each: how long it takes tells nothing about the stored hashes."""
        found = None
        for sha256, key in live.items():
            if hmac.compare_digest(sha256, digest):
                found = key
        return found


def _bearer(authorization: str | None) -> str | None:
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" and key.strip().isascii() and key.strip() else None


def allowed_host(header: str | None, settings: Settings) -> bool:
    """Whether a Host header names this server. Keeps out pages whose own name was made to resolve to this address."""
    if header is None:
        return False
    host = _hostname(header)
    return host is not None and host in _own_names(settings.host, settings.allowed_hosts)


@lru_cache(maxsize=64)
def _own_names(bound: str, allowed: tuple[str, ...]) -> Collection[str]:
    names = {"localhost", "127.0.0.1", "::1", bound.strip("[]").lower(), *_lowered(allowed)}
    return names - {"0.0.0.0", "::", ""}  # noqa: S104 - a wildcard is no name that a client may use


def _lowered(names: Iterable[str]) -> Iterable[str]:
    return (name.lower() for name in names)


@lru_cache(maxsize=64)
def _hostname(header: str) -> str | None:
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == header and "@" not in header else None


def allowed_origin(origin: str | None, host: str | None, settings: Settings) -> bool:
    """Whether a write with this Origin header may pass: none (not a browser), our own, or one that the settings name."""
    if origin is None:
        return True
    if origin in settings.allowed_origins:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and host is not None and parts.netloc.lower() == host.lower()
