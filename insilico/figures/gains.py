"""Average against subject model: maps of both, and networks against the ceiling."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import colours_of, mark, networks_along, whiskers
from insilico.figures.page import (
    DOUBLE_MM,
    INK,
    PALE,
    SOFT,
    footer,
    need,
    sheet,
    stimuli_of,
    styled,
)
from insilico.figures.surface import four_views

MODELS = {"average": "average subject's model", "subject": "the subject's own model"}
LOOKS: dict[str, dict[str, Any]] = {
    "subject": {"fmt": "o", "markersize": 4.6},
    "average": {"fmt": "s", "markersize": 2.8, "color": SOFT, "zorder": 3},
}


@styled
def encoding_gap(estimate: xr.Dataset) -> Figure:
    """Draw how well both models predict, by vertex and by network, and the ceiling of r.

    Parameters
    ----------
    estimate : estimate
        Of `encoding_gap`.
    """
    need(estimate, "encoding_gap", "average", "subject", "ceiling", "r_average", "r_subject")
    figure = sheet(DOUBLE_MM, 132)
    grid = figure.add_gridspec(3, 4, height_ratios=[1, 1, 1.6])
    limit = round(float(np.nanpercentile(np.abs(estimate["r_subject"].values), 99)), 1)
    for row, name in enumerate(MODELS):
        panels = [figure.add_subplot(grid[row, k]) for k in range(4)]
        values = estimate[f"r_{name}"].values
        label = f"r, {name} model"
        four_views(figure, panels, values, label, (-limit, limit), "RdBu_r", named=row == 1)
    _networks(figure.add_subplot(grid[2, :]), estimate)
    footer(figure, estimate.attrs, stimuli_of(estimate), _said(estimate))
    return figure


def _networks(axes: Any, estimate: xr.Dataset) -> None:
    x, colours = networks_along(axes, estimate), colours_of(estimate)
    pair = (estimate["average"].values, estimate["subject"].values)
    axes.vlines(x, *pair, color=PALE, linewidth=3, zorder=0)
    for k, colour in enumerate(colours):
        one = estimate.isel(contrast=k)
        for name, own in LOOKS.items():
            ends = (one[f"{name}_low"], one[f"{name}_high"])
            look = {"color": colour, **own}
            whiskers(axes, x[k : k + 1], [one[name]], [ends[0]], [ends[1]], **look)
    axes.hlines(estimate["ceiling"].values, x - 0.3, x + 0.3, color=INK, linewidth=1.4)
    tops = np.maximum(estimate["subject"].values, estimate["ceiling"].values)
    for at in np.flatnonzero(estimate["p_corrected"].values < 0.05):
        axes.annotate("*", (x[at], tops[at] + 0.005), fontsize=9, ha="center")
    lowest, highest = float(estimate["average_low"].min()), float(estimate["ceiling"].max())
    axes.set_ylim(min(0, lowest - 0.03), highest + 0.07)
    axes.set_ylabel("r, predicted with measured")
    shown = [
        mark("ceiling of r: √NC", linestyle="-", linewidth=1.4),
        mark(MODELS["subject"], marker="o"),
        mark(MODELS["average"], marker="s", markersize=2.8, color=SOFT),
        mark("they differ, p < .05 corrected", marker="$*$"),
    ]
    axes.legend(handles=shown, loc="upper right", ncols=2)


def _said(estimate: xr.Dataset) -> str:
    pairs, kind = (estimate.attrs.get(k, "") for k in ("adapter_pairs", "adapter"))
    return f"the subject's own model: the average prediction calibrated by {kind} on {pairs} pairs"
