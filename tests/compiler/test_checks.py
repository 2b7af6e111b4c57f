"""What the checks find, and what they rightly leave alone."""

from __future__ import annotations

import textwrap

import pytest

from tests.compiler.checked import codes_by_line, findings, marked

UNBOUND = {
    "one branch binds": """
        if a:
            x = 1
        return x  # error: FG210
    """,
    "both branches bind": """
        if a:
            x = 1
        else:
            x = 2
        return x
    """,
    "other branch leaves": """
        if a:
            x = 1
        else:
            return 0
        return x
    """,
    "loop may not run": """
        for i in range(a):
            x = await number(i)
        return x  # error: FG210
    """,
    "loop variable": """
        for i in range(a):
            await tell("a")
        return i  # error: FG210
    """,
    "endless loop binds": """
        while True:
            x = await number(a)
            a = x
            if x:
                break
        return x
    """,
    "finally on the normal way": """
        try:
            x = await number()
        finally:
            await tell("a")
        return x
    """,
    "read in finally": """
        try:
            x = await number()
        finally:
            await number(x)  # error: FG210
        return 0
    """,
    "handler starts anywhere": """
        try:
            x = await number()
            y = await number(x)
        except ValueError:
            return x  # error: FG210
        return y
    """,
    "handler leaves": """
        try:
            x = await number()
        except ValueError:
            return 0
        return x
    """,
    "handler variable is gone": """
        error = ValueError("a")
        try:
            await tell("a")
        except ValueError as error:
            await tell(str(error))
        return len(str(error))  # error: FG210
    """,
    "deleted": """
        x = 1
        del x
        return x  # error: FG210
    """,
    "deleted twice": """
        x = 1
        del x
        del x  # error: FG210
        return 0
    """,
    "walrus behind and": """
        if a and (m := await find("b")):
            return m.age
        return 0
    """,
    "walrus behind and, outside": """
        if a and (m := await find("b")):
            return 1
        return m.age  # error: FG174 FG210
    """,
    "walrus behind plain and": """
        if a and (m := a + 1) and m > 3:
            return m
        return 0
    """,
    "walrus of a loop": """
        while (m := await number()) < 4:
            await sleep("1m")
        return m
    """,
    "walrus in a comprehension stays": """
        xs = [y := i for i in range(3)]
        z = a if not xs else 0
        return z
    """,
    "break before binding": """
        while True:
            if a:
                break
            x = await number()
            await sleep("1m")
        return x  # error: FG210
    """,
}

STORED = {
    "not storable": """
        key = await secret()  # error: FG150
        await sleep("1h")
        await takes_secret(key)
        return 0
    """,
    "used before the next await only": """
        dots = ...
        n = len(str(dots))
        await sleep("1h")
        return n
    """,
    "used after the next await": """
        dots = ...  # error: FG150
        await sleep("1h")
        return len(str(dots))
    """,
    "a result of a step, which is stored in any case": """
        key = await secret()  # error: FG150
        n = len(str(key))
        await sleep("1h")
        return n
    """,
    "a result that nobody keeps": """
        await locked()  # error: FG150
        return 1
    """,
    "field of a dataclass": """
        box = await locked()  # error: FG150
        await sleep("1h")
        return 1 if box else 0
    """,
    "not inferable": """
        xs = []  # error: FG162
        await sleep("1h")
        return len(xs)
    """,
    "annotated": """
        xs: list[int] = []
        await sleep("1h")
        return len(xs)
    """,
    "empty list that dies": """
        xs = []
        n = len(xs)
        await sleep("1h")
        return n
    """,
    "too wide": """
        value = await anything()  # error: FG163
        await sleep("1h")
        return len(str(value))
    """,
    "field too wide": """
        value = await loose()  # error: FG163
        await sleep("1h")
        return len(value.data)
    """,
    "only on one path": """
        key = await secret()  # error: FG150
        if a:
            await tell("a")
            await takes_secret(key)
        return 0
    """,
    "alive for the handler": """
        key = await secret()  # error: FG150
        try:
            await tell("a")
        except ValueError:
            return len(str(key))
        return 0
    """,
    "alive for the finally": """
        key = await secret()  # error: FG150
        try:
            await tell("a")
        finally:
            n = len(str(key))
        return n
    """,
    "rebound first": """
        dots = ...
        n = len(str(dots))
        await tell("a")
        dots = ...
        return n + len(str(dots))
    """,
    "alive around the loop": """
        key = await secret()  # error: FG150
        for i in range(3):
            if len(str(key)) > i:
                await tell("a")
        return 0
    """,
    "exceptions are values": """
        kept: Exception | None = None
        try:
            await tell("a")
        except ValueError as error:
            kept = error
        await sleep("1s")
        return 0 if kept is None else 1
    """,
}

LOOPS = {
    "no way out": """
        while True:  # error: FG202
            await sleep("1h")
    """,
    "inner break is no way out": """
        while True:  # error: FG202
            for i in range(3):
                if await number(i):
                    break
            await sleep("1h")
    """,
    "return inside": """
        while True:
            if await number():
                return 1
            await sleep("1h")
    """,
    "unreachable": """
        return a
        await tell("a")  # error: FG201
    """,
    "unreachable after endless loop": """
        while True:  # error: FG202
            await sleep("1h")
        return a  # error: FG201
    """,
    "assertion that always holds": """
        assert True, "never raised"
        return a
    """,
    "never entered": """
        if False:  # error: FG213
            await tell("a")  # error: FG201
        return a
    """,
    "busy": """
        b = a
        while b < 3:  # error: FG204
            c = b + 1
        return b
    """,
    "not busy": """
        b = a
        while b < 3:
            b += 1
        return b
    """,
    "container changes": """
        xs = [1, 2]
        while xs:
            xs.pop()
        return 0
    """,
    "condition changes by itself": """
        xs = [1, 2]
        while xs.pop():
            pass
        return 0
    """,
    "poll": """
        while not await ok(Guest(id="a")):  # error: FG205
            pass
        return 0
    """,
    "poll with pause": """
        while not await ok(Guest(id="a")):
            await sleep("1m")
        return 0
    """,
    "pages": """
        page = 1
        while page:
            page = await number(page)
        return 0
    """,
    "counted attempts": """
        tries = 0
        while tries < 3:
            await number(tries)
            tries += 1
        return 0
    """,
    "changed while iterated": """
        guests = await several()
        for guest in guests:
            await tell(guest.id)
            guests.append(guest)  # error: FG143
        return 0
    """,
    "copy iterated": """
        guests = await several()
        for guest in list(guests):
            await tell(guest.id)
            guests.append(guest)
        return 0
    """,
    "changed, then left": """
        guests = await several()
        for guest in guests:
            if await ok(guest):
                guests.remove(guest)
                break
        return 0
    """,
    "no await in the loop": """
        guests = await several()
        for guest in guests:
            guests.append(guest)
        return 0
    """,
    "index loop": """
        guests = await several()
        for i in range(len(guests)):
            await tell(guests[i].id)
            guests.append(guests[i])
        return 0
    """,
}

CONDITIONS = {
    "constant": """
        guest = await get("a")
        if guest is None:  # error: FG213
            return 0
        return guest.age
    """,
    "guard": """
        guest = await get("a")
        if guest is None:
            raise ValueError("a")
        assert guest is not None
        return guest.age
    """,
    "open": """
        guest = await find("a")
        if guest is None:
            return 0
        return guest.age
    """,
    "again": """
        guest = await find("a")
        if guest is None:
            return 0
        if guest is not None:  # error: FG213
            return 1
        return 2
    """,
    "in a loop": """
        last = None
        for i in range(3):
            if last is None:
                await tell("first")
            last = await number(i)
        return 0
    """,
    "unused": """
        await number()  # error: FG211
        await tell("a")
        return 0
    """,
}

WAITS = {
    "no limit": """
        answer = await wait_for(Answered, where=lambda e: e.number == a, timeout=None)  # error: FG220
        return answer.number
    """,
    "unknown field": """
        answer = await wait_for(Answered, where=lambda e: e.nummer == a, timeout="1h")  # error: FG223
        return a
    """,
    "never equal": """
        answer = await wait_for(Answered, where=lambda e: e.guest == a, timeout="1h")  # error: FG223
        return a
    """,
    "not indexed": """
        answer = await wait_for(Answered, where=lambda e: e.number > a, timeout="1h")  # error: FG223
        return a
    """,
    "no where at all": """
        answer = await wait_for(Answered, timeout="1h")
        return a
    """,
    "in a group": """
        answers = await parallel(wait_for(Answered, where=lambda e: e.number == a, timeout=None), number())  # error: FG220
        return a
    """,
    "naive": """
        await sleep_until(datetime(2030, 1, 1))  # error: FG151
        return a
    """,
    "naive variable": """
        when = datetime.fromisoformat("2030-01-01")
        await sleep_until(when)  # error: FG151
        return a
    """,
    "aware": """
        when = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(days=a)
        await sleep_until(when)
        return a
    """,
    "durations": """
        await sleep("soon")  # error: FG321
        await sleep(3)  # error: FG321
        await sleep("3d")
        answer = await wait_for(Answered, where=lambda e: e.number == a, timeout="1 fortnight")  # error: FG321
        return a
    """,
}

ARGUMENTS = {
    "types": """
        await tell(a)  # error: FG170
        await tell(None)  # error: FG170
        await tell("a", "b")  # error: FG172
        await tell()  # error: FG171
        await tell(nam="a")  # error: FG171 FG172
        x = await sure("a", loud=True)
        y = await sure("a", True)  # error: FG172
        return a
    """,
    "none": """
        guest = await find("a")
        done = await ok(guest)  # error: FG174
        return guest.age  # error: FG174
    """,
    "guarded": """
        guest = await find("a")
        if guest is not None and await ok(guest):
            return guest.age
        return a if guest is None else guest.age
    """,
    "models": """
        one = Guest(id="a", host=Guest(id="b"))
        two = Guest(age=1)  # error: FG171
        three = Guest(id="a", nam="b")  # error: FG172
        four = Guest(id=None)  # error: FG170
        five = Guest(id="a", age="7")
        return a
    """,
    "result": """
        if a:
            return "x"  # error: FG173
        return None  # error: FG173
    """,
    "optional attribute narrowed": """
        guest = await get("a")
        if guest.host is None:
            return 0
        return guest.host.age
    """,
    "optional attribute": """
        guest = await get("a")
        return guest.host.age  # error: FG174
    """,
    "iterated": """
        guest = await find("a")
        for letter in guest.id:  # error: FG174
            await tell(letter)
        return 0
    """,
}

TABLES = [UNBOUND, STORED, LOOPS, CONDITIONS, WAITS, ARGUMENTS]
CODES = (
    *("FG143", "FG150", "FG151", "FG162", "FG163", "FG170", "FG171", "FG172", "FG173", "FG174"),
    *("FG201", "FG202", "FG204", "FG205", "FG210", "FG213", "FG220", "FG223", "FG321"),
)


@pytest.mark.parametrize("name", [name for table in TABLES for name in table])
def test_body(name: str) -> None:
    text = next(table[name] for table in TABLES if name in table)
    codes = [*CODES, *(["FG211"] if name == "unused" else [])]
    body = "@workflow\nasync def flow(a: int) -> int:\n" + textwrap.indent(textwrap.dedent(text).strip("\n"), "    ") + "\n"
    assert codes_by_line(body, *codes) == marked(body)


BOUNDARIES = """
class Hidden(BaseModel):
    name: str = ""
    _seen: int = PrivateAttr(default=0)


class Holder(BaseModel):
    parts: list[Hidden] = []


@dataclass
class Placed:
    at: Path


class Moved(Event, name="moved"):
    to: Placed


@step
async def hide(holder: Holder) -> None: ...
@step
async def walk(path: Path) -> None: ...
@step
async def where() -> Path: ...
@subflow
async def inner(path: Path) -> int:  # error: FG150
    return await number()


@workflow(on=Moved)
async def by_event(event: Moved) -> int:  # error: FG150
    return await number()


@workflow
async def by_hand(holder: Holder) -> int:  # error: FG152
    return await number()


@workflow
async def calls(path: str) -> Holder:  # error: FG152
    moved = await wait_for(Moved, timeout="1h")  # error: FG150
    await sleep("1h")
    await hide(Holder())
    return Holder()


@workflow
async def groups(path: str) -> int:
    await parallel(number(), secret())  # error: FG150
    return await inner(await where())  # error: FG150
"""


def test_what_crosses_the_edge_of_a_flow_must_be_storable() -> None:
    body = "from pathlib import Path\nfrom pydantic import PrivateAttr\n" + BOUNDARIES
    assert codes_by_line(body, "FG150", "FG152") == marked(body)


def test_a_wait_that_may_time_out_is_named_where_its_result_is_used() -> None:
    body = """
@workflow
async def flow(a: int) -> int:
    answer = await wait_for(Answered, where=lambda e: e.number == a, timeout="1h")
    return answer.number
"""
    (found,) = [one for one in findings(body) if one.rule.code == "FG174"]
    assert found.message == "'answer' is None when the wait times out"
    assert found.related[0].span.line == found.span.line - 1


def test_the_await_is_named_that_a_value_lives_across() -> None:
    body = """
@workflow
async def flow(a: int) -> None:
    key = await secret()
    await tell("a")
    await takes_secret(key)
"""
    (found,) = [one for one in findings(body) if one.rule.code == "FG150"]
    assert found.related[0].span.line == found.span.line + 1
    assert "'key' of type 'SecretStr'" in found.message


OPTIONS = """
from flowgraph import resource
@step(retries=-1)  # error: FG320
async def a1() -> None: ...
@step(retries=True)  # error: FG320
async def a2() -> None: ...
@step(timeout="soon")  # error: FG321
async def a3() -> None: ...
@step(timeout=30)  # error: FG321
async def a4() -> None: ...
@step(timeout="0s")  # error: FG320
async def a5() -> None: ...
@step(
    backoff=Backoff("1s", factor=0.5),  # error: FG320
    retries=3,
)
async def a6() -> None: ...
@step(backoff=Backoff("1 sec and a bit"))  # error: FG321
async def a7() -> None: ...
@step(backoff=Backoff("1s", jitter=2))  # error: FG320
async def a8() -> None: ...
@step(idempotent=False)  # error: FG231
async def a9() -> None: ...
@step(idempotent=False, retries=0)
async def a10() -> None: ...
@step(heartbeat="30s")  # error: FG323
async def a11() -> None: ...
@step(name="")  # error: FG320
async def a12() -> None: ...
@step(executor="thread")  # error: FG320
def a13() -> None: ...
@step(executor="dask", timeout="1m", retries=0, concurrency=Concurrency(3))
def a14() -> None: ...
@step(executor="process", transactional=True)  # error: FG322 FG323
def a15() -> None: ...
@step(executor="process")
async def a16() -> str:
    return resource(str)  # error: FG324
@workflow(on=Cron("0 9 * * *"))
async def w1() -> None: ...
@workflow(
    on=Asked,
    debounce=Debounce("1s"),  # error: FG323
    batch=Batch(0, "1s"),  # error: FG320 FG322 FG323
)
async def w2(event: list[Asked]) -> None: ...
@workflow(on=Asked, concurrency=Concurrency(1, key=lambda e: (e.guest, e.maybe)))  # error: FG301
async def w3(event: Asked) -> None: ...
@workflow(on=Asked, retries=2, backoff=Backoff("2s", kind="fixed"), name="w-four", aliases=("old",))
async def w4(event: Asked) -> None: ...
"""


@pytest.mark.feature(21)
def test_options() -> None:
    assert codes_by_line(OPTIONS, "FG231", "FG301", "FG320", "FG321", "FG322", "FG323", "FG324") == marked(OPTIONS)


NAMES = """
@step(name="pay")
async def one() -> None: ...
@step(aliases=("pay",))
async def two() -> None: ...  # error: FG250
class First(Event, name="first"): ...
class Second(Event, name="first"): ...  # error: FG250
class Third(Event, name="third", aliases=("first",)): ...  # error: FG250
class Fourth(Event, name="fourth", aliases=("Third",)): ...  # error: FG250
class Fifth(Event, name="fifth", aliases=("old.fifth", "OldFifth")): ...
"""


def test_names() -> None:
    assert codes_by_line(NAMES, "FG250") == marked(NAMES)


INTERNAL = """
class Sent(Event, name="sent", internal=True): ...  # error: FG222
class Expected(Event, name="expected", internal=True): ...  # error: FG221
class Both(Event, name="both", internal=True): ...
@workflow(on=Expected)
async def flow(event: Expected) -> None:
    made = Both()
    await send(Sent())
    await send(made)
    got = await wait_for(Both, timeout="1h")
"""


def test_internal_events() -> None:
    assert codes_by_line(INTERNAL, "FG221", "FG222") == marked(INTERNAL)
