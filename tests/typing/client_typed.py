"""The typed client and the test engine as authors use them; a line that ends in the mark is refused by both checkers."""

from typing import assert_type

from flowgraph import Event, Step, Workflow, step, workflow
from flowgraph_runtime import AsyncClient, AsyncRunHandle, Client, RunHandle, testing


class Asked(Event, name="asked"):
    text: str


@step
async def answer(text: str, times: int = 1) -> str:
    return text * times


@workflow(on=Asked)
async def ask(event: Asked) -> str:
    return await answer(event.text)


@workflow
async def count(start: int, *, by: int = 1) -> list[int]:
    return [start, start + by]


assert_type(answer, Step[[str, int], str])  # E
assert_type(ask, Workflow[[Asked], str])


def synchronous(client: Client) -> None:
    handle = client.start(ask, Asked(text="x"))
    assert_type(handle, RunHandle[str])
    assert_type(handle.result("30s"), str)
    assert_type(client.start(count, 1, by=2).result(), list[int])
    assert_type(client.start_once("k", count, 1), RunHandle[list[int]])
    assert_type(client.handle(count, "run_1"), RunHandle[list[int]])
    assert_type(client.start("count", {"start": 1}).status, str)  # E
    client.send(Asked(text="x"), id="1")
    client.send("asked", {"text": "x"})
    client.send("asked")  # E
    client.send(Asked(text="x"), {"text": "x"})  # E
    client.start(ask, "x")  # E
    client.start(ask)  # E
    client.start(count, "1")  # E
    client.start(count, 1, 2)  # E
    client.start(count, 1, to=2)  # E
    client.start(answer, "x")  # E
    client.start_once("k", count)  # E
    number: int = client.start(ask, Asked(text="x")).result()  # E
    handle.result(30)  # E
    print(number)


async def asynchronous(client: AsyncClient) -> None:
    handle = await client.start(ask, Asked(text="x"))
    assert_type(handle, AsyncRunHandle[str])
    assert_type(await handle.result(), str)
    await client.send(Asked(text="x"))
    await client.start(count)  # E
    handle.result().upper()  # E


async def in_a_test() -> None:
    async with testing.engine([ask, count], steps={answer: "y"}) as app:
        run = await app.start(ask, Asked(text="x"))
        assert_type(run, testing.Run[str])
        assert_type(await run.result(), str)
        assert_type(await app.runs(count), list[testing.Run[list[int]]])
        assert_type(await app.events(Asked), list[Asked])
        await app.advance("1d")
        await app.advance(1)  # E
        await app.start(count, "1")  # E
        await app.send("asked")  # E
        app.calls(count)  # E
    assert_type(testing.run(count, 1), list[int])
    testing.run(answer, "x")  # E
