"""Noise ceilings: a map of the cortex over the means of its networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import colours_of, mark, networks_along, whiskers
from insilico.figures.page import DOUBLE_MM, INK, SOFT, footer, need, sheet, stimuli_of, styled
from insilico.figures.surface import four_views

MARKERS = "D^vs"


@styled
def ceilings(estimate: xr.Dataset, beside: Mapping[str, xr.Dataset] | None = None) -> Figure:
    """Draw a noise ceiling of R² by vertex and by network.

    Parameters
    ----------
    estimate : estimate
        Of `noise_ceiling` on fsaverage5, by an atlas.
    beside : dict, optional
        Other estimates of it, such as by other recipes, drawn as smaller marks.
    """
    need(estimate, "ceilings", "effect", "ci_low", "ci_high", "noise_ceiling", "vertex")
    figure = sheet(DOUBLE_MM, 106)
    grid = figure.add_gridspec(2, 4, height_ratios=[1, 1.25])
    panels = [figure.add_subplot(grid[0, k]) for k in range(4)]
    values = estimate["noise_ceiling"].values
    top = max(0.1, float(np.nanmax(values)))
    four_views(figure, panels, values, "noise ceiling of R²", (0, round(top, 1)), "viridis")
    axes = figure.add_subplot(grid[1, :])
    _networks(axes, estimate, beside or {})
    name, trials = str(estimate.attrs["variant"]).partition(":")[0], _trials(estimate)
    figure.suptitle(f"Noise ceiling ({name}), averages of {trials}", fontsize=7, x=0.01, ha="left")
    footer(figure, estimate.attrs, stimuli_of(estimate))
    return figure


def _networks(axes: Any, estimate: xr.Dataset, beside: Mapping[str, xr.Dataset]) -> None:
    x, effect = networks_along(axes, estimate), estimate["effect"].values
    axes.bar(x - 0.12, effect, width=0.5, color=colours_of(estimate), edgecolor=INK, linewidth=0.4)
    low, high = estimate["ci_low"], estimate["ci_high"]
    whiskers(axes, x - 0.12, effect, low, high, fmt="none")
    shown = [mark("bar: this estimate, 95 % interval", marker="s", color=SOFT)]
    apart = min(0.13, 0.27 / max(1, len(beside) - 1))  # the last one stays before the next bar
    for position, (name, other) in enumerate(beside.items()):
        marker = MARKERS[position % len(MARKERS)]
        at = x + 0.2 + apart * position
        look = {"fmt": marker, "markersize": 2.8, "color": SOFT, "elinewidth": 0.7, "capsize": 0}
        whiskers(axes, at, other["effect"], other["ci_low"], other["ci_high"], **look)
        what = f"{name} ({str(other.attrs['variant']).partition(':')[0]}, {_trials(other)})"
        shown.append(mark(what, marker=marker, color=SOFT, markersize=3.2))
    axes.set_xlim(-0.6, len(x) - 0.2)
    axes.set_ylabel("noise ceiling of R², mean over vertices")
    axes.legend(handles=shown, loc="upper right")


def _trials(estimate: xr.Dataset) -> str:
    averaged = str(estimate.attrs["trials_averaged"])
    if averaged.isdigit():
        return f"{averaged} trial{'s' if averaged != '1' else ''}"
    return "the trials at hand"
