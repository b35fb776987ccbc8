"""Double dissociations: losses of two kinds of scores by two lesions, and what the test says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import mark, whiskers
from insilico.figures.page import (
    DOUBLE_MM,
    INK,
    SINGLE_MM,
    footer,
    need,
    sheet,
    stimuli_of,
    styled,
)

COLOURS = ("#2874A6", "#B03A2E")
MARKERS = ("o", "s")
ACROSS = 4
WIDTHS = {1: SINGLE_MM, 2: 125}
"""Of a figure with few panels, in mm."""
ALPHA = 0.05


@styled
def dissociation(estimate: xr.Dataset, beside: Mapping[str, xr.Dataset] | None = None) -> Figure:
    """Draw the four losses of each test, the interaction, and the verdict.

    Parameters
    ----------
    estimate : estimate
        Of `interaction`.
    beside : dict, optional
        Name to further ones, such as other fills and pairs of regions that should not dissociate.
    """
    every = {"": estimate, **(beside or {})}
    for one in every.values():
        need(one, "dissociation", "effect", "ci_low", "ci_high", "p", "contrast")
    rows = -(-len(every) // ACROSS)
    columns = min(len(every), ACROSS)
    figure = sheet(WIDTHS.get(columns, DOUBLE_MM), 26 + 58 * rows + (12 if columns == 1 else 0))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (name, one) in zip(panels, every.items(), strict=False):
        _panel(axes, name or str(estimate.attrs.get("name", "interaction")), one)
    low, high = panels[0].get_ylim()
    panels[0].set_ylim(low, high + 0.3 * (high - low))  # for the legends; panels share it
    for axes in panels[len(every) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel("loss (SD of the score)")
    told = (
        "filled: the loss differs from 0, p < .05; "
        "below each panel the interaction and both simple effects (circle minus square for the "
        "first kind of score, square minus circle for the second): for 'double' all three must be "
        "above 0 with p < .05; †: reversed, below 0 with p < .05"
    )
    footer(figure, estimate.attrs, stimuli_of(estimate), told)
    return figure


def _panel(axes: Any, name: str, one: xr.Dataset) -> None:
    regions, scores = _sides(one)
    x = np.arange(len(scores))
    axes.axhline(0, color=INK, linewidth=0.6)
    for k, (region, colour, marker) in enumerate(zip(regions, COLOURS, MARKERS, strict=True)):
        losses = one.sel(contrast=[f"loss of {score} by {region}" for score in scores])
        place = x + 0.08 * (2 * k - 1)
        value = losses["effect"].values
        axes.plot(place, value, color=colour, linewidth=1.0)
        ends = losses["ci_low"], losses["ci_high"]
        whiskers(axes, place, value, *ends, color=colour, fmt=marker)
        unsure = losses["p"].values >= ALPHA
        look: Any = {"color": colour, "markersize": 3.6, "markerfacecolor": "white", "zorder": 3}
        axes.plot(place[unsure], value[unsure], marker, **look)
    axes.set_xticks(x, scores)
    axes.set_xlim(-0.45, len(scores) - 0.55)
    axes.margins(y=0.04)
    verdict = str(one.attrs.get("dissociation", ""))
    axes.set_title(f"{name}: {verdict}", loc="left", fontweight="bold")
    shown = zip(regions, COLOURS, MARKERS, strict=True)
    marks = [mark(r, marker=m, color=c) for r, c, m in shown]
    axes.legend(handles=marks, loc="upper right", borderpad=0)
    below: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    axes.annotate(_told(one), (0.02, 0), (0, -20), fontsize=5.2, **below)


def _sides(one: xr.Dataset) -> tuple[list[str], list[str]]:
    """Return the names of both regions and both scores, from the names of the contrasts."""
    _, first, second = (str(name) for name in one["contrast"].values[:3])
    regions, score = first.split(": ")
    return regions.split(" > "), [score, second.split(": ")[1]]


def _told(one: xr.Dataset) -> str:
    """Return the interaction and both simple effects, signed, with their p."""
    lines = []
    for k, name in enumerate(["interaction", *_sides(one)[1]]):
        row = one.isel(contrast=k)
        effect, low, high, p = (float(row[key]) for key in ("effect", "ci_low", "ci_high", "p"))
        said = f"{name} {effect:+.2f} [{low:.2f}, {high:.2f}], p {p:.2g}"
        lines.append(said + (" †" if effect < 0 and p < ALPHA else ""))
    return "\n".join(lines)
