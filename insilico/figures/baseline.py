"""The decoder on measured responses: scores stimulus by stimulus, and likeness stage by stage."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from insilico.figures.bars import mark
from insilico.figures.page import (
    DOUBLE_MM,
    INK,
    PALE,
    SINGLE_MM,
    SOFT,
    footer,
    need,
    sheet,
    stimuli_of,
    styled,
)

GOLDEN = 0.6180339887  # turns of a low-discrepancy sequence: points side by side, not at random


@styled
def score_spread(estimate: xr.Dataset, score: xr.Dataset) -> Figure:
    """Draw every stimulus' score, the mean with its interval, standard deviation and chance.

    Parameters
    ----------
    estimate : estimate
        Of `levels`.
    score : score
        The same scores, stimulus by stimulus.
    """
    need(estimate, "score_spread", "effect", "sd", "ci_low", "ci_high", "chance_level")
    metrics, names = estimate["metric"].values, estimate["contrast"].values.astype(str)
    of = score["name"].values.astype(str)
    figure = sheet(DOUBLE_MM, 34 + 9 * len(names))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        for row, name in enumerate(names):
            own = score["value"].sel(metric=metric).isel(condition=of == name)
            values = own.mean(("condition", "draw")).values
            _spread(axes, len(names) - 1 - row, values, estimate.sel(metric=metric, contrast=name))
        axes.set_title(str(metric).replace("_", " "), loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
    panels[0].set_yticks(np.arange(len(names))[::-1], names)
    panels[0].set_ylim(-0.6, len(names) - 0.25)
    figure.legend(handles=_legend(), loc="outside upper right", ncols=4)
    many = {name: int((of == name).sum()) for name in names}
    told = [f"{name}: mean over {count} conditions" for name, count in many.items() if count > 1]
    footer(figure, estimate.attrs, stimuli_of(estimate), *told)
    return figure


def _spread(axes: Any, y: int, values: np.ndarray, one: xr.Dataset) -> None:
    jitter = (np.arange(len(values)) * GOLDEN % 1 - 0.5) * 0.36
    axes.scatter(values, y + jitter, s=4, color=PALE, linewidth=0, zorder=1)
    chance = float(one["chance_level"])
    axes.vlines(chance, y - 0.34, y + 0.34, color=SOFT, linewidth=0.9, linestyle=(0, (2, 2)))
    mean, sd = float(one["effect"]), float(one["sd"])
    axes.hlines(y, mean - sd, mean + sd, color=SOFT, linewidth=0.9, zorder=2)
    axes.hlines(y, float(one["ci_low"]), float(one["ci_high"]), color=INK, linewidth=2.2, zorder=3)
    face = INK if float(one["p_corrected"]) < 0.05 else "white"
    axes.scatter(mean, y, s=9, color=face, edgecolor=INK, linewidth=0.9, zorder=4)
    axes.annotate(f"{mean:.3f} ± {sd:.3f}", (0.02, y + 0.36), fontsize=5.6, color=INK,
                  xycoords=("axes fraction", "data"))  # fmt: skip


def _legend() -> list[Any]:
    return [
        mark("one stimulus", marker="o", color=PALE, markersize=2.6),
        mark("mean, 95 % interval (written: ± sd); filled: differs from chance, p < .05 corrected",
             marker="o"),
        mark("standard deviation", linestyle="-", color=SOFT, linewidth=0.9),
        mark("chance", linestyle=(0, (2, 2)), color=SOFT, linewidth=0.9),
    ]  # fmt: skip


@styled
def stages(estimate: xr.Dataset) -> Figure:
    """Draw the likeness of same-stimulus and different-stimulus pairs at every stage.

    Parameters
    ----------
    estimate : estimate
        Of `discriminability`.
    """
    need(estimate, "stages", "same", "different", "effect", "ci_low", "ci_high", "two_way")
    figure = sheet(SINGLE_MM, 82)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.5, 1])
    y = np.arange(estimate.sizes["contrast"])[::-1]
    same, different = estimate["same"].values, estimate["different"].values
    left.hlines(y, different, same, color=PALE, linewidth=2.6, zorder=1)
    left.scatter(different, y, s=15, marker="s", color=SOFT, zorder=2)
    left.scatter(same, y, s=15, color=INK, zorder=2)
    left.set_xlabel("mean cosine")
    left.set_yticks(y, estimate["contrast"].values)
    left.set_ylim(-0.6, len(y) - 0.2)
    value = estimate["effect"].values
    ends = np.stack([value - estimate["ci_low"].values, estimate["ci_high"].values - value])
    right.errorbar(value, y, xerr=np.maximum(ends, 0), fmt="o", color=INK, markersize=3.4,
                   elinewidth=0.9, capsize=1.6)  # fmt: skip
    right.axvline(0, color=INK, linewidth=0.6)
    right.xaxis.set_major_locator(MaxNLocator(3, min_n_ticks=3))
    right.set_xlabel("same minus different")
    for k, share in enumerate(estimate["two_way"].values):
        told = f"{share:.1%}"
        right.annotate(told, (1.06, y[k] - 0.06), fontsize=6, xycoords=("axes fraction", "data"))
    right.annotate("two-way", (1.06, 1.0), fontsize=6, xycoords="axes fraction")
    right.margins(x=0.12)
    shown = [
        mark("same stimulus", marker="o"),
        mark("different stimuli", marker="s", color=SOFT),
    ]
    figure.legend(handles=shown, loc="outside upper center", ncols=2)
    footer(figure, estimate.attrs, stimuli_of(estimate), str(estimate.attrs["versions"]))
    return figure
