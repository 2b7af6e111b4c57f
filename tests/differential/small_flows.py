"""Short random programs that sleep in many places and return all that they hold: what a move gets wrong shows at once."""

from __future__ import annotations

import random

from tests.differential.programs import Program

HEAD = """\
@pure
def twice(n: int) -> int:
    return n * 2

@subflow
async def sub(n: int, xs: list[int]) -> int:
    m = n + 1
    k = len(xs)
{sub}
    return m * 100 + n + k

@workflow
async def flow(n: int) -> str:
    a = n
    b = 1
    c = 2
    xs = [n]
    ys = [1, 2]
{flow}
    return f"{{a}} {{b}} {{c}} {{xs}} {{ys}}"
"""


def small_program(seed: int) -> Program:
    """The program of a seed."""
    writer = _Writer(random.Random(f"small {seed}"))
    sub = writer.body(["n", "m", "k"], [], 1, 3, 1)
    flow = writer.body(["n", "a", "b", "c"], ["xs", "ys"], 1, 7, 2)
    text = HEAD.format(sub="\n".join(sub), flow="\n".join(flow))
    return Program(seed, text, writer.random.randint(-2, 6), [], frozenset(), functions=text)


class _Writer:
    def __init__(self, random: random.Random) -> None:
        self.random = random
        self._count = 0

    def body(self, numbers: list[str], lists: list[str], level: int, most: int, depth: int) -> list[str]:
        """Lines of a body; variables that are assigned are among `numbers` without the first, and `lists`."""
        return [line for _ in range(self.random.randint(2, most)) for line in self._statement(numbers, lists, level, depth)]

    def _statement(self, numbers: list[str], lists: list[str], level: int, depth: int) -> list[str]:
        kinds = [self._assign, self._assign, self._sleep, self._sleep, self._step, self._caught]
        kinds += [self._change, self._change] if lists else []
        kinds += [self._call] if lists else []
        kinds += [self._block, self._block] if depth else []
        return self.random.choice(kinds)(numbers, lists, level, depth)

    def _expr(self, numbers: list[str]) -> str:
        one, number = self.random.choice(numbers), self.random.randint(0, 4)
        forms = (one, str(number), f"{one} + {number}", f"{one} * 2", f"twice({one})", f"{one} + BASE", f"{one} - {number}")
        return self.random.choice(forms)

    def _assign(self, numbers: list[str], lists: list[str], level: int, depth: int) -> list[str]:
        del lists, depth
        sign = self.random.choice(("=", "=", "+="))
        return [f"{'    ' * level}{self.random.choice(numbers[1:])} {sign} {self._expr(numbers)}"]

    def _sleep(self, numbers: list[str], lists: list[str], level: int, depth: int) -> list[str]:
        del numbers, lists, depth
        return [f"{'    ' * level}await sleep({self.random.choice(['PAUSE', chr(34) + '2h' + chr(34)])})"]

    def _step(self, numbers: list[str], lists: list[str], level: int, depth: int) -> list[str]:
        del lists, depth
        call = self.random.choice(("add({0}, {1})", "add({0})", "very({0})"))
        target = self.random.choice([f"{self.random.choice(numbers[1:])} = ", ""])
        call = call.format(self._expr(numbers), self._expr(numbers))
        if call.startswith("very"):
            return self._handled(f"{target}await {call}", "Odd", numbers, level)
        return [f"{'    ' * level}{target}await {call}"]

    def _caught(self, numbers: list[str], lists: list[str], level: int, depth: int) -> list[str]:
        del lists, depth
        return self._handled(f"{self.random.choice(numbers[1:])} = await only_even({self._expr(numbers)})", "Odd", numbers, level)

    def _handled(self, line: str, error: str, numbers: list[str], level: int) -> list[str]:
        indent = "    " * level
        rescue = f"{self.random.choice(numbers[1:])} = {self._expr(numbers)}"
        return [f"{indent}try:", f"{indent}    {line}", f"{indent}except {error}:", f"{indent}    {rescue}"]

    def _change(self, numbers: list[str], lists: list[str], level: int, depth: int) -> list[str]:
        del depth
        one, other = self.random.choice(lists), self.random.choice(lists)
        expr = self._expr(numbers)
        forms = (f"{one}.append({expr})", f"{one}[0] = {expr}", f"{one} = {other}", f"{one} = {other}", f"{one} = [{expr}]")
        return ["    " * level + self.random.choice(forms)]

    def _call(self, numbers: list[str], lists: list[str], level: int, depth: int) -> list[str]:
        del depth
        indent, target, given = "    " * level, numbers[1:], self.random.choice(lists)
        call = f"sub({self._expr(numbers)}, {given})"
        if self.random.random() < 0.5:
            return [f"{indent}{self.random.choice(target)} = await {call}"]
        return [f"{indent}{target[0]}, {target[1]} = await parallel({call}, add({self._expr(numbers)}))"]

    def _block(self, numbers: list[str], lists: list[str], level: int, depth: int) -> list[str]:
        indent, inner = "    " * level, self.body(numbers, lists, level + 1, 3, depth - 1)
        self._count += 1
        name = f"i{self._count}"
        match self.random.randrange(5):
            case 0:
                return [f"{indent}if {self._expr(numbers)} > {self.random.randint(0, 5)}:", *inner]
            case 1:
                other = self.body(numbers, lists, level + 1, 2, depth - 1)
                return [f"{indent}if {self._expr(numbers)} > {self.random.randint(0, 5)}:", *inner, f"{indent}else:", *other]
            case 2:
                return [f"{indent}for {name} in range({self.random.randint(1, 3)}):", *inner, f"{indent}    a += {name}"]
            case 3:
                head = [f"{indent}{name} = 0", f"{indent}while {name} < {self.random.randint(1, 3)}:"]
                return [*head, f"{indent}    {name} += 1", *inner]
            case _:
                scope = [f"{indent}try:", f'{indent}    async with timeout("{self.random.randint(1, 5)}h"):']
                inner = [f"    {line}" for line in inner]
                return [*scope, *inner, f"{indent}except TimeoutError:", f"{indent}    b = {self._expr(numbers)}"]
