"""Waiting for a PostgreSQL server that is not there yet: an engine and its database are often started together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from flowgraph_runtime.storage.opening import libpq_url

_LOG = logging.getLogger("flowgraph.storage")
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""Seconds between two looks, from the first to the last."""
_ANSWER_WITHIN = 5  # seconds


def await_database(
    url: str, patience: float, *, sleep: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Wait up to `patience` seconds until the server of a PostgreSQL URL takes connections -> whether it does. What the server
    refuses (password, role, name of the database) is not waited for, and no other database is: opening says what is wrong."""
    asked = _conninfo(url)
    if asked is None or _answers(asked):
        return True
    until = clock() + patience
    if patience > 0:
        _LOG.warning("waiting up to %g s for the database at %s", patience, _place(asked))
    for pause in _pauses():
        left = until - clock()
        if left <= 0:
            return False
        sleep(min(pause, left))
        if _answers(asked):
            _LOG.info("the database is there")
            return True
    return False


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _conninfo(url: str) -> str | None:
    try:
        plain = libpq_url(url)
        return None if plain is None else make_conninfo(plain, connect_timeout=_ANSWER_WITHIN)
    except psycopg.Error:
        return None


def _answers(asked: str) -> bool:
    """Whether there is a server that has come up; one that refuses this very connection is there."""
    return pq.PGconn.ping(asked.encode()) not in (pq.Ping.REJECT, pq.Ping.NO_RESPONSE)


def _place(asked: str) -> str:
    given = conninfo_to_dict(asked)
    return f"{given.get('host') or 'the usual socket'}, port {given.get('port') or 5432}"
