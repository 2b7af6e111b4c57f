"""Diagrams as SVG responses; the drawing itself runs in a thread, it starts a process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.responses import Response

from flowgraph_compiler.machine import Machine
from flowgraph_compiler.render import diagram, dot
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.pictures import NoRenderer, svg


async def live_svg(machine: Machine, statuses: Mapping[str, str] | None = None) -> Response:
    """Return the diagram of a machine, coloured by node status if given. Raises `Problem` 501 without a renderer."""
    text = dot(diagram(machine, "graph", statuses))
    try:
        picture = await asyncio.to_thread(svg, text)
    except NoRenderer as missing:
        raise Problem(501, "no renderer", str(missing)) from None
    return Response(picture, media_type="image/svg+xml")
