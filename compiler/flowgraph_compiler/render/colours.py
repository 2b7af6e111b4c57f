"""Colours that read on white and on black: every box is filled and brings its own text colour, arrows are mid-grey."""

from __future__ import annotations

from dataclasses import dataclass

ARROW = "#7d8896"
ERROR = "#d1495b"
TIMEOUT = "#c98a00"
FRAME = "#9aa4b1"


@dataclass(frozen=True, slots=True)
class Paint:
    """Fill, border and text of a box; `dashes` as Graphviz styles it."""

    fill: str
    border: str
    text: str = "#17202c"
    dashes: str = ""
    width: float = 1.2


KINDS = {
    "start": Paint("#34435a", "#22304a", "#ffffff"),
    "end": Paint("#e4e9f0", "#5c6a7d"),
    "raise": Paint("#ffdfe0", "#c93434"),
    "step": Paint("#dde9ff", "#3b6fd4"),
    "subflow": Paint("#e9e1ff", "#7a55d1"),
    "child": Paint("#e9e1ff", "#7a55d1"),
    "wait": Paint("#fff1cf", "#c98a00"),
    "sleep": Paint("#fff1cf", "#c98a00"),
    "send": Paint("#d9f2e6", "#2a9266"),
    "suspend": Paint("#fff1cf", "#c98a00"),
    "fork": Paint("#e4e9f0", "#5c6a7d"),
    "join": Paint("#7d8896", "#5c6a7d"),
}
OTHER = Paint("#eef1f5", "#6b7788")
STATUSES = {
    "pending": Paint("#f4f5f7", "#98a2af", "#5b6675", "dashed"),
    "running": Paint("#b9d5ff", "#1f62d0", width=2.6),
    "retrying": Paint("#ffd9a0", "#cc7400", width=2.6),
    "waiting": Paint("#fff1cf", "#c98a00", width=2.6),
    "completed": Paint("#c2ebcb", "#1f8a3d"),
    "failed": Paint("#ffc2c2", "#c02626", width=2.0),
    "cancelled": Paint("#dcdfe4", "#7d8896", "#444d59", "dotted"),
    "skipped": Paint("#dcdfe4", "#7d8896", "#444d59", "dotted"),
}


def paint(kind: str, status: str | None) -> Paint:
    """How a node looks: by its state in the run if one is shown, else by its kind. A join stays a bar."""
    if status is None or kind == "join":
        return KINDS.get(kind, OTHER)
    return STATUSES.get(status, OTHER)
