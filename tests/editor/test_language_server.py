"""A session with the language server over stdio, by a client that knows nothing but the protocol."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

pytestmark = pytest.mark.ci
PATIENCE = 120
FLOWS = """
from flowgraph import step, workflow

print("stdout belongs to the protocol")

@step
async def charge(order: str) -> str:
    return order

@workflow
async def pay(order: str) -> str:
    return await charge(order)
"""


class Editor:
    """An editor with one folder open."""

    def __init__(self, client: LanguageClient, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self._shown: dict[str, asyncio.Queue[list[lsp.Diagnostic]]] = {}
        self._version = 0

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def receive(self, params: lsp.PublishDiagnosticsParams) -> None:
        self._queue(params.uri).put_nowait(list(params.diagnostics))

    def _queue(self, uri: str) -> asyncio.Queue[list[lsp.Diagnostic]]:
        return self._shown.setdefault(uri, asyncio.Queue())

    async def shown(self, name: str) -> list[lsp.Diagnostic]:
        """What the server publishes next about a file."""
        return await asyncio.wait_for(self._queue(self.uri(name)).get(), PATIENCE)

    def open(self, name: str, text: str) -> None:
        item = lsp.TextDocumentItem(self.uri(name), "python", 0, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def change(self, name: str, text: str) -> None:
        self._version += 1
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(self._version, self.uri(name)),
                [lsp.TextDocumentContentChangeWholeDocument(text)],
            )
        )

    def save(self, name: str) -> None:
        self.client.text_document_did_save(lsp.DidSaveTextDocumentParams(lsp.TextDocumentIdentifier(self.uri(name))))

    async def hover(self, name: str, line: int) -> str | None:
        params = lsp.HoverParams(lsp.TextDocumentIdentifier(self.uri(name)), lsp.Position(line - 1, 4))
        found = await asyncio.wait_for(self.client.text_document_hover_async(params), PATIENCE)
        return found.contents.value if found is not None and isinstance(found.contents, lsp.MarkupContent) else None


@asynccontextmanager
async def editor(folder: Path) -> AsyncIterator[Editor]:
    client = LanguageClient("test", "0")
    opened = Editor(client, folder)

    @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def published(params: lsp.PublishDiagnosticsParams) -> None:
        opened.receive(params)

    await client.start_io(sys.executable, "-m", "flowgraph_runtime.cli", "lsp")
    params = lsp.InitializeParams(lsp.ClientCapabilities(), root_uri=folder.as_uri())
    told = await asyncio.wait_for(client.initialize_async(params), PATIENCE)
    assert told.capabilities.hover_provider
    client.initialized(lsp.InitializedParams())
    yield opened
    await asyncio.wait_for(client.shutdown_async(None), PATIENCE)
    client.exit(None)
    await client.stop()


def session(folder: Path, script: object) -> None:
    async def whole() -> None:
        async with editor(folder) as opened:
            await script(opened)  # type: ignore[operator]

    asyncio.run(whole())


def test_findings_follow_the_unsaved_text_and_hover_shows_the_state(tmp_path: Path) -> None:
    async def script(it: Editor) -> None:
        it.open("flows.py", FLOWS)
        assert await it.shown("flows.py") == []
        assert "step charge(order)" in str(await it.hover("flows.py", 12))
        assert await it.hover("flows.py", 2) is None

        it.change(
            "flows.py", FLOWS.replace('"stdout', '"😀').replace("    return await charge(order)", '    "😀"; charge(order)')
        )
        found = {one.code: one for one in await it.shown("flows.py")}
        assert set(found) == {"FG113"}
        told = found["FG113"]
        assert (told.source, told.severity) == ("flowgraph", lsp.DiagnosticSeverity.Error)
        assert told.message.startswith("step 'charge' is called but not awaited\nwrite: await charge")
        assert told.range == lsp.Range(lsp.Position(11, 10), lsp.Position(11, 23)), "columns are UTF-16 units"

        it.change("flows.py", "def f(:\n\nfrom flowgraph import step\n")
        assert [one.code for one in await it.shown("flows.py")] == ["FG001"]
        it.change("flows.py", FLOWS)
        assert await it.shown("flows.py") == []

    session(tmp_path, script)
    assert not (tmp_path / "flows.py").exists()


def test_a_save_looks_at_all_targets_with_the_other_open_texts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.flowgraph]\ntargets = ["flows.py", "more.py"]\n', encoding="utf-8")
    (tmp_path / "flows.py").write_text(FLOWS, encoding="utf-8")
    more = "from flowgraph import workflow\nfrom flows import charge\n\n@workflow\nasync def again(order: str) -> str:\n"
    more += "    return await charge(order)\n"
    (tmp_path / "more.py").write_text(more, encoding="utf-8")

    async def script(it: Editor) -> None:
        it.open("more.py", more)
        assert await it.shown("more.py") == []
        it.open(
            "flows.py", FLOWS.replace("charge(order: str)", "charge(order: int)").replace("return order", 'return f"{order}"')
        )
        assert [one.code for one in await it.shown("flows.py")] == ["FG170"]
        assert [one.code for one in await it.shown("more.py")] == ["FG170"], "the other open file is looked at with it"
        it.change("flows.py", FLOWS)
        assert await it.shown("flows.py") == []
        it.save("flows.py")
        assert (await it.shown("flows.py"), await it.shown("more.py")) == ([], [])

    session(tmp_path, script)


def test_what_cannot_be_imported_is_told_and_what_does_not_import_flowgraph_is_left_alone(tmp_path: Path) -> None:
    async def script(it: Editor) -> None:
        it.open("broken.py", "import no_such_module\nfrom flowgraph import step\n")
        (told,) = await it.shown("broken.py")
        assert "No module named 'no_such_module'" in told.message
        it.open("script.py", "from pathlib import Path\nPath('ran').touch()\n")
        assert await it.shown("script.py") == []
        it.open("exits.py", "import os\nimport flowgraph\nos._exit(7)\n")
        (told,) = await it.shown("exits.py")
        assert "could not be looked at" in told.message

    session(tmp_path, script)
    assert not (tmp_path / "ran").exists()
