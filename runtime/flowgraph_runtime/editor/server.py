"""The language server: findings as they would be if the open texts were saved, and on hover the state that a line compiles to.

Each look is a process of its own (see `analysis`); a newer text ends the look at an older one. A text that does not import
flowgraph is left alone, because looking at it means to import it.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls import uris
from pygls.lsp.server import LanguageServer

from flowgraph_runtime.editor.analysis import Answer, Question, decoded, encoded

PAUSE = 0.15
"""Seconds without a change before a text is looked at."""
PATIENCE = 60
"""Seconds until a look is given up: a module may loop for ever when it is imported."""

_USES_FLOWGRAPH = re.compile(r"^[ \t]*(?:from|import)[ \t]+flowgraph\b", re.MULTILINE)
_SEVERITIES = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
    "note": lsp.DiagnosticSeverity.Information,
}


@dataclass
class Looks:
    """What is known of each open document, by URI, and the looks that are under way."""

    states: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    under_way: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, "asyncio.Task[None]"])


def make_server() -> LanguageServer:
    """A server that is not started yet."""
    server = LanguageServer("flowgraph", version("flowgraph-engine"), lsp.TextDocumentSyncKind.Incremental)
    looks = Looks()

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    async def opened(params: lsp.DidOpenTextDocumentParams) -> None:  # pyright: ignore[reportUnusedFunction]
        _begin(server, looks, params.text_document.uri, whole=True)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(params: lsp.DidChangeTextDocumentParams) -> None:  # pyright: ignore[reportUnusedFunction]
        _begin(server, looks, params.text_document.uri, whole=False)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    async def saved(params: lsp.DidSaveTextDocumentParams) -> None:  # pyright: ignore[reportUnusedFunction]
        _begin(server, looks, params.text_document.uri, whole=True)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    async def closed(params: lsp.DidCloseTextDocumentParams) -> None:  # pyright: ignore[reportUnusedFunction]
        _end(looks, params.text_document.uri)
        _publish(server, params.text_document.uri, [])

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    async def hover(params: lsp.HoverParams) -> lsp.Hover | None:  # pyright: ignore[reportUnusedFunction]
        return await _hover(looks, params.text_document.uri, params.position.line + 1)

    return server


def _begin(server: LanguageServer, looks: Looks, uri: str, whole: bool) -> None:
    """Look at a document, instead of going on with an older look at it."""
    _end(looks, uri)
    looks.under_way[uri] = asyncio.create_task(_look(server, looks, uri, whole))


def _end(looks: Looks, uri: str) -> None:
    older = looks.under_way.pop(uri, None)
    if older is not None:
        older.cancel()


async def _look(server: LanguageServer, looks: Looks, uri: str, whole: bool) -> None:
    await asyncio.sleep(PAUSE)
    document = server.workspace.get_text_document(uri)
    if not _USES_FLOWGRAPH.search(document.source):
        looks.states.pop(uri, None)
        _publish(server, uri, [])
        return
    texts = {document.path: document.source for document in server.workspace.text_documents.values()}
    folder = Path(server.workspace.root_path or Path(document.path).parent)
    answer = await _ask(Question(_file(document.path), texts, whole), folder)
    looks.states[uri] = answer.states
    _show(server, uri, answer)


def _file(path: str) -> str:
    return str(Path(path).resolve())


async def _ask(question: Question, folder: Path) -> Answer:
    command = [sys.executable, "-m", "flowgraph_runtime.editor.analysis"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate(encoded(question))
    except TimeoutError:
        return Answer({}, {}, [question.file], f"importing it has not ended after {PATIENCE} seconds")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return decoded(output)
    except ValueError:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        return Answer({}, {}, [question.file], f"it could not be looked at: {last or 'the program has ended'}")


# --- what is shown


def _show(server: LanguageServer, uri: str, answer: Answer) -> None:
    """Publish the findings in the document, and in the other open ones that were looked at with it."""
    for other, document in server.workspace.text_documents.items():
        file = _file(document.path)
        if other == uri or file in answer.files:
            found = [_diagnostic(server, data, document.lines) for data in answer.findings.get(file, [])]
            if other == uri and answer.failure is not None:
                found.append(_failed(answer.failure))
            _publish(server, other, found)


def _publish(server: LanguageServer, uri: str, found: list[lsp.Diagnostic]) -> None:
    server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found))


def _diagnostic(server: LanguageServer, data: dict[str, Any], lines: Sequence[str]) -> lsp.Diagnostic:
    written = f"\nwrite: {data['help']}" if data["help"] else ""
    return lsp.Diagnostic(
        range=server.workspace.position_codec.range_to_client_units(lines, _range(data)),
        message=data["message"] + written,
        severity=_SEVERITIES[data["level"]],
        code=data["code"],
        source="flowgraph",
        related_information=[_related(server, related) for related in data["related"]],
        tags=[lsp.DiagnosticTag.Unnecessary] if data["code"] == "FG201" else None,
    )


def _related(server: LanguageServer, data: dict[str, Any]) -> lsp.DiagnosticRelatedInformation:
    file = Path(server.workspace.root_path or "", data["file"]).resolve()
    where = lsp.Location(uris.from_fs_path(str(file)) or "", _range(data))
    return lsp.DiagnosticRelatedInformation(where, data["message"])


def _failed(why: str) -> lsp.Diagnostic:
    start = lsp.Position(0, 0)
    return lsp.Diagnostic(lsp.Range(start, lsp.Position(0, 1)), why, lsp.DiagnosticSeverity.Error, source="flowgraph")


def _range(data: dict[str, Any]) -> lsp.Range:
    """Lines and columns from 0, in characters."""
    start = lsp.Position(max(data["line"] - 1, 0), max(data["column"] - 1, 0))
    return lsp.Range(start, lsp.Position(max(data["end_line"] - 1, 0), max(data["end_column"] - 1, 0)))


async def _hover(looks: Looks, uri: str, line: int) -> lsp.Hover | None:
    """The state of a line, once the text that is shown has been looked at."""
    while (look := looks.under_way.get(uri)) is not None and not look.done():
        await asyncio.wait([look])
    text = looks.states.get(uri, {}).get(str(line))
    return None if text is None else lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text))
