"""Records, for each planted miscompilation, the first seed whose program shows it: `python -m tests.differential.record`.

Two of four seeds are tried: the programs of the first stay what they are when constructs are added that are drawn apart, those
of the second have them. Run it when the generator draws other programs; CI replays what is recorded, and the long tier searches
anew. Names as arguments search for these only and keep the other seeds.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from flowgraph_compiler.pipeline import compile_application
from tests.differential import planted, planted_compiler, planted_scopes
from tests.differential.compare import Comparison, Difference, prepared
from tests.differential.generator import generate
from tests.differential.planted import PLANTS

RECORDED = Path(__file__).with_name("planted_seeds.json")
MOST = 2_000
"""Seeds that are tried."""

WINDOW = 20
"""Seeds that are tried before what was found is written."""

SHORT = 30
"""Lines of a program below which it is not tried: it would show little."""

CANCELLED = "# cancelled"
NEEDS = {
    "uuids_become_text": r"UUID\(|identify\(",
    "bytes_become_text": r"\bb\"|encode\(",
    "microseconds_are_lost": "microseconds|pause",
    "folds_are_lost": "fold=1",
    "zones_become_offsets": "ZoneInfo",
    "reversed_lists_turn_round": r"in reversed\(",
    "zips_go_on_apart": r"in zip\(",
    "since_now_is_ignored": 'since="now"',
    "events_are_taken_twice": "wait_for",
    "failing_predicates_say_no": "lambda p: 10",
    "with_retries_is_ignored": r"with_\(retries",
    "results_of_groups_are_lists": r"parallel\(",
    "jumps_over_finally_all_break": "(?s)finally.*(break|continue)",
    "handlers_know_one_class": r"except \(",
    "causes_are_not_raised": r"raise .* from",
    "native_finally_is_lost": "finally",
    "chains_compare_everything": "[<>=]+ .*await.* [<>=]+",
    "chains_lose_their_end": "[<>=]+ .*await.* [<>=]+",
    "middles_are_evaluated_twice": "[<>=]+ .*await.* [<>=]+",
    "walruses_bind_nothing": ":=",
    "augmented_targets_are_read_late": "[-+*]= .*await",
    "second_targets_are_forgotten": r" = \w+ = ",
    "elements_before_their_keys": r"\{await",
    **dict.fromkeys(
        (
            "failures_cancel_nobody",
            "branches_share_their_arguments",
            "the_last_failure_is_raised",
            "later_failures_are_dropped",
            "outcomes_of_groups_are_lost",
            "noted_failures_are_lost",
            "fan_outs_lose_their_conditions",
        ),
        "parallel|fan_out|race|settle",
    ),
    **dict.fromkeys(
        ("timeouts_stay_cancellations", "every_cancellation_is_a_timeout", "deadlines_of_blocks_are_late"), r"timeout\("
    ),
    **dict.fromkeys(("guards_are_ignored", "the_last_case_comes_first", "sequences_fit_their_beginning"), "match "),
    **dict.fromkeys((plant.__name__ for plant in planted_scopes.IN_ENGINE if "saga" in plant.__name__), r"saga\("),
    "compensations_run_forwards": r"saga\(",
    **dict.fromkeys(("shielded_cancels_are_forgotten", "no_shield"), CANCELLED),
}
"""What a program must contain for the search to try it."""

BY_NAME = {plant.__name__: plant for plant in PLANTS}
COMPILED = {plant.__name__ for plant in (*planted.IN_COMPILER, *planted_compiler.PLANTS, *planted_scopes.IN_COMPILER)}
"""Those that change the machine: the others change how it runs."""


def shows(comparison: Comparison, name: str) -> bool:
    """Whether a program shows a bug; a program that is refused then, or a crash of the compiler, shows nothing."""
    with pytest.MonkeyPatch.context() as patch:
        BY_NAME[name](patch)
        compilation = comparison.compilation
        if name in COMPILED:
            try:
                compilation = compile_application(compilation.application.modules)
            except Exception:
                return False
            if not compilation.ok:
                return False
        try:
            comparison.check(compilation)
        except Exception:
            return True
    return False


def search(names: Sequence[str], seeds: Iterable[int] = range(4 * MOST)) -> dict[str, int | None]:
    """The first of the seeds whose program shows each of the bugs."""
    found: dict[str, int | None] = dict.fromkeys(names)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="coroutine .* was never awaited")
        for seed in seeds:
            missing = [name for name in names if found[name] is None]
            if not missing:
                break
            try:
                found.update(_shown(seed, missing))
            except Difference:
                continue  # without any bug planted: other tests are about it
    return found


def _shown(seed: int, names: Sequence[str]) -> dict[str, int | None]:
    program = generate(seed)
    if program.functions.count("\n") < SHORT:
        return {}
    text = program.text + CANCELLED * program.is_cancelled
    fitting = [name for name in names if re.search(NEEDS.get(name, ""), text)]
    if not fitting:
        return {}
    with prepared(program) as comparison:
        return {name: seed for name in fitting if shows(comparison, name)}


def main() -> None:
    """Search for all of them, or those named, in two processes; what was found is written after every few seeds."""
    known: dict[str, int | None] = json.loads(RECORDED.read_text(encoding="utf-8")) if sys.argv[1:] else {}
    names = sys.argv[1:] or list(BY_NAME)
    known.update(dict.fromkeys(names))
    with ProcessPoolExecutor(2) as pool:
        for first in range(0, MOST, WINDOW):
            missing = [name for name in names if known[name] is None]
            if not missing:
                break
            seeds = [4 * number + rest for number in range(first, first + WINDOW) for rest in (1, 2)]
            for found in pool.map(search, (missing[::2], missing[1::2]), (seeds, seeds)):
                known.update(found)
            _write(known)
            missing = [name for name in names if known[name] is None]
            print(f"{first + WINDOW} programs: {len(known) - len(missing)} of {len(known)} found; not: {missing}", flush=True)


def _write(known: dict[str, int | None]) -> None:
    found = {name: known.get(name) for name in BY_NAME}
    RECORDED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
