"""Faults planted into the proof that a run can be moved. Each of `PLANTS` must be shown by a moved run of a random program, each
of `SELDOM` by a program that was written for it.

python -m tests.differential.planted_proofs FIRST LAST      # searches the seeds that show them anew, and records them
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowgraph_compiler import origins, safe_points, ways
from flowgraph_compiler.origins import Origins
from tests.differential.deployed import Difference, Redeployed, Seen

Patch = pytest.MonkeyPatch
RECORDED = Path(__file__).with_name("planted_proofs.json")


def accepts_everything(patch: Patch) -> None:
    """Whatever waits can move, if the new code waits there, too."""

    def prove(old: Any, new: Any, position: safe_points.Position) -> None:
        ends = [
            (old.functions[call.function].name, old.functions[call.function].blocks[call.block]) for call in position.main.frames
        ]
        if not ends or any(safe_points.block_at(new, name, block.terminator.action.site) is None for name, block in ends):
            raise safe_points.NotProven("nowhere")

    patch.setattr(safe_points, "prove", prove)


def ignores_where_values_come_from(patch: Patch) -> None:
    """A variable of the same name is the same variable."""
    patch.setattr(Origins, "difference", lambda self, other, name: None)


def ignores_decisions(patch: Patch) -> None:
    """The same statements in the order of the blocks, whatever decides which of them run."""

    def alike(mine: ways.Ways, part: ways.Slice, others: ways.Ways, other: ways.Slice) -> bool:
        del other
        return all(mine.changing(name) == others.changing(name) for name in part.names)

    patch.setattr(origins, "alike", alike)
    patch.setattr(ways, "_next", lambda ways, number, first: set())


def ignores_later_rounds(patch: Patch) -> None:
    """Only what stands before the place in the source counts, not what a loop does after it."""
    ways_to = origins.ways_to

    def before(function: Any, block: int) -> ways.Ways:
        found = ways_to(function, block)
        later = [replace(node, changes=frozenset(), reads=frozenset()) for node in found.nodes[found.place :]]
        return replace(found, nodes=(*found.nodes[: found.place], *later))

    patch.setattr(origins, "ways_to", before)


def ignores_aliases(patch: Patch) -> None:
    """A value is changed through the variable's own name only."""
    patch.setattr(ways, "held", lambda forms: {})


def ignores_changes_in_place(patch: Patch) -> None:
    """Only an assignment changes a variable."""
    patch.setattr(ways, "changed_in_place", lambda form: ())


def ignores_what_the_new_code_reads(patch: Patch) -> None:
    """What the run holds is enough."""
    held = safe_points._held

    def lenient(name: str, call: safe_points.Call, was_live: bool, before: Origins, after: Origins) -> None:
        if name in call.names:
            held(name, call, was_live, before, after)

    patch.setattr(safe_points, "_held", lenient)


def ignores_constants(patch: Patch) -> None:
    """Globals stay what they were."""
    patch.setattr(origins, "_constant", lambda machine, name: None)


def ignores_functions(patch: Patch) -> None:
    """Subflows and `@pure` functions stay what they were."""
    patch.setattr(origins, "_function", lambda machine, name: None)


def ignores_arguments(patch: Patch) -> None:
    """Whatever a subflow was called with."""
    patch.setattr(safe_points, "_called_alike", lambda names, callers: None)


def ignores_what_is_waited_for(patch: Patch) -> None:
    """The kind of the wait and its place are enough."""
    plain = safe_points.plain
    patch.setattr(safe_points, "plain", lambda tree: tree.__class__ if not isinstance(tree, tuple) else plain(tree))


def ignores_operands(patch: Patch) -> None:
    """What the wait was given may have come about in any way."""
    patch.setattr(safe_points, "_made_alike", lambda names, callers: None)
    patch.setattr(safe_points, "_same_result", lambda tree, before, after: None)


def ignores_scopes(patch: Patch) -> None:
    """Whatever blocks stand around the place."""
    patch.setattr(safe_points, "open_scopes", lambda blocks: {})


def ignores_deadlines(patch: Patch) -> None:
    """A scope at the same place is the same scope."""
    patch.setattr(safe_points._Proof, "_same_scope", lambda self, old, new, site: True)


PLANTS: tuple[Callable[[Patch], None], ...] = (
    accepts_everything,
    ignores_where_values_come_from,
    ignores_decisions,
    ignores_changes_in_place,
    ignores_what_the_new_code_reads,
    ignores_constants,
    ignores_functions,
    ignores_what_is_waited_for,
    ignores_operands,
    ignores_scopes,
)


SELDOM: tuple[Callable[[Patch], None], ...] = (ignores_later_rounds, ignores_aliases, ignores_arguments, ignores_deadlines)


def shows(plant: Callable[[Patch], None], pair: Redeployed) -> bool:
    """Whether a program shows a planted fault."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        try:
            pair.judge(Seen())
        except Difference:
            return True
    return False


def search(seeds: Iterable[int]) -> dict[str, int]:
    """The first seed that shows each fault."""
    found: dict[str, int] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in seeds:
            left = [plant for plant in PLANTS if plant.__name__ not in found]
            if not left:
                break
            pair = Redeployed(seed)
            pair.judge(Seen())
            for plant in left:
                if shows(plant, pair):
                    found[plant.__name__] = seed
                    print(f"{plant.__name__}: {seed}", flush=True)
    return found


if __name__ == "__main__":
    known = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    known |= search(range(int(sys.argv[1]), int(sys.argv[2])))
    kept = {plant.__name__: known[plant.__name__] for plant in PLANTS if plant.__name__ in known}
    RECORDED.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
