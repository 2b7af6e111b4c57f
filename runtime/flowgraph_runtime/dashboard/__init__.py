"""The dashboard: pages that the server renders, kept current by server-sent events. No script of our own, no inline style."""

from flowgraph_runtime.dashboard.pages import pages

__all__ = ["pages"]
