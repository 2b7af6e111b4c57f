"""Writes the pages under `docs/reference/` from the code: `make docs`. A test fails while they are stale."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import flowgraph
from flowgraph.options import StepOptions, WorkflowOptions
from flowgraph_compiler.checks.options import EXECUTED
from flowgraph_compiler.rulebook import RULES
from flowgraph_runtime.api.endpoints import Endpoint, Query
from flowgraph_runtime.api.openapi import document
from flowgraph_runtime.api.table import ENDPOINTS
from flowgraph_runtime.cli.app import app
from flowgraph_runtime.settings import Settings

REFERENCE = Path(__file__).parent / "reference"
INDEX = "[Documentation](../README.md)"
MADE = "<!-- Written by docs/generate.py from the code; change the code and run `make docs`. -->\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, or nothing when there are no rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines) + "\n"


def _page(title: str, about: str, parts: Sequence[str]) -> str:
    body = "\n\n".join(part.strip() for part in [f"# {title}", MADE, about, *parts, INDEX] if part.strip())
    return body + "\n"


# --- the command line


def cli() -> str:
    """Return the page of every command, its arguments and options."""
    root: Any = typer.main.get_command(app)
    commands = list(_commands(root, "flowgraph"))
    index = "\n".join(f"- [`{name}`](#{name.replace(' ', '-')}): {_first_sentence(command.help)}" for name, command in commands)
    about = (
        "`TARGET` is a `.py` file, a folder or a dotted module, each optionally followed by `:workflow`. "
        "Exit codes: 0 done, 1 findings, "
        "a failed run or a refusal, 2 wrong usage, 3 no renderer for a diagram, 130 after Ctrl-C."
    )
    return _page("The program `flowgraph`", about, [index, *(_command(name, command) for name, command in commands)])


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        full = f"{name} {word}"
        yield from _commands(command, full) if hasattr(command, "commands") else [(full, command)]


def _command(name: str, command: Any) -> str:
    params = [param for param in command.params if not getattr(param, "hidden", False) and param.name != "help"]
    rows = [[_spelled(param), _one_line(getattr(param, "help", "") or "") + _default(param)] for param in params]
    example = (command.epilog or "").removeprefix("Example:").strip()
    parts = [f"## {name}", inspect.cleandoc(command.help or ""), table(("argument", "means"), rows)]
    return "\n\n".join(part.strip() for part in ([*parts, f"Example: `{example}`"] if example else parts))


def _spelled(param: Any) -> str:
    if not hasattr(param, "is_flag"):
        return f"`{param.metavar or param.name.upper()}`"
    kind = param.type_descriptor.annotation
    choices = " / ".join(choice.value for choice in kind) if isinstance(kind, type) and issubclass(kind, Enum) else ""
    names = "`, `".join([*param.opts, *param.secondary_opts])
    return f"`{names}{'' if param.is_flag else f' {param.metavar or choices or param.name.upper()}'}`"


def _default(param: Any) -> str:
    variable = f" Variable: `{param.envvar}`." if isinstance(param.envvar, str) else ""
    given = param.default
    if isinstance(given, bool) or given in (None, (), "") or callable(given):
        return variable
    return f" Default: `{getattr(given, 'value', given)}`.{variable}"


# --- HTTP


def http() -> str:
    """Return the page of every route."""
    about = (
        "JSON in and out; errors are `application/problem+json` with `title`, `detail` and, for bad input, "
        "`errors` with a JSON pointer each. "
        "The same as OpenAPI 3.1 stands at `/openapi.json` of a server. A key goes into `Authorization: Bearer fg_...`; "
        'the scope says what a key must be for (`admin` includes all). Lists answer `{"items": [...], "next_cursor": ...}`.'
    )
    rows = [[f"`{e.method} {e.path}`", e.scope, e.summary] for e in ENDPOINTS]
    schemas = document(ENDPOINTS, "0")["components"]["schemas"]
    bodies = [_schema(name, schema) for name, schema in sorted(schemas.items()) if schema.get("properties")]
    index = table(("method and path", "scope", "does"), rows)
    return _page("HTTP", about, [index, *(_endpoint(e) for e in ENDPOINTS), "## Shapes", *bodies])


def _endpoint(endpoint: Endpoint) -> str:
    rows = [[f"`{query.name}`", "query", _query(query)] for query in endpoint.query]
    rows += [[f"`{query.name}`", "header", _query(query)] for query in endpoint.headers]
    body = f"Body: {_kind(endpoint.body)}. " if endpoint.body is not None else ""
    answer = f"Answers {endpoint.status}: {_kind(endpoint.answer) if endpoint.answer is not None else _media(endpoint)}."
    errors = f" Its own errors: {', '.join(map(str, endpoint.errors))}." if endpoint.errors else ""
    parts = [f"## {endpoint.method} {endpoint.path}", f"{endpoint.summary}. Scope: {endpoint.scope}.", body + answer + errors]
    return "\n\n".join(part for part in [*parts, table(("parameter", "in", "means"), rows)] if part)


def _media(endpoint: Endpoint) -> str:
    return "nothing" if endpoint.status == 204 else f"`{endpoint.media}`"


def _query(query: Query) -> str:
    choices = query.schema.get("enum")
    return query.about + (f" ({', '.join(f'`{choice}`' for choice in choices)})" if choices else "")


def _kind(kind: Any) -> str:
    text = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__origin__") else str(kind)
    return f"`{re.sub(r'[a-z_]+(?:[.][a-z_]+)*[.]', '', text)}`"


def _schema(name: str, schema: dict[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    rows = [
        [f"`{field}`", _json_type(of), "yes" if field in needed else "no", _one_line(of.get("description", ""))]
        for field, of in schema["properties"].items()
    ]
    about = _one_line(schema.get("description", ""))
    return "\n\n".join(part for part in [f"### {name}", about, table(("field", "type", "always there", "means"), rows)] if part)


def _json_type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(_json_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_json_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any JSON")


# --- settings


def settings() -> str:
    """Return the page of the settings."""
    about = (
        "Flags of the command line win, then `FLOWGRAPH_*` variables, then the table `[tool.flowgraph]` of "
        "the `pyproject.toml` in the current "
        "folder. Durations are seconds, sizes bytes. `FLOWGRAPH_URL` and `FLOWGRAPH_KEY` (or `url` and `key` "
        "in the table) say which server "
        "`send`, `runs` and the other client commands talk to. In code: `flowgraph_runtime.Settings`."
    )
    rows = [_setting(name, field) for name, field in Settings.model_fields.items()]
    return _page("Settings", about, [table(("name", "variable", "default", "means"), rows)])


def _setting(name: str, field: FieldInfo) -> list[str]:
    default = "host and process id" if field.default is PydanticUndefined else f"`{field.default!r}`".replace("'", '"')
    about = field.description or _ABOUT.get(name, "")
    bounds = ", ".join(_BOUND.sub(lambda found: _SIGNS[found[1]] + " " + found[2], str(bound)) for bound in field.metadata)
    return [f"`{name}`", f"`FLOWGRAPH_{name.upper()}`", default, about + (f" ({bounds})" if bounds else "")]


_BOUND = re.compile(r"[A-Z][a-z]\((ge|gt|le|lt)=(.+)\)")
_SIGNS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_ABOUT = {
    "db": "the database: `sqlite:///path.db` or `postgresql://...`",
    "host": "the address to listen on; another than this machine's own needs keys",
    "port": "0 takes a free one",
    "durability": "SQLite: `full` syncs each commit to disk, `normal` may lose the last commits when the power fails",
    "claim_batch": "runs that a worker takes over in one statement",
    "heartbeat_interval": "how often a worker says that it lives",
    "body_limit": "bytes of a request's body",
    "node": "what this process is called in the database",
}
"""What the settings without a description mean."""


# --- rules and names


def rules() -> str:
    """Return the index of the compiler's rules."""
    about = (
        "What `flowgraph check` may say. `flowgraph explain FG174` prints a rule's page with an example and "
        "its repair. A finding that is "
        "meant so is allowed on its line: `# flowgraph: allow FG231 the carrier takes duplicates`."
    )
    rows = [
        [f"[{code}](../../compiler/flowgraph_compiler/rules/{code}.md)", rule.name, rule.level.value]
        for code, rule in RULES.items()
    ]
    return _page("Rules of the compiler", about, [table(("code", "name", "level"), rows)])


def language() -> str:
    """Return the page of the public names of `flowgraph`."""
    about = "What `from flowgraph import ...` offers. An option that is not carried out is refused (FG323)."
    names = [_name(name, getattr(flowgraph, name)) for name in flowgraph.__all__]
    return _page("Names of `flowgraph`", about, [_refused_options(), *names])


def _refused_options() -> str:
    rows = [["`@step`", _refused("step", StepOptions)], ["`@workflow`", _refused("workflow", WorkflowOptions)]]
    return "## Options that this version refuses\n\n" + table(("of", "options"), rows)


def _refused(kind: str, options: type[Any]) -> str:
    return ", ".join(f"`{field.name}=`" for field in fields(options) if field.name not in EXECUTED[kind])


def _name(name: str, value: object) -> str:
    alias = {"Duration": 'A text such as "30s", "24h" or "3d", or a `timedelta`.', "Key": "What a limit may be counted by."}.get(
        name
    )
    doc = alias or (inspect.getdoc(value) or "").strip()
    shown = _signature(name, value)
    return "\n\n".join(part for part in [f"## {name}", f"`{shown}`" if shown else "", doc] if part)


def _signature(name: str, value: object) -> str:
    fields = getattr(value, "__dataclass_fields__", None)
    if not (inspect.isfunction(value) or fields) or name in {"step", "workflow"}:
        return ""
    given = inspect.signature(value)  # type: ignore[arg-type]
    plain = [each.replace(annotation=_Bare(each.annotation)) for each in given.parameters.values()]
    result = inspect.Signature.empty if fields else _Bare(given.return_annotation)
    shown = str(given.replace(parameters=plain, return_annotation=result))
    return name + re.sub(r"<function [^>]*>", "...", shown)


class _Bare:
    """An annotation that is shown as its source text."""

    def __init__(self, text: object) -> None:
        self._text = str(text)

    def __repr__(self) -> str:
        return self._text


# ---


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _first_sentence(text: str | None) -> str:
    return re.split(r"(?<=[.])\s", _one_line(text or ""), maxsplit=1)[0]


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli,
    "http.md": http,
    "settings.md": settings,
    "rules.md": rules,
    "language.md": language,
}


def main() -> None:
    """Write every page."""
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"wrote docs/reference/{name}\n")


if __name__ == "__main__":
    main()
