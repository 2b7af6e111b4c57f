"""The flowgraph runtime: worker, storage, API, dashboard and command line around the pure engine."""

from flowgraph_runtime.app import create_app
from flowgraph_runtime.client import AsyncClient, Client
from flowgraph_runtime.settings import Settings

__all__ = ["AsyncClient", "Client", "Settings", "create_app"]
