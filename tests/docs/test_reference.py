"""The generated pages say what the code says today."""

from __future__ import annotations

import pytest

from docs.generate import PAGES, REFERENCE
from flowgraph_runtime.settings import Settings


@pytest.mark.parametrize("name", PAGES)
def test_reference_is_fresh(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_every_setting_is_explained() -> None:
    page = PAGES["settings.md"]()
    rows = [row.split("|") for row in page.splitlines() if row.startswith("| `")]
    assert {row[1].strip(" `") for row in rows} == set(Settings.model_fields)
    unexplained = [row[1] for row in rows if not row[4].split("(")[0].strip()]
    assert unexplained == []
