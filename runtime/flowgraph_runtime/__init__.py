"""The flowgraph runtime: worker, storage, API, dashboard and command line around the pure engine.

The names below are loaded at their first use: `flowgraph check` needs neither a web server nor a database.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowgraph_runtime.app import create_app
    from flowgraph_runtime.client import ApiError, AsyncClient, Client
    from flowgraph_runtime.errors import RunCancelled, RunFailed
    from flowgraph_runtime.handles import AsyncRunHandle, RunHandle
    from flowgraph_runtime.settings import Settings

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncRunHandle",
    "Client",
    "RunCancelled",
    "RunFailed",
    "RunHandle",
    "Settings",
    "create_app",
]

_PLACES = {
    "ApiError": "client",
    "AsyncClient": "client",
    "AsyncRunHandle": "handles",
    "Client": "client",
    "RunCancelled": "errors",
    "RunFailed": "errors",
    "RunHandle": "handles",
    "Settings": "settings",
    "create_app": "app",
}


def __getattr__(name: str) -> Any:
    """Return a public name, loading its module."""
    if name not in _PLACES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
