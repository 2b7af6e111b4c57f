"""`where=` of a trigger: the compiled predicate says what the author's lambda says, and no when that raises."""

from __future__ import annotations

from typing import Any

import pytest

from flowgraph_compiler.pipeline import compile_application
from flowgraph_compiler.source import from_text
from flowgraph_runtime.predicates import Predicate
from tests.differential.prelude import PRELUDE
from tests.engine.driver import registry_of

LAMBDAS = (
    "lambda e: e.n > 1",
    'lambda e: e.n == 1 and e.text != "a" or e.text.startswith("b")',
    "lambda e: 10 // e.n > 3",
    "lambda e: e.n in (1, 2, BASE) and not e.text",
    "lambda e: len([c for c in e.text if c == chr(97 + e.n)]) == 1",
    "lambda e: 0 < e.n <= len(e.text) < BASE",
    "lambda e: e.text",
    "lambda e: {'a': True}[e.text]",
    'lambda e: f"{e.n}{e.text}" == "1b" or e.text == NAMES[e.n]',
    "lambda e: any(e.n == k for k in range(2)) and max(e.n, 1) == 1",
)
EVENTS = [(n, text) for n in (-1, 0, 1, 2, 7) for text in ("", "a", "b", "ab", "bob")]


def says(where: Any, event: Any) -> bool:
    try:
        return bool(where(event))
    except Exception:
        return False


@pytest.mark.parametrize("where", LAMBDAS)
def test_a_triggers_predicate_says_what_its_lambda_says(where: str) -> None:
    text = PRELUDE + f"@workflow(on=Ping, where={where})\nasync def flow(event: Ping) -> int:\n    return await add(event.n)\n"
    compilation = compile_application([from_text(text, f"trigger_{LAMBDAS.index(where)}")])
    assert compilation.ok, compilation.diagnostics
    namespace = vars(compilation.application.modules[0].module)
    machine = compilation.machines["flow"]
    (trigger,) = machine.triggers
    assert trigger.where is not None
    assert trigger.parameter is not None
    predicate = Predicate(machine, trigger.parameter, trigger.where, registry_of(compilation.application))
    expected = eval(where, namespace)
    answers = [(says(expected, namespace["Ping"](n=n, text=t)), predicate(namespace["Ping"](n=n, text=t))) for n, t in EVENTS]
    assert [native for native, _ in answers] == [compiled for _, compiled in answers]
    assert {native for native, _ in answers} == {True, False}
