"""Lesion effects against matched controls, one panel per metric."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from insilico.figures.page import (
    DOUBLE_MM,
    INK,
    PALE,
    SOFT,
    footer,
    need,
    on_white,
    sheet,
    stimuli_of,
    styled,
)

DASHED: Any = {"linewidth": 0.8, "linestyle": (0, (2, 2))}


@styled
def lesion_effects(estimate: xr.Dataset) -> Figure:
    """Draw each lesion's effect with its interval over the range of its matched controls.

    Parameters
    ----------
    estimate : estimate
        Of `paired`, (contrast, metric).
    """
    need(estimate, "lesion_effects", "effect", "ci_low", "ci_high", "metric")
    count, metrics = estimate.sizes["contrast"], estimate["metric"].values
    figure = sheet(DOUBLE_MM, 34 + 5.5 * count)
    panels = np.atleast_1d(figure.subplots(1, len(metrics), sharey=True))
    for axes, metric in zip(panels, metrics, strict=True):
        effect_panel(axes, estimate.sel(metric=metric))
        axes.set_title(str(metric).replace("_", " "), loc="left")
    y = np.arange(count)[::-1]
    panels[0].set_yticks(y, estimate["contrast"].values)
    panels[0].set_ylim(-0.7, count - 0.3)
    across(panels, str(estimate.attrs.get("statistic", "effect")))
    figure.legend(handles=legend_of(estimate), loc="outside upper right", ncols=5)
    footer(figure, estimate.attrs, stimuli_of(estimate))
    return figure


def effect_panel(axes: Any, one: xr.Dataset) -> None:
    """Draw the effects of one metric, their controls, and a star where they differ."""
    y = np.arange(one.sizes["contrast"])[::-1]
    axes.axvline(0, color=INK, linewidth=0.6)
    if "reference_effect" in one:
        axes.axvline(float(one["reference_effect"]), color=INK, **DASHED)
    if "control_effect" in one:
        control_bars(axes, one, y, 0.5, PALE)
    effect_points(axes, one, y)
    if "p_corrected_control" in one:
        left = np.fmin(one["ci_low"].values, one["effect"].values)  # beside the effect's interval
        stars(axes, one["p_corrected_control"].values < 0.05, left, y)


def effect_points(axes: Any, one: xr.Dataset, y: np.ndarray) -> None:
    """Draw effects with their intervals; filled where they differ from none, corrected."""
    given = one["colour"].values if "colour" in one.coords else [SOFT] * len(y)
    colours = [on_white(str(colour)) for colour in given]
    axes.hlines(y, one["ci_low"].values, one["ci_high"].values, color=colours, linewidth=1.3)
    shown = one["p_corrected"].values < 0.05
    faces = [c if s else "white" for c, s in zip(colours, shown, strict=True)]
    look: Any = {"color": faces, "edgecolor": colours, "linewidth": 1.0, "zorder": 3}
    axes.scatter(one["effect"].values, y, s=16, **look)
    axes.locator_params(axis="x", nbins=3)
    axes.use_sticky_edges = False
    axes.margins(x=0.16)


def control_bars(axes: Any, one: xr.Dataset, y: np.ndarray, height: float, colour: str) -> None:
    """Draw the range of each region's controls as a bar, their mean as a tick."""
    low, high = one["control_low"].values, one["control_high"].values
    axes.barh(y, high - low, left=low, height=height, color=colour, linewidth=0)
    reach = 0.6 * height
    axes.vlines(one["control_effect"].values, y - reach, y + reach, color=SOFT, linewidth=1.2)


def across(row: np.ndarray, told: str) -> None:
    """Write one label below the middle of a row of panels."""
    place = 0.5 if len(row) % 2 else -0.12
    row[len(row) // 2].set_xlabel(told, x=place)


def stars(axes: Any, where: np.ndarray, left: np.ndarray, y: np.ndarray) -> None:
    """Write a star to the left of rows."""
    for k in np.flatnonzero(where):
        place: Any = {"xytext": (-5, -3.5), "textcoords": "offset points"}
        axes.annotate("*", (left[k], y[k]), fontsize=9, ha="center", **place)


def plain(null: str) -> str:
    """Return the first part of a null, without its controls: of a figure that has several."""
    return str(null).partition("; ")[0]


def legend_of(estimate: xr.Dataset) -> list[Any]:
    """Return the entries of a legend of effects and their controls."""

    def dot(label: str, face: str) -> Line2D:
        look: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4}
        return Line2D([], [], label=label, color=INK, markerfacecolor=face, **look)

    found: list[Any] = [dot("p < .05, corrected", INK), dot("not significant", "white")]
    if "reference_effect" in estimate:
        told = str(estimate.attrs.get("reference", "reference"))
        found.append(Line2D([], [], label=told, color=INK, **DASHED))
    if "control_effect" in estimate:
        found += [
            Patch(color=PALE, label="matched controls (range, mean)"),
            Line2D(
                [],
                [],
                label="differs from controls, p < .05 corrected",
                color=INK,
                marker="$*$",
                linestyle="",
                markersize=4,
            ),
        ]
    return found
