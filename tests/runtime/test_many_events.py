"""Many events at once become the very rows that they become one after the other."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
import pytest
from pydantic import ConfigDict, Field, PrivateAttr, TypeAdapter, field_validator

from flowgraph import Event
from flowgraph.codec import encode
from flowgraph.events import EventMeta, attach_meta
from flowgraph_compiler.pipeline import compile_targets
from flowgraph_runtime.acceptance import Acceptance, Posted
from flowgraph_runtime.api.events import as_usual
from flowgraph_runtime.api.json_gate import BadJson, check_depth, parse
from flowgraph_runtime.api.shapes import EventIn
from flowgraph_runtime.clock import ManualClock
from flowgraph_runtime.distribution import Distribution
from flowgraph_runtime.errors import InputRejected, TooLarge
from flowgraph_runtime.identifiers import Identifiers
from flowgraph_runtime.moments import moment
from flowgraph_runtime.payloads import PlainPayloads
from flowgraph_runtime.records import EventRow
from flowgraph_runtime.registry import Registry
from flowgraph_runtime.texts import compact, compact_all

NOW = 1_767_225_600_123_456


class Flat(Event, name="flat"):
    order: str
    note: str | None = None
    count: int = 7
    rate: float = 0.5
    paid: bool = False


class Shouted(Event, name="shouted"):
    model_config = ConfigDict(frozen=True)
    text: str = Field(alias="theText")

    @field_validator("text")
    @classmethod
    def upper(cls, text: str) -> str:
        return text.upper()


class Timed(Event, name="timed"):
    at: datetime


class Kept(Event, name="kept"):
    model_config = ConfigDict(extra="allow")
    order: str


class Hidden(Event, name="hidden"):
    order: str
    _secret: int = PrivateAttr(default=1)


def rows_of(events: list[Event], *, ts: int = NOW, source: str | None = "api") -> list[EventRow]:
    return [EventRow(f"evt_{number}", "wire", "{}", "null", ts, NOW, source) for number, _ in enumerate(events)]


def one_by_one(events: list[Event], rows: list[EventRow]) -> list[str]:
    for event, row in zip(events, rows, strict=True):
        attach_meta(event, EventMeta(row.id, row.name, moment(row.ts), row.source))
    return [orjson.dumps(encode(event)).decode() for event in events]


PLAIN = [
    [
        Flat(order="o-1"),
        Flat(order='Ünïcode \U0001f600 \n",\n,'),
        Flat(order="", note="x", count=-(2**63), rate=1e300, paid=True),
    ],
    [Flat(order="a", note=None), Flat(order="b", count=2**63 - 1), Flat(order="c", rate=-0.0)],
    [Shouted(theText="loud"), Shouted(theText="\\u0041\x7f\x1f")],
    [Flat.model_construct(order="made")],
]
OTHERS = [
    [Flat(order="a", count=2**63)],
    [Flat.model_construct(order="a", rate=float("nan"))],
    [Flat(order="a"), Flat.model_construct(order=["a"])],
    [Timed(at=datetime(2026, 1, 1, tzinfo=UTC))],
    [Kept.model_validate({"order": "a", "more": 1})],
    [Hidden(order="a")],
    [Flat.model_construct(order="\ud800")],
]


@pytest.mark.parametrize("events", PLAIN)
def test_payloads_of_plain_events_are_what_the_codec_writes(events):
    rows = rows_of(events)
    found = PlainPayloads(type(events[0])).texts(events, rows)
    assert found == one_by_one(events, rows)


def test_payloads_tell_each_events_own_time_and_source():
    events = [Flat(order="a"), Flat(order="b"), Flat(order="c")]
    rows = [*rows_of(events[:1], ts=1), *rows_of(events[1:2], source=None), *rows_of(events[2:], source='a"b')]
    assert PlainPayloads(Flat).texts(events, rows) == one_by_one(events, rows)


@pytest.mark.parametrize("events", OTHERS)
def test_events_that_hold_more_than_texts_and_numbers_are_left_to_the_codec(events):
    assert PlainPayloads(type(events[0])).texts(events, rows_of(events)) is None


def test_an_event_of_a_subclass_is_left_to_the_codec():
    class Flatter(Flat, name="flatter"):
        pass

    events: list[Event] = [Flat(order="a"), Flatter(order="b")]
    assert PlainPayloads(Flat).texts(events, rows_of(events)) is None


def test_texts_of_many_values_are_those_of_each():
    values: list[object] = [{"a": "\n,\n"}, {}, {"b": [1, None, "ü"]}, [], "x", 2.5]
    assert compact_all(values) == [compact(value) for value in values]
    values.append(2**70)
    assert compact_all(values) == [compact(value) for value in values]
    assert compact_all([]) == []


# --- from what is sent to rows


@pytest.fixture(scope="module")
def acceptance(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    target = folder / "kinds_of_events.py"
    target.write_text(
        """
from flowgraph import Event, step, wait_for, workflow


class Ordered(Event, name="ordered", aliases=("bought",)):
    order: str
    amount: int = 1


class Paid(Event, name="paid"):
    order: str
    parts: list[int] = []


class Noted(Event, name="noted"):
    text: str


@step
async def ship(order: str) -> None: ...


@workflow(on=Ordered)
async def sell(event: Ordered) -> None:
    await wait_for(Paid, where=lambda paid: paid.order == event.order, timeout="1d")
    await ship(event.order)


@workflow(on=Noted, where=lambda e: e.text == "ship it")
async def obey(event: Noted) -> None:
    await ship(event.text)
"""
    )
    registry = Registry.from_compilation(compile_targets([str(target)]))
    clock = ManualClock(NOW)
    ids = Identifiers(clock, lambda size: b"\x01" * size)
    return Acceptance(registry, Distribution(registry, ids, clock), ids, clock)


SENT = [
    Posted("ordered", {"order": "o-1"}, source="api"),
    Posted("paid", {"order": "o-1"}, ts=1_767_225_600_000),
    Posted("nobody's", {"order": "o-1"}),
    Posted("bought", {"order": "o-2", "amount": 3}, id="mine", ts=datetime(2026, 1, 2, tzinfo=UTC)),
    Posted("noted", {"text": "ship it"}, envelope={"trace": "t"}),
    Posted("noted", {"text": "leave it"}),
    Posted("paid", {"order": "ü", "parts": [1, 2]}, source="shop"),
    Posted("ordered", {"order": "o-3", "amount": "4"}, source="shop"),
]


def told(rows: list[EventRow], runs: list[Any]) -> list[tuple[Any, ...]]:
    """What counts of rows and of the runs that they start, whatever their ids are."""
    started = {row.id: [run.workflow for run in runs if run.event_id == row.id] for row in rows}
    return [
        (
            row.name,
            row.data,
            row.payload.replace(row.id, "ID"),
            row.ts,
            row.source,
            row.client_id,
            row.status,
            row.reason,
            row.keys,
            row.dedup,
            row.envelope,
            row.names,
            started[row.id],
        )
        for row in rows
    ]


@pytest.mark.parametrize("lenient", [False, True])
def test_a_batch_becomes_the_rows_and_runs_of_its_events_in_order(acceptance, lenient):
    together = told(*acceptance.accept(SENT, lenient=lenient))
    alone = [one for event in SENT for one in told(*acceptance.accept([event], lenient=lenient))]
    assert together == alone
    assert [one[-1] for one in together] == [["sell"], [], [], ["sell"], ["obey"], [], [], ["sell"]]
    assert [one[8] for one in together if one[0] == "paid"] == [(("order", "s:o-1"),), (("order", "s:ü"),)]
    assert [one[6] for one in together] == ["stored", "stored", "unknown", *["stored"] * 5]


def test_runs_are_made_in_the_order_of_their_events(acceptance):
    rows, runs = acceptance.accept([SENT[0], SENT[4], SENT[3]], lenient=False)
    assert [run.event_id for run in runs] == [row.id for row in rows]
    assert [run.id for run in runs] == sorted(run.id for run in runs)
    assert [run.input for run in runs] == [f"[{row.payload}]" for row in rows]


def test_every_event_at_fault_is_named_by_its_index(acceptance):
    sent = [SENT[0], Posted("paid", {"order": 5}), SENT[2], Posted("ordered", {}), Posted("paid", {"order": "x", "parts": "y"})]
    with pytest.raises(InputRejected) as caught:
        acceptance.accept(sent, lenient=False)
    assert [pointer for pointer, _ in caught.value.faults] == ["/1/data/order", "/3/data/order", "/4/data/parts"]


def test_leniently_only_the_events_at_fault_are_invalid(acceptance):
    rows, runs = acceptance.accept([SENT[0], Posted("ordered", {"order": 5}, id="c"), SENT[2], SENT[7]], lenient=True)
    assert [(row.status, row.dedup) for row in rows] == [
        ("stored", "start"),
        ("invalid", "none"),
        ("unknown", "none"),
        ("stored", "start"),
    ]
    assert [run.event_id for run in runs] == [rows[0].id, rows[3].id]


def test_an_event_that_is_too_large_is_named_among_many(acceptance):
    with pytest.raises(TooLarge, match="the data of event 'large'"):
        acceptance.accept([SENT[0], Posted("large", {"text": "ü" * 256_000})], lenient=False)
    rows, _ = acceptance.accept([SENT[0], Posted("large", {"text": "u" * 511_000})], lenient=False)
    assert len(rows) == 2


def test_ids_made_at_once_go_on_where_the_last_one_was():
    ids = Identifiers(ManualClock(NOW), lambda size: b"\xff" * (size - 2) + b"\xfb\xf0")
    made = [ids.event(), *ids.events(3), *ids.events(0), *ids.events(5_000), ids.event()]
    assert len(set(made)) == 5_005
    assert made == sorted(made)
    single = Identifiers(ManualClock(NOW), lambda size: b"\xff" * (size - 2) + b"\xfb\xf0")
    assert made == [single.event() for _ in made]


# --- what the API takes


TAKEN: list[list[Any]] = [
    [{"name": "a", "data": {"x": 1}}],
    [{"name": "a", "data": {}}, {"id": "i" * 200, "data": {"y": []}, "name": "n" * 200}],
]
JUDGED: list[list[Any]] = [
    [],
    [{"name": "a"}],
    [{"name": "a", "data": {}, "id": None}],
    [{"name": "a", "data": {}, "ts": 1_767_225_600_000}],
    [{"name": "a", "data": None}],
    [{"name": "", "data": {}}],
    [{"name": "n" * 201, "data": {}}],
    [{"name": "a", "data": {}, "id": ""}],
    [{"name": "a", "data": {}, "id": 5}],
    [{"name": 5, "data": {}}],
    [{"name": "a", "data": [1]}],
    [{"name": "a", "data": {}}, {"name": "b", "data": {}, "more": 1}],
    [{"name": "a", "data": {}}, "text"],
    [{"name": "a", "data": {}, "id": "x"}, {"name": "a", "id": "x"}, {"name": "a", "data": {}, "id": "x", "ts": None}],
]


@pytest.mark.parametrize("value", TAKEN)
def test_usual_events_are_taken_as_their_shape_would_have_them(value):
    judged = TypeAdapter(list[EventIn]).validate_python(value)
    assert as_usual(value) == [Posted(event.name, event.data, event.id, event.ts, "api") for event in judged]


@pytest.mark.parametrize("value", JUDGED)
def test_anything_unusual_is_left_to_the_shape(value):
    assert as_usual(value) is None


# --- the gate


TWICE = [
    b'{"a":1,"a":2}',
    b'[{"name":"x","data":{"k" :1,"k"\n:2}}]',
    b'{"\\\\":1,"\\\\":2}',
    b'{"a\\"":1,"a\\"":2}',
    b'{"a":{"b":":"},"a":"::"}',
    b'{"a":1,"\\u0061":2}',
    b'[{"a":"\\":"},{"b":1,"b":2}]',
]


@pytest.mark.parametrize("body", TWICE)
def test_a_key_that_stands_twice_is_found_whatever_else_there_is(body):
    with pytest.raises(BadJson, match="stands twice"):
        parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":":","b":"x : y","c":"\\":","d\\\\":"\\\\"}',
        b'{ "a" : "http://x:1" , "b"\t: [ { "c":":" } ] }',
        b'[{"at":"2026-01-01T00:00:00Z"},{"say":"\\"a\\": 1"}]',
        b'{"\\\\u0000":1}',
        b"-0",
        b"1e-400",
        b"1" * 4300,
    ],
)
def test_usual_texts_pass_with_their_values(body):
    assert parse(body) == json.loads(body)


@pytest.mark.parametrize(
    "body", [b"1" * 4301, b"[1e999]", b'{"a":[-1e999]}', b"NaN", b"[Infinity]", b'{"a":"\\u0000"}', b'"\\ud800"']
)
def test_what_no_database_holds_is_refused(body):
    with pytest.raises(BadJson):
        parse(body)


def test_random_documents_pass_unless_a_key_stands_twice():
    random = Random(7)
    strings = ["", ":", "a", 'a"', "\\", '":', '\\"', " :", "ü", "\n"]

    def document(depth: int) -> tuple[str, bool]:
        """A text, and whether a key stands twice in it."""
        if depth == 0 or random.random() < 0.3:
            return json.dumps(random.choice([*strings, 1, -2.5, None, True])), False
        parts = [document(depth - 1) for _ in range(random.randrange(4))]
        bad = any(twice for _, twice in parts)
        if random.random() < 0.4:
            return f"[{','.join(text for text, _ in parts)}]", bad
        keys = [random.choice(strings) for _ in parts]
        blank = random.choice(["", " ", "\t "])
        members = [f"{json.dumps(key)}{blank}:{text}" for key, (text, _) in zip(keys, parts, strict=True)]
        return f"{{{','.join(members)}}}", bad or len(set(keys)) < len(keys)

    refused = 0
    for _ in range(2_000):
        text, twice = document(4)
        if twice:
            refused += 1
            with pytest.raises(BadJson, match="stands twice"):
                parse(text.encode())
        else:
            assert parse(text.encode()) == json.loads(text)
    assert 100 < refused < 1_900


def test_depth_counts_alike_for_objects_and_lists():
    def nested(depth: int, *, objects: bool) -> bytes:
        return (b'{"a":' * depth + b"1" + b"}" * depth) if objects else b"[" * depth + b"]" * depth

    for objects in (False, True):
        parse(nested(64, objects=objects))
        with pytest.raises(BadJson, match="deeper than 64"):
            parse(nested(65, objects=objects))
        with pytest.raises(BadJson, match="deeper than 64"):
            check_depth(nested(65, objects=objects).decode())
