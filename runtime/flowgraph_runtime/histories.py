"""Histories that are kept for the next look: whoever follows a run asks again and again."""

from __future__ import annotations

from collections import OrderedDict

from flowgraph_runtime.history import History
from flowgraph_runtime.records import RunRow

KEPT = 8
"""Histories kept to go on with."""
WORTH_KEEPING = 100
"""Journal rows from which on a history is kept."""


class Histories:
    """The histories that were asked for last, by run."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, History] = OrderedDict()

    def known(self, row: RunRow) -> History | None:
        """Return what is kept of the run."""
        return self._kept.get(row.id)

    def keep(self, row: RunRow, history: History) -> None:
        """Remember it if reading it again would be work."""
        if history.seq >= WORTH_KEEPING:
            self._kept[row.id] = history
            self._kept.move_to_end(row.id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def forget(self, row: RunRow) -> None:
        """It could not be told to its end."""
        self._kept.pop(row.id, None)
