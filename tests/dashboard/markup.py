"""What a browser would make of a page: its elements, attributes and texts."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Markup(HTMLParser):
    """A parsed page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of this name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def active(self) -> list[str]:
        """Everything that could run or load something which is not ours."""
        found: list[str] = []
        for tag, attributes in self.elements:
            if tag in ("style", "iframe", "object", "embed", "base", "animate", "set", "foreignobject", "use"):
                found.append(tag)
            if tag == "svg" and not (attributes.get("class") or "").startswith("chart "):  # the server's own charts
                found.append(tag)
            if tag == "script" and not (attributes.get("src") or "").startswith("/static/"):
                found.append("inline script")
            for name, value in attributes.items():
                if name.startswith(("on", "hx-on")) or name == "style":
                    found.append(f"{tag} {name}")
                if name in ("href", "src", "action") and not re.match(r"/(?!/)|#", value or ""):
                    found.append(f"{tag} {name}={value}")
        return found
