"""The key split of `where`: what becomes an index key, what stays in the residual predicate."""

from __future__ import annotations

import pytest

from flowgraph_compiler.expressions import Logical
from flowgraph_compiler.graph import Wait, walk
from tests.compiler.checked import compiled

PRELUDE = """
from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from uuid import UUID

from pydantic import BaseModel

from flowgraph import Event, step, wait_for, workflow


class Color(Enum):
    RED = 1


class City(BaseModel):
    name: str


class Came(Event, name="came"):
    name: str
    number: int
    maybe: str | None = None
    size: float = 0.0
    color: Color = Color.RED
    id: UUID
    day: date
    at: datetime
    city: City
    names: list[str] = []


LIMIT = 3


@workflow(on=Came)
async def flow(event: Came) -> None:
    limit = event.number
    other = event.maybe
    await wait_for(Came, where=lambda e: WHERE, timeout="1h")
"""


def wait(where: str) -> Wait:
    """The wait of a workflow with this `where`."""
    graph = compiled(PRELUDE.replace("WHERE", where), prelude="").graphs["flow"]
    return next(node for node in walk(graph.main.body) if isinstance(node, Wait))


@pytest.mark.parametrize(
    ("where", "paths", "rest"),
    [
        ("e.name == event.name", ["name"], 0),
        ("event.name == e.name", ["name"], 0),
        ("e.name == event.name and e.number == limit", ["name", "number"], 0),
        ("e.city.name == event.city.name", ["city.name"], 0),
        ("e.color == event.color", ["color"], 0),
        ("e.id == event.id and e.day == event.day", ["id", "day"], 0),
        ("e.number == LIMIT", ["number"], 0),
        ("e.number == 3", ["number"], 0),
        ("e.number > 3 and e.name == event.name", ["name"], 1),
        ("e.name == event.name and e.number > limit", ["name"], 1),
    ],
)
def test_equalities_of_one_key_type_are_keys(where: str, paths: list[str], rest: int) -> None:
    node = wait(where)
    assert [path for path, _ in node.keys] == paths
    assert (node.residual is not None) == bool(rest)


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("e.maybe == event.maybe", "None == None is true in Python"),
        ("e.name == other", "the run's value may be None"),
        ("e.maybe == event.name", "the field may be None"),
        ("e.size == event.size", "floats are no keys"),
        ("e.at == event.at", "one moment has many texts"),
        ("e.name != event.name", "no equality"),
        ("e.name == event.name or e.number == 3", "not a conjunct"),
        ("not (e.name == event.name)", "negated"),
        ("e.name == event.names[0]", "reading the value may fail"),
        ("e.names[0] == event.name", "no field path"),
        ("e.name.lower() == event.name", "a computed field"),
        ("e.number == limit + 1", "a computed value"),
        ("e.number // limit == 1 and e.name == event.name", "what stands before may raise"),
        ("e.name == e.city.name", "both sides are the event's"),
        ("e.name == event.name == other", "a chain"),
    ],
)
def test_everything_else_stays_in_the_residual(where: str, why: str) -> None:
    node = wait(where)
    assert node.keys == (), why
    assert node.residual is not None


def test_what_is_left_keeps_its_order() -> None:
    node = wait("e.number > 1 and e.name == event.name and e.number < 9")
    assert [path for path, _ in node.keys] == ["name"]
    assert isinstance(node.residual, Logical)
    assert len(node.residual.operands) == 2


def test_a_narrowed_optional_is_a_key() -> None:
    text = PRELUDE.replace("    await wait_for", "    if other is None:\n        return\n    await wait_for").replace(
        "WHERE", "e.name == other"
    )
    graph = compiled(text, prelude="").graphs["flow"]
    node = next(node for node in walk(graph.main.body) if isinstance(node, Wait))
    assert [path for path, _ in node.keys] == ["name"]
    assert node.residual is None
