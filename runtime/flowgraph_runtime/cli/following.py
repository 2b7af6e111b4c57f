"""When to look at a run of a server again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from flowgraph_runtime.client import Client

_AT_LEAST_EVERY = 2.0  # seconds: the stream may be cut, by a proxy or a reload
_PAUSE = 0.05  # seconds between two looks: one look covers a burst of news


def looks(client: Client, run_id: str) -> Iterator[None]:
    """Yield at once, then whenever the server's stream has news of the run, and every few seconds without any."""
    news = threading.Event()
    threading.Thread(target=_listen, args=(client.copy(), run_id, news), daemon=True, name="flowgraph-stream").start()
    while True:
        news.clear()
        yield
        news.wait(_AT_LEAST_EVERY)
        time.sleep(_PAUSE)


def _listen(client: Client, run_id: str, news: threading.Event) -> None:
    """Set the event at every message. Ends with the stream: the looks without news go on and report what is wrong."""
    try:
        with client, client.stream(run_id) as messages:
            for _ in messages:
                news.set()
    except Exception:
        news.set()
