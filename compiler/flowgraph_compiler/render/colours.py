"""Colours. Those of `LIGHT` read on white and on black: every box is filled and brings its own text colour, arrows are mid-grey;
those of `DARK` do not glare on a dark page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paint:
    """Fill, border and text of a box; `dashes` as Graphviz styles it."""

    fill: str
    border: str
    text: str = "#17202c"
    dashes: str = ""
    width: float = 1.2


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of a whole diagram: of arrows by what they mean, of frames, and of boxes by kind or by state."""

    arrow: str
    error: str
    timeout: str
    frame: str
    kinds: Mapping[str, Paint]
    statuses: Mapping[str, Paint]
    other: Paint

    def paint(self, kind: str, status: str | None) -> Paint:
        """How a node looks: by its state in the run if one is shown, else by its kind. A join stays a bar."""
        if status is None or kind == "join":
            return self.kinds.get(kind, self.other)
        return self.statuses.get(status, self.other)


LIGHT = Palette(
    arrow="#7d8896",
    error="#d1495b",
    timeout="#b57a00",
    frame="#9aa4b1",
    kinds={
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
    },
    statuses={
        "pending": Paint("#f4f5f7", "#98a2af", "#5b6675", "dashed"),
        "running": Paint("#b9d5ff", "#1f62d0", width=2.6),
        "retrying": Paint("#ffd9a0", "#cc7400", width=2.6),
        "waiting": Paint("#fff1cf", "#c98a00", width=2.6),
        "completed": Paint("#c2ebcb", "#1f8a3d"),
        "failed": Paint("#ffc2c2", "#c02626", width=2.0),
        "cancelled": Paint("#dcdfe4", "#7d8896", "#444d59", "dotted"),
        "skipped": Paint("#dcdfe4", "#7d8896", "#444d59", "dotted"),
        "added": Paint("#c2ebcb", "#1f8a3d", width=2.2),
        "removed": Paint("#ffd5d5", "#c02626", "#7c2020", "dashed", width=1.8),
        "changed": Paint("#ffe6a8", "#b57a00", width=2.2),
        "same": Paint("#f1f3f6", "#98a2af", "#4a5462"),
    },
    other=Paint("#eef1f5", "#6b7788"),
)

_PALE = "#e6ebf2"
DARK = Palette(
    arrow="#8f9bab",
    error="#f07a88",
    timeout="#e0a93a",
    frame="#5d6979",
    kinds={
        "start": Paint("#c9d4e5", "#e6ebf2", "#17202c"),
        "end": Paint("#2b3442", "#8794a6", _PALE),
        "raise": Paint("#4a2026", "#ee6b76", _PALE),
        "step": Paint("#1c2f52", "#6d9bf0", _PALE),
        "subflow": Paint("#312654", "#a286ee", _PALE),
        "child": Paint("#312654", "#a286ee", _PALE),
        "wait": Paint("#42340f", "#e0a93a", _PALE),
        "sleep": Paint("#42340f", "#e0a93a", _PALE),
        "send": Paint("#153a2b", "#4cc08c", _PALE),
        "suspend": Paint("#42340f", "#e0a93a", _PALE),
        "fork": Paint("#2b3442", "#8794a6", _PALE),
        "join": Paint("#8f9bab", "#8794a6"),
    },
    statuses={
        "pending": Paint("#1d242e", "#667384", "#a3aebd", "dashed"),
        "running": Paint("#1f4687", "#7db0ff", "#ffffff", width=2.6),
        "retrying": Paint("#5c3a08", "#ffae47", "#ffffff", width=2.6),
        "waiting": Paint("#42340f", "#e0a93a", _PALE, width=2.6),
        "completed": Paint("#17452a", "#4fc878", _PALE),
        "failed": Paint("#5b1c22", "#f2616d", "#ffffff", width=2.0),
        "cancelled": Paint("#2b3038", "#7d8896", "#b3bcc8", "dotted"),
        "skipped": Paint("#2b3038", "#7d8896", "#b3bcc8", "dotted"),
        "added": Paint("#17452a", "#4fc878", _PALE, width=2.2),
        "removed": Paint("#4a1b20", "#f2616d", "#f3c4c8", "dashed", width=1.8),
        "changed": Paint("#54400c", "#e0a93a", _PALE, width=2.2),
        "same": Paint("#242b36", "#667384", "#b3bcc8"),
    },
    other=Paint("#262e3a", "#8794a6", _PALE),
)
