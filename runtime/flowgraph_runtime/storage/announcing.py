"""What a commit means to other processes goes out with it, on one channel; a notice is written by one of them and read by all.

    ready                  runs may have become claimable
    inbox 7 run_a run_b    runs of epoch 7 have something in their inbox (no ids: too many to name)
    slots 7 3 4            epoch 7 got slots of limits for its tickets 3 and 4

Nothing goes out that only this process needs: on PostgreSQL the commits that announce something wait for each other.
"""

# ruff: noqa: S608 - statements are put together from constants of this package, values are always parameters

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from flowgraph_runtime.storage.transaction import Tx

CHANNEL = "flowgraph"
NAMED = 200
"""Runs or tickets that one notice names: PostgreSQL takes 8,000 bytes."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What another process has committed. `kind`: ready, inbox, slots; or `missed`, when notices may have been lost. `epoch`:
    whose runs or tickets are in `names`; none are named when they are too many."""

    kind: str
    epoch: int | None = None
    names: tuple[str, ...] = ()


def read(text: str) -> Notice:
    """A notice as it was sent; one that this version does not know says that something may have been missed."""
    kind, *rest = text.split() or ("missed",)
    match kind, rest:
        case "ready", []:
            return Notice("ready")
        case "inbox" | "slots", [epoch, *names] if epoch.isdecimal():
            return Notice(kind, int(epoch), tuple(names))
        case _:
            return Notice("missed")


def announce(tx: Tx) -> None:
    """Tell the others what the transaction means to them, when it commits."""
    if not tx.database.has_other_writers:
        return
    news = tx.effects.news
    texts = ["ready"] if news.ready else []
    texts += _texts("inbox", _owners(tx, news.inbox_runs) if news.inbox_runs else [])
    texts += _texts("slots", [(epoch, str(ticket)) for epoch, ticket in news.slots if epoch not in tx.database.epochs])
    tx.sql.each(f"SELECT pg_notify('{CHANNEL}', text) FROM given", "text text", [(text,) for text in texts])


def _owners(tx: Tx, run_ids: list[str]) -> list[tuple[int, str]]:
    """Of the runs that other processes own: (epoch, id)."""
    found = tx.sql.each(
        "SELECT r.epoch, r.id FROM given JOIN fg_run r ON r.id = given.id WHERE r.epoch IS NOT NULL",
        "id text",
        [(run_id,) for run_id in run_ids],
    )
    return [(int(epoch), str(id)) for epoch, id in found if int(epoch) not in tx.database.epochs]


def _texts(kind: str, pairs: list[tuple[int, str]]) -> list[str]:
    by_epoch: dict[int, list[str]] = defaultdict(list)
    for epoch, name in pairs:
        by_epoch[epoch].append(name)
    return [" ".join((kind, str(epoch), *(names if len(names) <= NAMED else ()))) for epoch, names in by_epoch.items()]
