"""Which server to talk to: flags, then `FLOWGRAPH_URL` and `FLOWGRAPH_KEY`, then `[tool.flowgraph]` of `pyproject.toml`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from flowgraph_runtime.cli.console import Exit, Failure
from flowgraph_runtime.cli.project import configured

if TYPE_CHECKING:
    from flowgraph_runtime.client import Client

DEFAULT_URL = "http://127.0.0.1:8288"

Url = Annotated[str | None, typer.Option(envvar="FLOWGRAPH_URL", help=f"Address of the server, else {DEFAULT_URL}.")]
Key = Annotated[str | None, typer.Option(envvar="FLOWGRAPH_KEY", help="A key of the server; 'flowgraph dev' needs none.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Database = Annotated[str | None, typer.Option("--db", metavar="URL", help="sqlite:///path.db or postgresql://...")]


def server_url(flag: str | None) -> str:
    """The address of the server (the flag holds the environment's value already)."""
    url = flag or configured().get("url") or DEFAULT_URL
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise Failure(f"'{url}' is no address of a server", f"an address looks like {DEFAULT_URL}", Exit.USAGE)
    return url.rstrip("/")


def server_key(flag: str | None) -> str | None:
    """The key to send, if any."""
    key = flag or configured().get("key")
    return key if isinstance(key, str) else None


@contextmanager
def connected(url: str | None, key: str | None) -> Generator[Client, None, None]:
    """A client of the server; what it refuses ends the program with exit code 1."""
    from flowgraph_runtime.client import ApiError, Client, Unreachable

    try:
        with Client(server_url(url), server_key(key)) as client:
            yield client
    except Unreachable as error:
        raise Failure(
            f"{error.title}: {error.detail}", "start one with 'flowgraph dev TARGET', or name another with --url"
        ) from error
    except ApiError as error:
        raise Failure(str(error), "give a key with --key or FLOWGRAPH_KEY" if error.status == 401 else None) from error
