"""Short pieces of code at corners of the language that random statements seldom come to: two things that must meet."""

from __future__ import annotations

from tests.differential.programs import Scope
from tests.differential.random_frames import Frames

SNIPPETS: tuple[str, ...] = (
    # the end of a chain, its middle, an operand that changes what stands left of it
    "<a> = 1 < 2 < await add(<int0>)\n<b> = 0 < [await add(1)].pop() < await add(<int0>) < 99",
    "<a> = 5 < 4 < await add(1)\n<b>: list[int] = [3, 4, 5]\n<c> = 0 < <b>.pop() < await add(9)\nawait record(str(<b>))",
    "<a> = <int0>\n<a> += (<a> := 50) + await add(1)\n<b> = [1, 2]\n<b>[0] += <b>.pop() + await add(1)",
    "<b> = 0\n<a> = <b> = await add(<int0>)\nawait record(str(<b> - <a>))",
    # which of two fails first
    "try:\n    <a> = {await only_even(1): await very(5)}\nexcept Exception as <b>:\n    await describe(<b>)",
    "try:\n    <a> = [await strict(1), await very(5)]\nexcept Exception as <b>:\n    await describe(<b>)",
    # sharing
    "<a>: list[int] = [1]\n<b> = await sharing(<a>, <a>)\nawait record(f'{<a>} {<b>}')",
    "<a>: list[int] = [1]\n<b>, <c> = await parallel(sharing(<a>, <a>), sharing(<a>, [2]))\nawait record(f'{<a>} {<b>} {<c>}')",
    "<a> = Item(n=1)\n<b> = [<a>, <a>]\nawait add(1)\n<b>[0].n = 7\nawait record(f'{<a>.n} {<b>[1].n}')",
    "<a>: list[int] = [0]\nfor _ in range(2):\n    try:\n        await spoil(<a>)\n    except Odd as <b>:\n"
    "        await record(f'{<a>} {<b>}')",
    # two records in one transition
    "assert uuid() != uuid()\nassert now() == now()",
    # who gets an event, a predicate that fails
    'await send(Ping(n=50, text="w"))\n<a>, <b> = await parallel(wait_for(Ping, where=lambda p: p.n >= 50, timeout="3h"), '
    'wait_for(Ping, where=lambda p: p.n >= 50, timeout="4h"))\nawait record(f"{<a> is None} {<b> is None}")',
    'await send(Ping(n=60))\ntry:\n    <a> = await wait_for(Ping, where=lambda p: 10 // (p.n - 60) > 1, timeout="1h")\n'
    "except ZeroDivisionError as <b>:\n    await describe(<b>)",
    # groups
    "<a> = await parallel(add(<int0>), label(2))\nawait record(str(<a>))",
    "try:\n    await parallel(clumsy(1), very(5), clumsy(2))\nexcept Exception as <b>:\n    await describe(<b>)",
    # ways out of loops and handlers
    "for <a> in [1, 2, 3]:\n    try:\n        if <a> == 1:\n            continue\n        if <a> == 2:\n            break\n"
    "    finally:\n        await record(str(<a>))",
    "<a> = [0]\ntry:\n    <a>.append(1 // <int0>)\nexcept ZeroDivisionError:\n    <a>.append(2)\nfinally:\n    <a>.append(3)\n"
    "await record(str(<a>))",
    "for <a> in reversed([1, 2, 3]):\n    await record(str(<a>))",
    "for <a>, <b> in zip([1, 2, 3], reversed([4, 5, 6]), strict=True):\n    await record(f'{<a>} {<b>}')",
    "try:\n    try:\n        await very(5)\n    except Odd:\n        try:\n            await strict(1)\n"
    "        except NonRetriable:\n"
    "            pass\n        raise\nexcept Exception as <b>:\n    await describe(<b>)",
)  # fmt: skip
AWAITS = (
    "<a> = LIMITS[(await add(<int0>)) % 3] + len(NAMES[: await add(1)])\n<b>: set[int] = {await add(<a>), 2}\n"
    "<c> = [c for c in [1, <int0>] if await check(c)]\nawait record(f'{sorted(<b>)} {<c>}')",
    "<a> = [2, 3, 4][await add(0, 0)]\nwhile await check(<a>):\n    <a> += 1\nfor <b> in await spread(<a>):\n"
    "    await record(str(<b>))",
)
"""Awaits at places where they seldom stand: several of them, so that they come into every construct."""

UNDOING = (
    "try:\n    async with saga():\n        <a> = await pick(3)\n        <b> = await pick(9)\n        await very(5)\n"
    "except Exception as <c>:\n    await describe(<c>)",
    "try:\n    async with saga():\n        async with saga():\n            <a> = await take(3)\n        await very(5)\n"
    "except Exception as <c>:\n    await describe(<c>)",
)
SHAPES = (
    'match {"a": 1, "b": <int0>}:\n    case {"a": <a>, **<b>}:\n        await record(f"{<a>} {<b>}")\n    case _:\n        pass',
    "match [<int0>, 1, 2]:\n    case [<a>, <b>]:\n        await record(f'two {<a>} {<b>}')\n    case [_, *<c>]:\n"
    "        await record(str(<c>))",
)


class Snippets(Frames):
    """Writes them."""

    def snippet(self, scope: Scope, _: str) -> None:
        """One piece, with names of its own."""
        known = [
            *SNIPPETS,
            *AWAITS * 4,
            *(UNDOING if "saga_block" in self.features else ()),
            *(SHAPES * 2 if "match" in self.features else ()),
        ]
        text = self.random.choice(known)
        for place in ("<a>", "<b>", "<c>"):
            text = text.replace(place, self.name("s"))
        for line in self.filled(scope, text, 0).split("\n"):
            self.emit(line)
