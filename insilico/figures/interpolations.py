"""Interpolation: scores against both ends, the crossing point, and the pictures between."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import mark, whiskers
from insilico.figures.page import DOUBLE_MM, INK, PALE, footer, need, sheet, stimuli_of, styled

OWN, PARTNER = "#1b4f72", "#b35806"
SHOWN = 3


@styled
def interpolation(
    estimate: xr.Dataset,
    reconstruction: xr.Dataset | None = None,
    stimuli: xr.Dataset | None = None,
) -> Figure:
    """Draw scores against both ends over the weight, where they cross, and pictures between.

    Parameters
    ----------
    estimate : estimate
        Of `crossing`.
    reconstruction : reconstruction, (condition, stimulus, draw), optional
        Of the curve's conditions, in its order; the first stimuli are shown.
    stimuli : stimuli, optional
        What was shown, drawn at the left.
    """
    need(estimate, "interpolation", "own", "partner", "crossing", "width", "falling", "level")
    pictured = reconstruction is not None and "condition" in reconstruction.dims
    metrics = list(estimate["metric"].values.astype(str))
    figure = sheet(DOUBLE_MM, 118 if pictured else 66)
    upper: Any = figure
    if pictured:
        halves: Any = figure.subfigures(2, 1, height_ratios=[1.25, 1])
        upper = halves[0]
        _pictures(halves[1], reconstruction, stimuli, estimate["level"].values)
    panels = np.atleast_1d(upper.subplots(1, len(metrics)))
    for axes, metric in zip(panels, metrics, strict=True):
        _panel(axes, estimate.sel(metric=metric))
        axes.set_title(metric.replace("_", " "), loc="left", fontweight="bold", pad=19)
    panels[0].set_ylabel("score of decoded pictures")
    upper.legend(handles=_legend(), loc="outside upper right", ncols=4)
    footer(figure, estimate.attrs, stimuli_of(estimate), "crossing, width: percentile intervals")
    return figure


def _panel(axes: Any, one: xr.Dataset) -> None:
    level = one["level"].values
    where, low, high = (float(one[f"crossing{end}"].values[0]) for end in ("", "_low", "_high"))
    axes.axvspan(low, high, color=PALE, linewidth=0)
    axes.axvline(where, color=INK, linewidth=0.7)
    for name, colour, marker in (("own", OWN, "o"), ("partner", PARTNER, "s")):
        parts = (one[part].values for part in (name, f"{name}_low", f"{name}_high"))
        whiskers(axes, level, *parts, fmt=marker, color=colour, linestyle="-", linewidth=1)
    width = [float(one[f"width{end}"].values[0]) for end in ("", "_low", "_high")]
    falls, p = float(one["falling"].values[0]), float(one["falling_p"].values[0])
    said = (
        f"crossing {where:.2f} [{low:.2f}, {high:.2f}], width {width[0]:.2f} [{width[1]:.2f}, "
        f"{width[2]:.2f}]\nrank r {falls:.2f}, p = {p:.1g}"
    )  # above the panel: no curve runs there, wherever the crossing lies
    axes.text(0, 1.03, said, transform=axes.transAxes, fontsize=5.2, va="bottom")
    axes.axhline(float(one["chance"]), color=INK, linewidth=0.7, linestyle=(0, (1, 2)))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("weight of the partner's response")


def _pictures(figure: Any, made: Any, stimuli: xr.Dataset | None, levels: np.ndarray) -> None:
    count = min(SHOWN, made.sizes["stimulus"])
    grid = figure.subplots(count, len(levels) + 1, squeeze=False)
    for row in range(count):
        images = made["image"].isel(stimulus=row, draw=0).transpose("condition", ...).values
        shown = None if stimuli is None else stimuli["image"].isel(stimulus=row).values
        for axes, picture in zip(grid[row], [shown, *images[: len(levels)]], strict=True):
            axes.set_axis_off()
            if picture is not None:
                axes.imshow(picture)
    for axes, title in zip(grid[0], ["shown", *(f"{level:g}" for level in levels)], strict=True):
        axes.set_title(title, fontsize=5.6, pad=2)


def _legend() -> list[Any]:
    return [
        mark("against the stimulus itself", marker="o", linestyle="-", color=OWN),
        mark("against its partner", marker="s", linestyle="-", color=PARTNER),
        mark("crossing, 95 % interval", linestyle="-", linewidth=0.7),
        mark("chance", linestyle=(0, (1, 2))),
    ]
