"""Steps that need the processor for a while, in the three ways in which a step may run."""

from __future__ import annotations

from hashlib import sha256

from flowgraph import fan_out, step, workflow

ROUNDS = 200_000


def _work(rounds: int) -> int:
    digest = b""
    for _ in range(rounds):
        digest = sha256(digest).digest()
    return digest[0]


@step
async def in_the_loop(rounds: int) -> int:
    return _work(rounds)


@step
def in_a_thread(rounds: int) -> int:
    return _work(rounds)


@step(executor="process")
def in_a_process(rounds: int) -> int:
    return _work(rounds)


@step
async def none(rounds: int) -> int:
    return rounds


@workflow
async def loop(parts: int, rounds: int) -> int:
    return sum(await fan_out(in_the_loop(rounds) for _ in range(parts)))


@workflow
async def thread(parts: int, rounds: int) -> int:
    return sum(await fan_out(in_a_thread(rounds) for _ in range(parts)))


@workflow
async def process(parts: int, rounds: int) -> int:
    return sum(await fan_out(in_a_process(rounds) for _ in range(parts)))


@workflow
async def quick(rounds: int) -> int:
    return await none(rounds)
