"""First and second responses of a cycle: by network, and by vertex."""

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

MARKERS = "osD^vP"


@styled
def cycle(estimate: xr.Dataset) -> Figure:
    """Draw the agreement of every condition by network with chance, and the first one's map.

    Parameters
    ----------
    estimate : estimate
        Of `cycle`.
    """
    need(estimate, "cycle", "effect", "chance_level", "apart", "r")
    figure = sheet(DOUBLE_MM, 100)
    grid = figure.add_gridspec(2, 4, height_ratios=[1.9, 1])
    _networks(figure.add_subplot(grid[0, :]), estimate)
    first = str(estimate["metric"].values[0])
    panels = [figure.add_subplot(grid[1, k]) for k in range(4)]
    label = f"r over stimuli, {first}"
    four_views(figure, panels, estimate["r"].values[0], label, (-1, 1), "RdBu_r")
    sure = bool((estimate["p_corrected"] < 0.05).all())
    told = "every agreement is above mismatched pairs, p < .05 corrected" if sure else ""
    footer(figure, estimate.attrs, stimuli_of(estimate), told, str(estimate.attrs["caution"]))
    return figure


def _networks(axes: Any, estimate: xr.Dataset) -> None:
    x, colours = networks_along(axes, estimate), colours_of(estimate)
    names = [str(name) for name in estimate["metric"].values]
    width = 0.8 / len(names)
    for j, name in enumerate(names):
        one, at = estimate.sel(metric=name), x - 0.4 + width * (j + 0.5)
        axes.hlines(one["chance_level"], at - width / 3, at + width / 3, color=INK, linewidth=1.4)
        axes.hlines(one["apart"], at - width / 3, at + width / 3, color=PALE, linewidth=2.4)
        for k, colour in enumerate(colours):
            ends = [one[key].values[k : k + 1] for key in ("effect", "ci_low", "ci_high")]
            look = {"fmt": MARKERS[j % len(MARKERS)], "color": colour, "markersize": 4.4}
            whiskers(axes, at[k : k + 1], *ends, **look)
    axes.set_ylabel("agreement of first and\nsecond response (r over vertices)")
    axes.set_ylim(min(-0.08, float(estimate["chance_level"].min()) - 0.03), 1.0)
    shown = [mark(name, marker=MARKERS[j % len(MARKERS)]) for j, name in enumerate(names)]
    shown.append(mark("mismatched pairs (chance)", linestyle="-", linewidth=1.4))
    shown.append(
        mark("second responses to other stimuli", linestyle="-", linewidth=2.4, color=PALE)
    )
    axes.legend(handles=shown, loc="upper right", ncols=len(shown), columnspacing=1.0)
    axes.axhline(1, color=SOFT, linewidth=0.5, linestyle=":")
    axes.set_yticks(np.arange(0, 1.01, 0.2))
