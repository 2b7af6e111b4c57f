"""Events of one name in one body take a short way, to the very rows and answers of the long one, or are left to that."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from types import NoneType
from typing import Annotated, Any, Literal

import orjson
import pytest
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from flowgraph import Event
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_runtime.acceptance import Acceptance
from flowgraph_runtime.api.events import as_usual, data_of_all, data_of_each
from flowgraph_runtime.api.json_gate import BadJson, parse
from flowgraph_runtime.app import create_app
from flowgraph_runtime.clock import ManualClock
from flowgraph_runtime.distribution import Distribution
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.payloads import PlainPayloads
from flowgraph_runtime.records import AlikeEvents, EventRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.settings import Settings
from flowgraph_runtime.verbatim import kinds_of
from tests.runtime.live import serving
from tests.runtime.server import free_port

NOW = 1_767_225_600_123_456
KINDS = """
from enum import Enum
from uuid import UUID

from pydantic import Field, field_validator

from flowgraph import Event, step, wait_for, workflow


class Colour(Enum):
    RED = "red"


class Heard(Event, name="heard", aliases=("rumour",)):
    text: str
    weight: float = 0.5
    count: int | None = None


class Named(Event, name="gehört"):
    text: str = Field(alias="theText")


class Spoken(Event, name="spoken"):
    text: str


class Trimmed(Event, name="trimmed"):
    text: str

    @field_validator("text")
    @classmethod
    def trim(cls, text: str) -> str:
        if text == "refused":
            raise ValueError("not this one")
        return text.strip()


class Dyed(Event, name="dyed"):
    colour: Colour


class Marked(Event, name="marked"):
    mark: UUID


class Nested(Event, name="nested"):
    inner: dict[str, int]


class Begun(Event, name="begun"):
    text: str


class Paid(Event, name="paid"):
    order: str


@step
async def repeat(text: str, id: str) -> list[str]:
    return [text, id]


@workflow(on=Begun)
async def listen(event: Begun) -> list[str]:
    heard = await wait_for(Heard, timeout="1h")
    if heard is None:
        return []
    return await repeat(heard.text, heard.meta.id)


@workflow(on=Begun)
async def collect(event: Begun) -> None:
    await wait_for(Paid, where=lambda paid: paid.order == event.text, timeout="1h")
"""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("alike") / "alike_kinds.py"
    target.write_text(KINDS, encoding="utf-8")
    return target


@pytest.fixture(scope="module")
def registry(kinds: Path) -> Registry:
    compilation = compile_targets([str(kinds)])
    assert compilation.ok, compilation.diagnostics
    return Registry.from_compilation(compilation)


def acceptance_of(registry: Registry) -> Acceptance:
    """One whose ids begin where those of another one do."""
    clock = ManualClock(NOW)
    ids = Identifiers(clock, lambda size: b"\x01" * size)
    return Acceptance(registry, Distribution(registry, ids, clock), ids, clock)


def body_of(*events: dict[str, Any]) -> bytes:
    return json.dumps(events, separators=(",", ":"), ensure_ascii=False).encode()


def sent(name: str, *data: dict[str, Any]) -> bytes:
    return body_of(*({"name": name, "data": one} for one in data))


def by_the_short_way(registry: Registry, body: bytes) -> AlikeEvents | None:
    given = data_of_each(body)
    return None if given is None else acceptance_of(registry).alike(given, "api")


def by_the_long_way(registry: Registry, body: bytes) -> list[EventRow]:
    value = parse(body)
    posted = as_usual(value if isinstance(value, list) else [value])
    assert posted is not None
    rows, runs = acceptance_of(registry).accept(posted, lenient=False)
    assert runs == []
    return rows


def heard(**more: Any) -> dict[str, Any]:
    return {"text": "a", "weight": 0.25, "count": 1, **more}


TAKEN = [
    sent("heard", heard()),
    sent("heard", heard())[1:-1],
    sent("trimmed", {"text": "]"})[1:-1],
    sent("spoken", {"text": '{"text":'}, {"text": '},{"name":"spoken","data":{"text":""'}),
    sent("heard", heard(), heard(text='Ünïcode \U0001f600 \n\\ "},{\\', weight=1e300, count=None), heard(text="\x7f\x1f")),
    sent("rumour", heard(count=-(2**63)), heard(weight=-0.0)),
    sent("trimmed", *({"text": str(number)} for number in range(300))),
]
LEFT = [
    b"",
    b"[]",
    sent("heard", heard())[1:],
    sent("heard", heard())[:-1],
    sent("heard", heard(), heard())[1:-1],
    body_of({"name": "heard", "data": heard(), "id": "mine"})[1:-1],
    b'{"name":"heard","data":{"text":"a"}}',
    b'{"name":"heard", "data":{"text":"a","weight":0.25,"count":1}}',
    b'{"name":"trimmed","data":{"text":"a"},"data":{"text":"a"}}',
    b'{"name":"trimmed","data":{"text":"a"},{"text":"a"}}',
    b'{"name":"trimmed","data":{"text":"a"}}}',
    body_of({"name": "heard", "data": heard(), "id": "mine"}),
    body_of({"name": "heard", "data": heard()}, {"name": "heard", "data": heard(), "id": "mine"}),
    body_of({"name": "heard", "data": heard()}, {"name": "rumour", "data": heard()}),
    body_of({"data": heard(), "name": "heard"}),
    json.dumps([{"name": "heard", "data": heard()}]).encode(),
    sent("heard", heard(), {"text": "defaults"}),
    sent("heard", {"weight": 0.25, "text": "another order", "count": 1}),
    sent("heard", heard(), heard(weight=1)),
    sent("heard", heard(), heard(count=2**63)),
    sent("heard", heard(count="5")),
    sent("heard", heard(), heard(text=5)),
    sent("heard", heard(), {}),
    sent("heard", heard(), heard(more=1)),
    sent("heard", heard(text="\x00")),
    sent("heard", heard(text="x" * 500_000)),
    sent("heard", *[heard()] * 2).replace(b'"a"', b'"\\u0061"'),
    sent("heard", heard()).replace(b'"count":1', b'"count":1,"count":1'),
    sent("heard", heard()).replace(b'"a"', b'"\xff"'),
    sent("heard", heard()).replace(b"0.25", b"2.5e-1"),
    sent("heard", heard()).replace(b"0.25", b"NaN"),
    sent("heard", heard()) + b"\n",
    sent("heard", heard())[:-1] + b",]",
    sent("gehört", {"theText": "a"}),
    sent("trimmed", {"text": "a"}, {"text": " a"}),
    sent("trimmed", {"text": "a"}, {"text": "refused"}),
    sent("dyed", {"colour": "red"}),
    sent("marked", {"mark": "00000000-0000-0000-0000-000000000001"}),
    sent("nested", {"inner": {"a": 1}}),
    sent("begun", {"text": "it starts a run"}),
    sent("paid", {"order": "it has a key"}),
    sent("nobody's", {"text": "a"}),
    sent("", {"text": "a"}),
]
_CUT = '},{"name":"NAME","data":'
BROKEN = [
    f'[{{"name":"NAME","data":{text}}}]'.replace("NAME", name).encode()
    for name in ("trimmed", "spoken")
    for text in (
        '{"text":"a' + _CUT + 'b"},{"text":"c"}',
        '{"text":"a}' + _CUT + '{b"},{"text":"c"}',
        '{"text":"a"}' + _CUT + '{"text":"b"},{"text":"c"}',
        '{"text":"a"' + _CUT + '"text":"b"}',
        '{"text":"a"}' + _CUT + _CUT + '{"text":"b"}',
        '{"text":"a"},"id":"i"' + _CUT + '{"text":"b"}',
        '{"text":"a' + _CUT + '{"text":"b"},{"text":"c"}',
        '{"text":"a' + _CUT + '{","text":"b"},{"text":"c"}',
        '{"text":"a' + _CUT + '{\\"text\\":b"},{"text":"c"}',
        '{"text":"a"},{"text":"b' + _CUT + '{"text":"c"}',
    )
]
"""What is cut into pieces that look better together than the whole was: no JSON, or with an id, or too much."""


@pytest.mark.parametrize("body", TAKEN)
def test_alike_events_become_the_rows_that_they_are_one_by_one(registry: Registry, body: bytes) -> None:
    alike = by_the_short_way(registry, body)
    assert alike is not None
    assert alike.rows() == by_the_long_way(registry, body)


@pytest.mark.parametrize("body", LEFT)
def test_whatever_is_not_alike_is_left_to_be_judged(registry: Registry, body: bytes) -> None:
    assert by_the_short_way(registry, body) is None


@pytest.mark.parametrize("body", BROKEN)
def test_pieces_that_are_no_objects_by_themselves_are_not_taken(registry: Registry, body: bytes) -> None:
    assert data_of_each(body) is not None
    assert by_the_short_way(registry, body) is None


@pytest.mark.parametrize("body", TAKEN)
@pytest.mark.parametrize("turned", [False, True])
def test_blanks_and_the_order_of_members_make_no_difference(registry: Registry, body: bytes, turned: bool) -> None:
    value = json.loads(body)
    events = value if isinstance(value, list) else [value]
    given = data_of_all([dict(reversed(event.items())) for event in events] if turned else events)
    assert given is not None
    alike = acceptance_of(registry).alike(given, "api")
    assert alike is not None
    assert alike.rows() == by_the_long_way(registry, body)


def test_ids_of_the_sender_are_kept_when_each_event_has_its_own(registry: Registry) -> None:
    events = [{"id": f"mine-{number}", "name": "heard", "data": heard(text=str(number))} for number in range(100)]
    given = data_of_all(events)
    assert given is not None
    alike = acceptance_of(registry).alike(given, "api")
    assert alike is not None
    assert alike.rows() == by_the_long_way(registry, body_of(*events))
    twice = data_of_all([*events, events[7]])
    assert twice is not None
    assert acceptance_of(registry).alike(twice, "api") is None


EVENT = {"name": "heard", "data": {"text": "a"}}


@pytest.mark.parametrize(
    "events",
    [
        [],
        [EVENT, 1],
        [EVENT, "name"],
        [EVENT, ["name", "data"]],
        [EVENT, EVENT | {"name": "rumour"}],
        [EVENT, EVENT | {"id": "mine"}],
        [EVENT, EVENT | {"ts": None}],
        [EVENT | {"id": None}],
        [EVENT | {"id": ""}],
        [EVENT | {"id": 5}, EVENT | {"id": "mine"}],
        [EVENT | {"id": "i" * 201}],
        [EVENT, {"name": "heard"}],
        [EVENT | {"data": None}],
        [EVENT | {"data": [1]}],
        [EVENT | {"name": ""}],
        [EVENT | {"name": None}],
        [EVENT | {"name": ["heard"]}],
        [EVENT | {"name": "n" * 201}],
        [EVENT | {"data": {"text": 2**64}}],
    ],
)
def test_events_with_anything_else_are_not_alike(events: list[Any]) -> None:
    assert data_of_all(events) is None


@pytest.mark.parametrize("name", ["trimmed", "spoken"])
def test_random_bodies_are_taken_only_as_what_they_are(registry: Registry, name: str) -> None:
    random = Random(11)
    cut = f'}},{{"name":"{name}","data":'
    pieces = ['{"text":"', '"}', "a", cut, cut, "{", "}", ",", '"', '","text":"', '\\"', "ü", '"id":"i"', "\\u0061", " "]
    whole = ['{"text":"a"}', '{"text":"\\"},{"}', '{"text":"ü"}']
    taken = broken = 0
    for _ in range(1_500):
        inner = list(cut.join(random.choice(whole) for _ in range(random.randrange(1, 4))))
        changes = random.randrange(3)
        for _ in range(changes):
            inner.insert(random.randrange(len(inner) + 1), random.choice(pieces))
        body = f'[{{"name":"{name}","data":{"".join(inner)}}}]'.encode()
        alike = by_the_short_way(registry, body)
        assert alike is not None or changes
        if alike is not None:
            taken += 1
            assert alike.rows() == by_the_long_way(registry, body)
        else:
            broken += refused(body)
    assert taken > 400
    assert broken > 300


TEXTS = ["", "a", " a ", "A", "12", "true", "long" * 20, "ü"]
VALUES: list[Any] = [*TEXTS, 0, -1, 7, 2**63 - 1, 2**63, 0.5, 7.0, -0.0, True, False, None, [], ["a"], {}, {"a": 1}]


class Plain(Event, name="plain"):
    model_config = ConfigDict(frozen=True)
    a: str
    b: int | None = None
    c: float = 0.5
    d: bool = Field(default=False, description="whether")


class Alone(Event):
    model_config = ConfigDict(strict=True, extra="forbid")
    a: None
    b: str


class Short(Event):
    a: Annotated[str, Field(max_length=5)]


class Lowered(Event):
    model_config = ConfigDict(str_to_lower=True)
    a: str


class Aliased(Event):
    a: str = Field(alias="b")


class Checked(Event):
    a: str

    @model_validator(mode="after")
    def check(self) -> Checked:
        assert self.a != "a"
        return self


class Before(Event):
    a: str

    @model_validator(mode="before")
    @classmethod
    def change(cls, data: Any) -> Any:
        return {"a": "changed"} if data == {"a": "a"} else data


class Upper(Event):
    a: Annotated[str, AfterValidator(str.upper)]


class Watching(Event):
    a: str

    def model_post_init(self, context: Any, /) -> None:
        assert self.a != "a"


class Own(Event):
    a: str

    def __init__(self, **data: Any) -> None:
        super().__init__(**{key: f"{value}!" for key, value in data.items()})


class Either(Event):
    a: str | int


class Recursive(Event):
    a: Recursive | None


class Chosen(Event):
    a: Literal["a", "b"]


class Listed(Event):
    a: list[str]


class Empty(Event):
    pass


JUST_LOOKED_AT: dict[type[Event], dict[str, set[type]]] = {
    Plain: {"a": {str}, "b": {int, NoneType}, "c": {float}, "d": {bool}},
    Alone: {"a": {NoneType}, "b": {str}},
    Empty: {},
}
JUDGED = [Short, Lowered, Aliased, Checked, Before, Upper, Watching, Own, Either, Recursive, Chosen, Listed]


@pytest.mark.parametrize("cls", [*JUST_LOOKED_AT, *JUDGED])
def test_only_classes_that_look_at_types_alone_take_their_data_without_an_instance(cls: type[Event]) -> None:
    assert kinds_of(cls) == JUST_LOOKED_AT.get(cls)


@pytest.mark.parametrize("cls", [Plain, Alone])
def test_what_is_taken_without_an_instance_is_what_the_instance_would_hold(cls: type[Event]) -> None:
    random = Random(3)
    payloads = PlainPayloads(cls)
    kinds = [[value for value in VALUES if type(value) in taken] for taken in JUST_LOOKED_AT[cls].values()]
    seen = {True: 0, False: 0}
    for _ in range(2_000):
        fields = [random.choice(VALUES if random.random() < 0.1 else likely) for likely in kinds]
        data = [orjson.dumps(dict(zip(cls.model_fields, fields, strict=True))).decode()]
        taken = payloads.take(data)
        assert taken is not None
        seen[taken] += 1
        try:
            events = [cls.model_validate_json(data[0])]
        except ValidationError:
            assert not taken
        else:
            assert taken == payloads.are_data(events, data)
    assert min(seen.values()) > 200


def refused(body: bytes) -> bool:
    try:
        parse(body)
    except BadJson:
        return True
    return False


def test_a_batch_of_alike_events_is_answered_stored_and_heard(kinds: Path, tmp_path: Path) -> None:
    port = free_port()
    app = create_app(str(kinds), settings=Settings(db=f"sqlite:///{tmp_path}/alike.db", port=port, poll_interval=0.05, grace=0.5))
    with serving(app, port) as http:
        waiting = http.post("/v1/events", json={"name": "begun", "data": {"text": "who knows"}}).json()["events"][0]["runs"]
        run = next(id for id in waiting if http.get(f"/v1/runs/{id}").json()["workflow"] == "listen")
        data = [heard(text=f"ü {number}") for number in range(3)]
        short = http.post("/v1/events", content=sent("heard", *data), headers={"Content-Type": "application/json"})
        spaced = json.dumps([{"name": "heard", "data": one} for one in data]).encode()
        spaced_out = http.post("/v1/events", content=spaced, headers={"Content-Type": "application/json"})
        long = http.post("/v1/events", json=[{"name": "heard", "data": one, "ts": None} for one in data])
        assert {(one.status_code, one.headers["content-type"]) for one in (short, spaced_out, long)} == {
            (200, "application/json")
        }
        told = [answer.json()["events"] for answer in (short, long, spaced_out)]
        without_ids = [[list(one.items())[1:] for one in events] for events in told]
        assert without_ids[1:] == without_ids[:1] * 2
        single = http.post("/v1/events", json={"name": "heard", "data": data[0]})
        blank = http.post("/v1/events", content=b" " + sent("heard", data[0])[1:-1], headers={"Content-Type": "application/json"})
        (one,), (other,) = (answer.json()["events"] for answer in (single, blank))
        assert one == other | {"id": one["id"]} == told[0][0] | {"id": one["id"]}
        mine = [{"name": "heard", "data": one, "id": f"mine-{number}"} for number, one in enumerate(data)]
        first, again = (http.post("/v1/events", json=mine[:2]).json()["events"] for _ in range(2))
        assert {one["reason"] for one in first} == {None}
        assert again == [one | {"reason": "stored before under this id"} for one in first]
        mixed = http.post("/v1/events", json=mine).json()["events"]
        assert mixed[:2] == again
        assert mixed[2]["reason"] is None
        refused = http.post("/v1/events", json=[mine[0] | {"id": "new"}, mine[0] | {"data": data[1]}])
        assert (refused.status_code, "mine-0" in refused.text) == (409, True)
        pages = [[http.get(f"/v1/events/{one['id']}").json() for one in events] for events in told]
        own = ("id", "ts", "received_at", "runs")
        kept = [[{key: one[key] for key in one if key not in own} for one in events] for events in pages]
        assert kept[1:] == kept[:1] * 2
        assert [one["data"] for one in pages[0]] == data
        ended = http.get(f"/v1/runs/{run}", params={"wait": "30s"}).json()
        assert (ended["status"], ended["result"]) == ("completed", ["ü 0", told[0][0]["id"]])
        assert 'flowgraph_events_received_total{status="stored"} 19.0' in http.get("/metrics").text
