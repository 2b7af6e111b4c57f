"""`flowgraph lsp`."""

from __future__ import annotations

from importlib.util import find_spec

from flowgraph_runtime.cli.console import Exit, Failure


def lsp() -> None:
    """Start the language server on stdin and stdout, as editors do: findings while you write, states on hover.

    Files that import flowgraph are compiled when they are opened, changed and saved, which imports them. What is shown is
    what 'flowgraph check' would find, by the settings in [tool.flowgraph]: one file while you write, all targets at a save.
    Needs pygls: pip install 'flowgraph-engine[lsp]'.
    """
    if find_spec("pygls") is None:
        raise Failure("the language server needs pygls", "pip install 'flowgraph-engine[lsp]'", Exit.USAGE)
    from flowgraph_runtime.editor.server import make_server

    make_server().start_io()
