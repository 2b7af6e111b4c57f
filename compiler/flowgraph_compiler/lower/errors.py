"""What lowering can refuse."""

from __future__ import annotations

from flowgraph_compiler.spans import Span


class NotLowerable(Exception):
    """A construct that the graph can hold and the machine cannot yet: `span` is the place, `help` what to write instead."""

    def __init__(self, span: Span, message: str, help: str) -> None:
        super().__init__(message)
        self.span, self.message, self.help = span, message, help
