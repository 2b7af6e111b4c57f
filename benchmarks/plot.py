"""The results as one picture: everybody's rate as a multiple of the raw loop's or of ours, on a logarithmic scale, and beside
each bar the CPU time of a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

from benchmarks.plan import COMMITS, OURS, RAW
from benchmarks.results import Key, Results, cpu, of, rate

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "flowgraph"  # so that the same results give the same file
matplotlib.rcParams["svg.fonttype"] = "none"

from matplotlib import pyplot  # noqa: E402  (the backend is chosen before)

OWN, LIMIT, PEER = "#2563eb", "#9ca3af", "#d97706"
UNITS = {"chain": "runs of 10 steps", "long": "steps in one run", "fan-out": "items", "latency": "one-step run"}


def draw(results: Results, file: Path) -> bool:
    """Write an SVG with a panel for each case that peers take part in (in a run without peers: that has several bars); False when
    there is none."""
    several = [key for key in results.cases() if key[0] in UNITS and len(results.whose(key)) > 1]
    panels = [key for key in several if PEER in map(_colour, results.whose(key))] or several
    if not panels:
        return False
    heights = [len(results.whose(key)) + 1 for key in panels]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(9, sum(heights) * 0.28 + 0.6), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for axis, key in zip(axes[:, 0], panels, strict=True):
        _panel(axis, results, key)
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return True


def _panel(axis: Any, results: Results, key: Key) -> None:
    latency = key[0] == "latency"
    who = results.whose(key)
    measure = of("p50_ms") if latency else rate
    base = next((one for one in (COMMITS, RAW) if one in who), OURS)
    bars = [(one, results.ratio(key, one, base, measure) or 0.0) for one in who]
    axis.barh([one for one, _ in bars], [value for _, value in bars], color=[_colour(one) for one in who], height=0.7)
    for row, (one, value) in enumerate(bars):
        figure, spent = results.middle(key, one, measure) or 0.0, results.middle(key, one, cpu) or 0.0
        said = f"{figure:.2f} ms" if latency else f"{figure:,.0f}/s"
        axis.text(value, row, f" {value:.3g}  ({said}, {spent:,.0f} us CPU)", va="center", fontsize=7)
    axis.set_xscale("log")
    axis.set_xlim(min(value for _, value in bars if value) / 4, max(value for _, value in bars) * 12)
    axis.invert_yaxis()
    axis.set_title(f"{_title(key)}: {'p50' if latency else 'rate'}, times the {base}", fontsize=8, loc="left")
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right"]].set_visible(False)


def _title(key: Key) -> str:
    return f"{key[0]}, {'' if key[0] == 'latency' else f'{key[2]:,} '}{UNITS[key[0]]}, {key[1]}".replace(", 1 runs", ", 1 run")


def _colour(who: str) -> str:
    return OWN if who.startswith(OURS) else LIMIT if who.startswith("raw") else PEER
