"""`flowgraph keys`: made and kept in the database; only a hash of each is stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from flowgraph_runtime.cli.connection import AsJson, Database
from flowgraph_runtime.cli.console import Exit, Failure, show, show_json, tell

if TYPE_CHECKING:
    from flowgraph_runtime.storage import Store
    from flowgraph_runtime.storage.apikeys import KeyRow

T = TypeVar("T")
SCOPES = ("event:write", "read", "operate", "admin")

app = typer.Typer(no_args_is_help=True)


def with_store(db: str | None, act: Callable[[Store], Awaitable[T]]) -> T:
    """Open the database, do something, close it. Raises `Failure` for a database that cannot be opened."""
    import asyncio

    from flowgraph_runtime.cli.settings import settings
    from flowgraph_runtime.storage import Store

    async def opened() -> T:
        url = settings(db=db).db
        try:
            store = Store.open(url)
        except Exception as error:  # drivers raise what they like: bad URL, file in use, no server, wrong password
            raise Failure(f"cannot open the database: {error}", "stop the server first if it uses this SQLite file") from error
        try:
            return await act(store)
        finally:
            store.close()

    return asyncio.run(opened())


@app.command("create", epilog="Example:  flowgraph keys create shop-frontend --scope event:write")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it: a name for the list.")],
    scope: Annotated[list[str] | None, typer.Option(help=f"What it may do: {', '.join(SCOPES)}; repeat for several.")] = None,
    db: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: this is the only time that it is shown."""
    from ulid import ULID

    from flowgraph_runtime.auth import key_hash, new_key
    from flowgraph_runtime.storage.apikeys import KeyRow

    scopes = tuple(dict.fromkeys(scope or ("read",)))
    for one in scopes:
        if one not in SCOPES:
            raise Failure(f"no scope '{one}'", f"one of {', '.join(SCOPES)}", Exit.USAGE)
    key = new_key()

    async def store_it(store: Store) -> KeyRow:
        row = KeyRow(f"key_{ULID()}", name, key[:8], key_hash(key), scopes, store.clock.now())
        await store.create_key(row)
        return row

    row = with_store(db, store_it)
    if as_json:
        show_json(as_data(row, key))
    else:
        tell(f"key {row.id} for '{name}' may: {', '.join(scopes)}; keep it, it is not shown again")
        show(key)


@app.command("list", epilog="Example:  flowgraph keys list --db postgresql://localhost/shop")
def list_(db: Database = None, as_json: AsJson = False) -> None:
    """List the keys, revoked ones too."""
    rows = with_store(db, lambda store: store.list_keys())
    if as_json:
        show_json([as_data(row) for row in rows])
        return
    for row in rows:
        state = "revoked" if row.revoked_at else "in use"
        show(f"{row.id}  {row.prefix}…  {state:7}  {','.join(row.scopes)}  {row.name}")


@app.command("revoke", epilog="Example:  flowgraph keys revoke key_01J...")
def revoke(id: Annotated[str, typer.Argument(metavar="ID")], db: Database = None) -> None:
    """Revoke a key for good; requests with it are refused from now on."""
    if not with_store(db, lambda store: store.revoke_key(id)):
        raise Failure(f"no key in use has the id '{id}'", "'flowgraph keys list' shows them")
    tell(f"revoked {id}")


def as_data(row: KeyRow, secret: str | None = None) -> dict[str, Any]:
    """A key as JSON-able data, without its hash; the secret only when it was just made."""
    from flowgraph_runtime.views import key_view

    data: dict[str, Any] = key_view(row, secret).model_dump(mode="json", exclude=None if secret else {"key"})
    return data
