"""What subjects share, and what a prediction of their average reaches."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import mark, networks_along, whiskers
from insilico.figures.page import DOUBLE_MM, INK, PALE, SOFT, footer, need, sheet, styled
from insilico.figures.surface import four_views

LOOKS: dict[str, dict[str, Any]] = {
    "leave_one_out": {"fmt": "s", "color": SOFT},
    "corrected": {"fmt": "o", "color": INK},
    "prediction": {"fmt": "D", "color": "#b2182b", "markersize": 3.4},
}
TOLD = {
    "leave_one_out": "mean of the other subjects (lower bound)",
    "corrected": "mean of endlessly many subjects",
    "prediction": "prediction of an average subject's model",
}


@styled
def cross_subject(estimate: xr.Dataset) -> Figure:
    """Draw maps of what an average of subjects and a model of it tell of a subject, and networks.

    Parameters
    ----------
    estimate : estimate
        Of `cross_subject` on fsaverage5, by an atlas. Without a prediction its parts are left out.
    """
    need(estimate, "cross_subject", "corrected", "of_subject", "ci_low", "ci_high", "vertex")
    maps = [name for name in ("corrected", "prediction") if name in estimate]
    figure = sheet(DOUBLE_MM, 62 + 36 * len(maps))
    grid = figure.add_gridspec(len(maps) + 1, 4, height_ratios=[*[1] * len(maps), 1.5])
    top = round(float(np.nanpercentile(estimate["corrected"].values, 99)), 1)
    for row, name in enumerate(maps):
        panels = [figure.add_subplot(grid[row, k]) for k in range(4)]
        last = row == len(maps) - 1
        four_views(figure, panels, estimate[name].values, _named(name), (0, top), "viridis", last)
    shown = _networks(figure.add_subplot(grid[-1, :]), estimate)
    figure.legend(handles=shown, loc="outside upper right", ncols=4)
    footer(figure, estimate.attrs, estimate.sizes["subject"], _who(estimate), unit="subject")
    return figure


def _named(name: str) -> str:
    """Return what a colour bar shows in the words of the legend."""
    return fill(f"r, {TOLD[name]}", 22)


def _networks(axes: Any, estimate: xr.Dataset) -> list[Any]:
    x, shown = networks_along(axes, estimate), []
    for position, (name, look) in enumerate(LOOKS.items()):
        if name not in estimate["metric"].values:
            continue
        one, at = estimate.sel(metric=name), x + 0.22 * (position - 1)
        each = one["of_subject"].values
        axes.scatter(np.tile(at, (len(each), 1)), each, s=5, color=PALE, linewidth=0, zorder=1)
        whiskers(axes, at, one["effect"], one["ci_low"], one["ci_high"], **look)
        own = {k: v for k, v in look.items() if k != "fmt"}
        shown.append(mark(TOLD[name], marker=look["fmt"], **own))
    axes.set_ylabel("r with one subject's responses")
    return [*shown, mark("single subjects", marker="o", color=PALE, markersize=2.6)]


def _who(estimate: xr.Dataset) -> str:
    who = f"{estimate.attrs['n_stimuli']} stimuli each of {', '.join(estimate['subject'].values)}"
    return f"{who}; grey in the map: pairs of subjects do not correlate above zero"
