"""Bars of networks: encoding accuracy against the noise ceiling."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from insilico.figures.page import INK, SINGLE_MM, footer, need, sheet, stimuli_of, styled


@styled
def network_gap(estimate: xr.Dataset) -> Figure:
    """Draw mean r per network with its interval, and the ceiling of r.

    Parameters
    ----------
    estimate : estimate
        Of `encoding_accuracy`.

    Returns
    -------
    matplotlib.figure.Figure
        A black tick over each bar is the ceiling sqrt(NC). Triangles: better or worse than
        elsewhere by the spin test, corrected; rings: r > 0 not shown.
    """
    need(estimate, "network_gap", "effect", "ci_low", "ci_high", "ceiling", "p_spin_corrected")
    figure = sheet(SINGLE_MM, 74)
    axes = figure.subplots()
    names, x = estimate["contrast"].values, np.arange(estimate.sizes["contrast"])
    r, ceiling = estimate["effect"].values, estimate["ceiling"].values
    axes.bar(x, r, width=0.66, color=list(estimate["colour"].values), edgecolor=INK, linewidth=0.4)
    spread = np.stack([r - estimate["ci_low"].values, estimate["ci_high"].values - r])
    axes.errorbar(x, r, np.maximum(spread, 0), fmt="none", ecolor=INK, elinewidth=0.8, capsize=1.6)
    axes.hlines(ceiling, x - 0.4, x + 0.4, color=INK, linewidth=1.4)
    _marks(axes, estimate, x, ceiling)
    axes.set_xticks(x, names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_ylim(min(0, r.min() - 0.05), max(r.max(), np.nanmax(ceiling)) + 0.14)
    axes.set_ylabel("r, predicted with measured")
    axes.set_title("Average-subject prediction of one measured subject", loc="left")
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.legend(handles=_legend(), loc="upper right", ncols=1, handlelength=1.2)
    footer(figure, estimate.attrs, stimuli_of(estimate))
    return figure


def _marks(axes, estimate: xr.Dataset, x: np.ndarray, ceiling: np.ndarray) -> None:
    other = estimate["gap_against_elsewhere"].values
    shown = estimate["p_spin_corrected"].values < 0.05
    for sign, marker in ((-1, "v"), (1, "^")):
        own = shown & (np.sign(other) == sign)
        axes.scatter(x[own], ceiling[own] + 0.035, marker=marker, s=14, color=INK, zorder=3)
    unshown = estimate["p_corrected"].values >= 0.05
    axes.scatter(x[unshown], np.full(unshown.sum(), 0.02), s=14, facecolor="none", edgecolor=INK)


def _legend() -> list[Line2D]:
    def mark(label: str, **look) -> Line2D:
        return Line2D([], [], label=label, color=INK, **look)

    return [
        mark("ceiling of r: √NC", linewidth=1.4),
        mark("further below its ceiling than elsewhere", marker="v", linestyle="", markersize=3.5),
        mark("nearer to its ceiling than elsewhere", marker="^", linestyle="", markersize=3.5),
    ]
