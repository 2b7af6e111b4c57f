"""How a diagram is written, whatever it shows."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from flowgraph_compiler.render.colours import LIGHT, Palette


@dataclass(frozen=True, slots=True)
class Style:
    """`heading`: lines that say above it what it is; `legend`: with what the shapes mean;
    `link`: an address that each box leads to, with `{file}` and `{line}` in it; `file` stands for the first."""

    palette: Palette = LIGHT
    heading: tuple[str, ...] = ()
    legend: bool = False
    link: str | None = None
    file: str = ""

    def address(self, line: int) -> str | None:
        """Return the address of a source line; None without a link or a line."""
        if self.link is None or not line:
            return None
        return self.link.replace("{file}", quote(self.file)).replace("{line}", str(line))


PLAIN = Style()
