"""The page about reliability has the figures that the ledger gives."""

from __future__ import annotations

from typing import Any

import pytest

from verification.totals import PAGE, ledger, renewed, table, written


def test_the_page_has_the_figures_of_the_ledger():
    """Run `python -m verification.totals`; entries that came later do not make it wrong."""
    count, shown = written(PAGE.read_text(encoding="utf-8"))
    assert 0 < count <= len(ledger())
    assert shown == table(ledger()[:count])


def test_a_kind_without_a_row_is_shown_all_the_same():
    assert "| new attack | see the ledger | - | - | `d4` |" in table([{"kind": "new attack", "commit": "d4"}])


def test_figures_add_up_and_faults_are_not_hidden():
    entries: list[dict[str, Any]] = [
        {"kind": "kill -9", "commit": "a1", "kills": 50, "acked_events": 1000, "lost_events": 2, "violations": ["a gap"]},
        {"kind": "soak", "commit": "b2", "kills": 8, "events": 10, "minutes": 57.0, "faults": []},
        {"kind": "engine simulation", "commit": "c3", "seeds": 1200, "violations": 1},
    ]
    found = {line.split(" | ")[0].strip("| "): line for line in table(entries).splitlines()}
    assert "| 58 kills | 1,000 | 3 | `b2` |" in found["real processes killed (`kill -9`)"]
    assert "| 1,010 events | 100,000 | 2 | `b2` |" in found["events acknowledged around kills"]
    assert "| 1,200 seeds | 20,000 | 1 | `c3` |" in found["the engine simulated under faults"]
    assert "| 57 minutes | 60 | 0 |" in found["mixed load for a long time"]


def test_a_page_without_a_place_for_the_table_is_refused():
    with pytest.raises(ValueError, match="no place for the table"):
        renewed("# Reliability", [])
