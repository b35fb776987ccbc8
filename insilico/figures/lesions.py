"""Lesion effects against matched controls, one panel per metric."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from insilico.figures.bars import mark
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

BOUND = "#dcebdc"
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
    legend(figure, legend_of(estimate))
    footer(figure, estimate.attrs, stimuli_of(estimate), *disagreement(estimate))
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
    bound_band(axes, one)
    ticks(axes)


def effect_points(axes: Any, one: xr.Dataset, y: np.ndarray) -> None:
    """Draw effects with their intervals; filled where they differ from none, corrected."""
    given = one["colour"].values if "colour" in one.coords else [SOFT] * len(y)
    colours = [on_white(str(colour)) for colour in given]
    axes.hlines(y, one["ci_low"].values, one["ci_high"].values, color=colours, linewidth=1.3)
    shown = one["p_corrected"].values < 0.05
    faces = [c if s else "white" for c, s in zip(colours, shown, strict=True)]
    look: Any = {"color": faces, "edgecolor": colours, "linewidth": 1.0, "zorder": 3}
    axes.scatter(one["effect"].values, y, s=16, **look)
    axes.use_sticky_edges = False
    axes.margins(x=0.16 if axes.get_subplotspec().get_gridspec().ncols < 5 else 0.24)


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


def bound_band(axes: Any, one: xr.Dataset) -> None:
    """Shade what lies within the bound of equivalence, where one was set; drawn last.

    A bound far beyond all that is drawn shades the whole panel, and does not stretch it.
    """
    bound = float(one["bound"]) if "bound" in one else np.nan
    if np.isfinite(bound):
        left, right = axes.get_xlim()
        if bound < 2 * max(abs(left), abs(right)):
            left, right = min(left, -1.1 * bound), max(right, 1.1 * bound)
        axes.axvspan(-bound, bound, color=BOUND, linewidth=0, zorder=0)
        axes.set_xlim(left, right)


def ticks(axes: Any) -> None:
    """Set three ticks or more along the abscissa; in a narrow panel many have no number."""
    left, right = axes.get_xlim()
    found = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3).tick_values(left, right)
    found = found[(found >= left) & (found <= right)]
    narrow = axes.get_subplotspec().get_gridspec().ncols > 3 and len(found) > 3
    even = np.round(found / (found[1] - found[0])) % 2 == 0
    told = found[even] if narrow else found
    digits = max(len(f"{tick:.6f}".rstrip("0").partition(".")[2]) for tick in told)
    written = [f"{tick:.{digits}f}".replace("-", "\N{MINUS SIGN}") for tick in found]
    shown = [text if tick in told else "" for tick, text in zip(found, written, strict=True)]
    axes.set_xticks(found, shown)


def disagreement(*estimates: xr.Dataset) -> list[str]:
    """Say why an interval may leave out 0 where the dot is open, if that is so somewhere."""
    apart = [
        ((one["ci_low"] > 1e-9) | (one["ci_high"] < -1e-9)) & (one["p_corrected"] >= 0.05)
        for one in estimates
    ]
    if not any(one.any() for one in apart):
        return []
    fewest = int(min(one["n"].values.min() for one in estimates))
    few = f" ({2**fewest:,} patterns of signs)" if fewest < 12 else ""
    return [
        "an open effect whose bar leaves out 0: the bar is of this contrast alone, the test "
        f"corrects over all, and with few stimuli or ties its p is coarse{few}; the test decides"
    ]


def legend(figure: Figure, handles: list[Any]) -> None:
    """Write a legend above a figure, as wide as the page is."""
    columns = len(handles) if len(handles) < 5 else 3
    figure.legend(handles=handles, loc="outside upper right", ncols=columns)


def legend_of(*estimates: xr.Dataset) -> list[Any]:
    """Return the entries of a legend of effects, their controls, references and bounds."""
    found: list[Any] = [
        mark("p < .05, corrected", marker="o"),
        mark("not significant", marker="o", markerfacecolor="white"),
    ]
    of = [str(one.attrs.get("reference", "reference")) for one in estimates
          if "reference_effect" in one]  # fmt: skip
    found += [mark(told, **DASHED) for told in dict.fromkeys(of)]
    if any("control_effect" in one for one in estimates):
        found += [
            Patch(color=PALE, label="matched controls (range, mean)"),
            mark("differs from controls, p < .05 corrected", marker="$*$"),
        ]
    return [*found, *bound_mark(*estimates)]


def bound_mark(*estimates: xr.Dataset) -> list[Patch]:
    """Return the legend's entry of the bound, where an estimate has one."""
    known = any("bound" in one and np.isfinite(one["bound"]).any() for one in estimates)
    return [Patch(color=BOUND, label="within the bound of equivalence")] if known else []
