"""The ASGI application: routes around a `Service` that lives as long as the application does."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, TypeAlias

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowgraph import Workflow
from flowgraph_compiler.pipeline import Compilation, compile_application, compile_targets
from flowgraph_compiler.report import text as report_text
from flowgraph_compiler.source import TargetError, source_of
from flowgraph_runtime.access_log import hide_event_keys
from flowgraph_runtime.api.endpoints import Endpoint
from flowgraph_runtime.api.guard import Guard, dispatcher, on_error, on_http_exception, on_problem, on_storage_error
from flowgraph_runtime.api.openapi import document
from flowgraph_runtime.api.problems import Problem
from flowgraph_runtime.api.table import ENDPOINTS
from flowgraph_runtime.dashboard import pages as dashboard_pages
from flowgraph_runtime.errors import CompilationRefused
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.service import Service, open_store
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.storage.errors import StorageError

Resources: TypeAlias = Mapping[type[Any], Any]
Lifespan: TypeAlias = Callable[[], AbstractAsyncContextManager[Resources]]
Target: TypeAlias = str | ModuleType | Workflow[..., Any]
Pages: TypeAlias = Callable[[Callable[[], Service]], Sequence[BaseRoute]]


def compiled(targets: Compilation | Target | Sequence[Target]) -> Compilation:
    """Compile what `create_app` was given. Raises `CompilationRefused` with the report, or `TargetError`."""
    if isinstance(targets, Compilation):
        compilation = targets
    else:
        compilation = _compile([targets] if isinstance(targets, str | ModuleType | Workflow) else list(targets))
    if not compilation.ok:
        raise CompilationRefused(compilation.diagnostics, report_text(compilation.diagnostics))
    return compilation


def _compile(targets: Sequence[Target]) -> Compilation:
    names = [target for target in targets if isinstance(target, str)]
    modules = [target for target in targets if isinstance(target, ModuleType)]
    workflows = [target for target in targets if isinstance(target, Workflow)]
    if len(targets) not in (len(names), len(modules), len(workflows)):
        raise TargetError("give targets by name, imported modules, or workflows, but one kind only")
    if names:
        return compile_targets(names)
    modules += dict.fromkeys(sys.modules[workflow.fn.__module__] for workflow in workflows)
    sources = [source_of(module) for module in modules]
    return compile_application([source for source in sources if source is not None], [workflow.name for workflow in workflows])


def create_app(
    targets: Compilation | Target | Sequence[Target],
    settings: Settings | None = None,
    lifespan: Lifespan | None = None,
    pages: Pages | None = dashboard_pages,
) -> Starlette:
    """Return an ASGI application that serves the workflows of `targets`: names as on the command line, imported modules, or the
    workflows themselves, of which then no others are served.

    `lifespan` opens what steps get by `resource(Type)`, a mapping by type; `pages` are the dashboard's routes (None: none).
    Raises `CompilationRefused` when the workflows have errors. The database is opened when the server starts."""
    settings = settings or Settings()
    hide_event_keys()
    registry = Registry.from_compilation(compiled(targets))
    slot: list[Service] = []

    @asynccontextmanager
    async def live(app: Starlette) -> AsyncGenerator[None]:
        async with _resources(lifespan) as resources, _service(registry, settings, resources) as service:
            slot.append(service)
            app.state.service = service
            try:
                yield
            finally:
                slot.clear()

    def current() -> Service:
        if not slot:
            raise RuntimeError("the application has not started: run it under a server that supports lifespan")
        return slot[0]

    return Starlette(
        routes=[*_routes(ENDPOINTS, current), *(pages(current) if pages is not None else ())],
        middleware=[Middleware(Guard, settings=settings)],
        exception_handlers={
            HTTPException: on_http_exception,
            Problem: on_problem,
            StorageError: on_storage_error,
            Exception: on_error,
        },
        lifespan=live,
    )


@asynccontextmanager
async def _resources(lifespan: Lifespan | None) -> AsyncGenerator[Resources]:
    if lifespan is None:
        yield {}
        return
    async with lifespan() as resources:
        yield resources


@asynccontextmanager
async def _service(registry: Registry, settings: Settings, resources: Resources) -> AsyncGenerator[Service]:
    store = open_store(settings)
    try:
        async with Service(registry, store, settings, resources).running() as service:
            yield service
    finally:
        store.close()


def _routes(endpoints: Sequence[Endpoint], current: Callable[[], Service]) -> list[BaseRoute]:
    by_path: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, []).append(endpoint)
    content = orjson.dumps(document(endpoints, _version()))

    async def openapi(_: Request) -> Response:
        return Response(content, media_type="application/json")

    routes: list[BaseRoute] = [
        Route(path, dispatcher(group, current), methods=[endpoint.method for endpoint in group])
        for path, group in by_path.items()
    ]
    return [*routes, Route("/openapi.json", openapi, methods=["GET"])]


def _version() -> str:
    try:
        return version("flowgraph-engine")
    except PackageNotFoundError:
        return "0"
