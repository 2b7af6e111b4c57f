"""The dashboard: pages that the server renders, kept current by server-sent events. No inline script or style."""

from flowgraph_runtime.dashboard.pages import pages

__all__ = ["pages"]
