"""FG214, FG232, FG240, FG241: what may go wrong later, and what rightly is left alone."""

from __future__ import annotations

import textwrap

import pytest

from tests.compiler.checked import codes_by_line, marked

HEAD = """
class Placed(Event, name="placed"):
    items: list[str]
    sure: Annotated[list[str], Field(min_length=1)] = ["x"]
    vip: bool = False
@step
async def placed() -> Placed: ...
@step
async def use(xs: list[int]) -> list[int]: ...
@step
async def keep(order: dict[str, int], more: list[int] = []) -> None: ...
@step
async def undo(order: dict[str, int]) -> None: ...
@step(compensate=undo)
async def book(order: dict[str, int]) -> str: ...
@workflow
async def other(xs: list[int]) -> None: ...
MANY = 200_000
"""
IMPORTS = "from typing import Annotated\nfrom pydantic import Field\nfrom flowgraph import fan_out, start\n"


def found(body: str, *codes: str) -> tuple[object, object]:
    """(what is found, what is marked) in the body of a workflow."""
    text = IMPORTS + HEAD
    text += "@workflow(on=Placed)\nasync def flow(event: Placed) -> Any:\n" + textwrap.indent(textwrap.dedent(body), "    ")
    return codes_by_line(text, *codes), marked(text)


EMPTY = {
    "a division": """
        xs = await use([])
        return sum(xs) / len(xs)  # error: FG214
    """,
    "a remainder": """
        xs = await use([])
        return 7 % len(xs), 7 // len(xs)  # error: FG214
    """,
    "the first and the last": """
        xs = await use([])
        a = xs[0]  # error: FG214
        return a + xs[-1]  # error: FG214
    """,
    "a field of the event": """
        if event.vip:
            await tell("vip")
        return event.items[0]  # error: FG214
    """,
    "what was fanned out": """
        names = await fan_out(sure(item) for item in event.items)
        return names[0]  # error: FG214
    """,
    "before the test": """
        xs = await use([])
        average = 1 / max(len(xs), 1)
        return average / len([1])
    """,
    "tested": """
        xs = await use([])
        if not xs:
            return 0
        return sum(xs) / len(xs)
    """,
    "tested by its length": """
        xs = await use([])
        count = len(xs)
        return sum(xs) / len(xs) if count > 0 else 0
    """,
    "the source is tested": """
        if len(event.items) == 0:
            return "nothing"
        names = await fan_out(sure(item) for item in event.items)
        return names[0]
    """,
    "asserted": """
        xs = await use([])
        assert xs
        return xs[0]
    """,
    "a condition": """
        xs = await use([])
        return xs and xs[0]
    """,
    "a loop over it": """
        total = 0
        for item in event.items:
            total += len(item) // len(event.items)
        return total
    """,
    "handled": """
        xs = await use([])
        try:
            return xs[0]
        except IndexError:
            return 0
    """,
    "handled as something else": """
        xs = await use([])
        try:
            return xs[0]  # error: FG214
        except KeyError:
            return 0
    """,
    "filled": """
        xs = await use([])
        xs.append(1)
        return xs[0]
    """,
    "displays, splits and tuples of known length": """
        xs = [1, 2]
        both = await parallel(number(1), number(2))
        parts = event.items.index("a"), "a b".split(" ")
        return xs[0] + both[0] + parts[0]
    """,
    "inside of what a step has made": """
        made = await placed()
        return made.items[0]
    """,
    "as many as written out": """
        names = await fan_out(number(n) for n in range(3))
        more = [n for n in range(3)]
        return names[0] + more[-1]
    """,
    "a least length": """
        return event.sure[0]
    """,
    "a dict by number": """
        d = {0: "a"}
        await tell("x")
        return d[0]
    """,
}


@pytest.mark.parametrize("case", EMPTY)
def test_what_fails_over_an_empty_list(case: str) -> None:
    told, wanted = found(EMPTY[case], "FG214")
    assert told == wanted


CHANGED = {
    "changed and forgotten": """
        xs = await use([])
        await use(xs)
        xs.append(1)  # error: FG232
        return 0
    """,
    "changed and read": """
        xs = await use([])
        await use(xs)
        xs.append(1)
        return xs
    """,
    "taken from": """
        xs = await use([])
        await use(xs)
        return xs.pop(0) if xs else 0
    """,
    "collected in a loop": """
        xs: list[int] = []
        for n in range(3):
            await use(xs)
            xs.append(n)
        return 0
    """,
    "an item": """
        order = {"a": 1}
        await keep(order)
        order["b"] = 2  # error: FG232
        return 0
    """,
    "another name": """
        order = {"a": 1}
        same = order
        await keep(order)
        order["b"] = 2
        return same
    """,
    "part of something that is read": """
        lists = {"a": [1]}
        xs = lists["a"]
        await use(xs)
        xs.append(2)
        return lists
    """,
    "a new value": """
        order = {"a": 1}
        await keep(order)
        order = {"b": 2}
        order["c"] = 3
        return 0
    """,
    "numbers cannot change": """
        n = 1
        await number(n)
        n += 1
        return 0
    """,
    "a run that was started": """
        xs = await use([])
        await start(other, xs)
        xs.append(1)  # error: FG232
        return xs
    """,
    "an event that was sent": """
        answer = Answered(guest="g")
        await send(answer)
        answer.number = 2  # error: FG232
        return answer.number
    """,
    "on one path": """
        xs = await use([])
        if event.vip:
            await start(other, xs)
        else:
            xs.append(0)
        xs += [1]  # error: FG232
        return xs
    """,
}


@pytest.mark.parametrize("case", CHANGED)
def test_changes_that_a_call_does_not_see(case: str) -> None:
    told, wanted = found(CHANGED[case], "FG232")
    assert told == wanted


GROWING = {
    "events are kept": """
        seen: list[str] = []
        while True:
            answer = await wait_for(Answered, where=lambda a: a.guest == "x", timeout="1h")
            if answer is None:
                return seen
            seen.append(answer.guest)  # error: FG240
    """,
    "text is joined": """
        text = ""
        while True:
            await sleep("1d")
            text += "x"  # error: FG240
            if event.vip:
                return text
    """,
    "its size is tested": """
        seen: list[str] = []
        while True:
            await sleep("1d")
            seen.append("x")
            if len(seen) > 10:
                return seen
    """,
    "it is emptied": """
        seen: list[str] = []
        while True:
            await sleep("1d")
            seen.append("x")
            if event.vip:
                return seen
            await tell(str(seen))
            seen.clear()
    """,
    "it is cut": """
        seen: list[str] = []
        while True:
            await sleep("1d")
            seen.append("x")
            seen = seen[-10:]
            if event.vip:
                return seen
    """,
    "pages are read": """
        seen: list[int] = []
        while True:
            page = await use(seen)
            seen.extend(page)
            if not page:
                return seen
    """,
    "a loop with a bound": """
        seen: list[int] = []
        for n in range(10):
            await sleep("1d")
            seen.append(n)
        return seen
    """,
    "a number": """
        n = 0
        while True:
            await sleep("1d")
            n += 1
            if event.vip:
                return n
    """,
}


@pytest.mark.parametrize("case", GROWING)
def test_what_grows_in_an_endless_loop(case: str) -> None:
    told, wanted = found(GROWING[case], "FG240")
    assert told == wanted


LARGE = {
    "a long text": """
        text = "x" * 40_000_000  # error: FG241
        await sleep("1h")
        return text
    """,
    "many numbers": """
        xs = list(range(10_000_000))  # error: FG241
        await sleep("1h")
        return len(xs)
    """,
    "not stored": """
        text = "x" * 40_000_000
        n = len(text)
        await sleep("1h")
        return n
    """,
    "small": """
        text = "x" * 1_000_000
        await sleep("1h")
        return text
    """,
    "too many branches": """
        return await fan_out(number(n) for n in range(MANY))  # error: FG241
    """,
    "few branches": """
        return await fan_out(number(n) for n in range(MANY) if n < 10)
    """,
}


@pytest.mark.parametrize("case", LARGE)
def test_what_is_larger_than_a_run_may_store(case: str) -> None:
    told, wanted = found(LARGE[case], "FG241")
    assert told == wanted
