"""Bars, best on top, the spread as a line; as SVG that is the same for the same figures."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot

from benchmarks.figures import Figure, Metric, best_first, number
from benchmarks.registry import FLOOR

_COLOURS = {"aioqueue": "#3f51b5", FLOOR: "#bdbdbd"}
_OTHERS = "#8ea1c9"
_WIDE = 20


def draw(metric: Metric, table: dict[str, Figure], file: Path) -> None:
    """One plot; the scale is logarithmic where peers are far apart."""
    peers = best_first(metric, table)
    medians = [table[peer].median for peer in peers]
    logarithmic = min(medians) > 0 and max(medians) / min(medians) > _WIDE
    with pyplot.rc_context({"svg.hashsalt": "aioqueue", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(7.5, 0.6 + 0.28 * len(peers)), layout="constrained")
        # A page may be dark: what is drawn has a ground of its own.
        figure.patch.set_facecolor("white")
        errors = [[m - table[p].low for m, p in zip(medians, peers, strict=True)],
                  [table[p].high - m for m, p in zip(medians, peers, strict=True)]]  # fmt: skip
        axes.barh(peers, medians, color=[_COLOURS.get(peer, _OTHERS) for peer in peers], xerr=errors, ecolor="#424242")
        axes.invert_yaxis()
        if logarithmic:
            axes.set_xscale("log")
        for place, peer in enumerate(peers):
            axes.annotate(
                number(table[peer].median), (table[peer].high, place), (4, 0), textcoords="offset points", va="center"
            )
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
        better = "more is better" if metric.more else "less is better"
        axes.set_xlabel(f"{metric.title}, {metric.unit} ({better}{', logarithmic' if logarithmic else ''})")
        figure.savefig(file, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    # Trailing blanks would fail a check of whoever commits the file.
    file.write_text("\n".join(line.rstrip() for line in file.read_text().splitlines()) + "\n")
