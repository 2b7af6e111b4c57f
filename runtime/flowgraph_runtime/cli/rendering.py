"""`flowgraph render`: diagrams of workflows."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowgraph_runtime.cli.checking import several
from flowgraph_runtime.cli.compiling import Target, compile_or_stop
from flowgraph_runtime.cli.console import Exit, Failure, show, write_file

if TYPE_CHECKING:
    from flowgraph_compiler.pipeline import Compilation
    from flowgraph_compiler.render import DiagramGraph, Style


class DiagramFormat(Enum):
    """What a diagram is written as; the values are file endings."""

    DOT = "dot"
    SVG = "svg"
    PNG = "png"
    PDF = "pdf"
    MERMAID = "mermaid"


class Theme(Enum):
    """Colours for a light page (they read on a dark one, too), or for a dark page."""

    LIGHT = "light"
    DARK = "dark"


class DiagramLevel(Enum):
    """What a diagram shows: the steps as the source has them, or the blocks of the machine."""

    GRAPH = "graph"
    MACHINE = "machine"


_ENDINGS = {"mmd": DiagramFormat.MERMAID, "gv": DiagramFormat.DOT} | {format.value: format for format in DiagramFormat}


def render(
    target: Target,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="A file, or a folder for several workflows.")
    ] = None,
    format: Annotated[
        DiagramFormat | None, typer.Option(help="Follows from the ending of FILE; dot on stdout, svg in a folder.")
    ] = None,
    level: Annotated[DiagramLevel, typer.Option(help="The steps, or the blocks of the machine.")] = DiagramLevel.GRAPH,
    theme: Annotated[Theme, typer.Option(help="Colours for a light or a dark page; the ground stays transparent.")] = Theme.LIGHT,
    title: Annotated[bool, typer.Option(help="Say above it which workflow it is, what starts it and where it stands.")] = False,
    legend: Annotated[bool, typer.Option(help="Explain the shapes that occur.")] = False,
    link: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Let each box lead there, e.g. https://code.example/{file}#L{line}."),
    ] = None,
) -> None:
    """Draw workflows as SVG, PNG, PDF, DOT or Mermaid.

    Pictures are made by the program 'dot' or by the Python package pygraphviz; exit code 3 when there is neither.
    """
    from flowgraph_compiler.render import DARK, LIGHT, Style

    style = Style(DARK if theme is Theme.DARK else LIGHT, ("",) if title else (), legend, link)
    if format is None and output is not None and output.suffix:
        format = format_of(output)
    compiled = compile_or_stop([target])
    names = list(compiled.machines)
    if output is not None and (len(names) > 1 or not output.suffix or output.is_dir()):
        _into_folder(compiled, output, format or DiagramFormat.SVG, level, style)
        return
    if len(names) > 1:
        raise several(target, names)
    content = drawn(compiled, names[0], format or DiagramFormat.DOT, level, style)
    if output is not None:
        write_file(output, content)
    elif format in (DiagramFormat.PNG, DiagramFormat.PDF):
        _binary(content)
    else:
        show(content.decode())


def drawn(compiled: Compilation, workflow: str, format: DiagramFormat, level: DiagramLevel, style: Style) -> bytes:
    """One workflow's diagram in a format. Raises `Failure`: exit 3 without a renderer."""
    from flowgraph_compiler import render as diagrams

    machine = compiled.machines[workflow]
    style = replace(style, file=machine.file, heading=diagrams.heading(machine) if style.heading else ())
    return written(diagrams.diagram(machine, level.value), format, style)


def written(diagram: DiagramGraph, format: DiagramFormat, style: Style) -> bytes:
    """A diagram in a format. Raises `Failure`: exit 3 without a renderer."""
    from flowgraph_compiler import render as diagrams
    from flowgraph_runtime.pictures import NoRenderer, PictureError, picture

    if format is DiagramFormat.MERMAID:
        return diagrams.mermaid(diagram, style).encode()
    text = diagrams.dot(diagram, style)
    if format is DiagramFormat.DOT:
        return text.encode()
    try:
        return picture(text, format.value)
    except NoRenderer as error:
        raise Failure(str(error), code=Exit.NO_RENDERER) from error
    except PictureError as error:
        raise Failure(f"Graphviz refused the diagram of '{diagram.title}': {error}") from error


def format_of(output: Path) -> DiagramFormat:
    """The format that a file's ending asks for. Raises `Failure` (exit 2)."""
    try:
        return _ENDINGS[output.suffix[1:].lower()]
    except KeyError:
        endings = ", ".join(f".{ending}" for ending in sorted(_ENDINGS))
        raise Failure(f"no format has the ending '{output.suffix}'", f"one of {endings}, or --format", Exit.USAGE) from None


def _into_folder(compiled: Compilation, folder: Path, format: DiagramFormat, level: DiagramLevel, style: Style) -> None:
    if folder.suffix and not folder.is_dir():
        raise Failure(f"'{folder}' is one file for {len(compiled.machines)} workflows", "give a folder with -o", Exit.USAGE)
    for name in compiled.machines:
        write_file(folder / f"{name}.{format.value}", drawn(compiled, name, format, level, style))


def _binary(content: bytes) -> None:
    if sys.stdout.isatty():
        raise Failure("a picture would garble the terminal", "give a file with -o", Exit.USAGE)
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
