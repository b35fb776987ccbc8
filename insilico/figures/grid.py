"""A grid of pictures: what was shown, and what each condition decoded."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from pydantic import PositiveInt

from insilico.figures.page import DOUBLE_MM, SOFT, footer, need, sheet, styled

MOST = 10
"""Conditions side by side; with more, pictures and captions are too small to be read."""
HEAD_MM, CAPTION_MM = 1.3, 1.0
"""Width of a letter."""


@styled
def reconstruction_grid(
    stimuli: xr.Dataset, reconstruction: xr.Dataset, n: PositiveInt = 6
) -> Figure:
    """Draw stimuli in rows and conditions in columns; controls and variants are left out.

    Parameters
    ----------
    stimuli : stimuli
    reconstruction : reconstruction, (condition, stimulus, draw)
        The first draw is shown. Its coordinates `name`, `region`, `control` and `variant` say
        which condition is what.
    n : int
        Rows: the first n stimuli, so that none is picked.
    """
    need(stimuli, "reconstruction_grid", "image")
    need(reconstruction, "reconstruction_grid", "image", "condition", "name", "region", "control")
    columns, left_out = _columns(reconstruction)
    rows = min(n, reconstruction.sizes["stimulus"])
    width = DOUBLE_MM / (len(columns) + 1)
    made = reconstruction.isel(condition=columns, stimulus=slice(rows), draw=0)
    shown = [stimuli.sel(stimulus=name) for name in made["stimulus"].values]
    heads = ["shown", *(_head(made.isel(condition=k), width) for k in range(len(columns)))]
    lines = max(_lines(made, width), *(_lines(one, width) for one in shown))
    deep = 3 * max(head.count("\n") for head in heads)
    figure = sheet(DOUBLE_MM, rows * (width + 2.0 + 1.7 * lines) + 12 + deep)
    panels = figure.subplots(rows, len(columns) + 1, squeeze=False)
    figure.set_layout_engine("constrained", w_pad=0.008, h_pad=0.028, wspace=0.01, hspace=0)
    for row, line in enumerate(panels):
        each = [shown[row], *(made.isel(condition=k, stimulus=row) for k in range(len(columns)))]
        for axes, one in zip(line, each, strict=True):
            _picture(axes, one, width)
    for axes, head in zip(panels[0], heads, strict=True):
        axes.set_title(head, fontsize=6)
    told = [f"the first {rows} are shown", *left_out]
    footer(figure, reconstruction.attrs, reconstruction.sizes["stimulus"], *told)
    return figure


def _columns(reconstruction: xr.Dataset) -> tuple[np.ndarray, list[str]]:
    """Return the conditions that are drawn, and what is said of those that are not."""
    own = reconstruction["control"].values < 0
    varied = np.zeros(len(own), bool)
    if "variant" in reconstruction.coords:
        varied = own & (reconstruction["variant"].values.astype(str) != "")
    columns = np.flatnonzero(own & ~varied)
    told = [f"left out: {varied.sum()} variants of stability"] if varied.any() else []
    if len(columns) > MOST:
        told.append(f"the first {MOST} of {len(columns)} conditions are shown")
    return columns[:MOST], told


def _head(condition: xr.Dataset, width_mm: float) -> str:
    name, region = str(condition["name"].values), str(condition["region"].values)
    letters = max(6, int(width_mm / HEAD_MM))
    return "\n".join(textwrap.fill(part, letters) for part in (name, region) if part)


def _wrapped(caption: object, width_mm: float) -> str:
    return textwrap.fill(str(caption), max(8, int(width_mm / CAPTION_MM)))


def _lines(one: xr.Dataset, width_mm: float) -> int:
    """Return how many lines the longest of some captions takes."""
    if "caption" not in one:
        return 0
    return max(_wrapped(text, width_mm).count("\n") + 1 for text in one["caption"].values.ravel())


def _picture(axes: Any, one: xr.Dataset, width_mm: float) -> None:
    axes.imshow(np.asarray(one["image"].values), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    if "caption" in one:
        text = _wrapped(one["caption"].values, width_mm)
        axes.set_xlabel(text, fontsize=4.6, color=SOFT, labelpad=1.5, linespacing=1.0)
