"""A grid of pictures: what was shown, and what each condition decoded."""

from __future__ import annotations

import textwrap

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.page import DOUBLE_MM, SOFT, footer, need, sheet, styled


@styled
def reconstruction_grid(stimuli: xr.Dataset, reconstruction: xr.Dataset, n: int = 6) -> Figure:
    """Draw stimuli in rows and conditions in columns; control conditions are left out.

    Parameters
    ----------
    stimuli : stimuli
    reconstruction : reconstruction, (condition, stimulus, draw)
        The first draw is shown. Its coordinates `name`, `region` and `control` say which
        condition is what.
    n : int
        Rows: the first n stimuli, so that none is picked.
    """
    need(stimuli, "reconstruction_grid", "image")
    need(reconstruction, "reconstruction_grid", "image", "condition", "name", "region", "control")
    columns = np.flatnonzero(reconstruction["control"].values < 0)
    rows = min(n, reconstruction.sizes["stimulus"])
    width = DOUBLE_MM / (len(columns) + 1)
    figure = sheet(DOUBLE_MM, rows * (width + 6.0) + 14)
    panels = figure.subplots(rows, len(columns) + 1, squeeze=False)
    figure.set_layout_engine("constrained", w_pad=0.008, h_pad=0.028, wspace=0.01, hspace=0)
    for row in range(rows):
        shown = stimuli.sel(stimulus=reconstruction["stimulus"].values[row])
        _picture(panels[row, 0], shown, width)
        for column, k in enumerate(columns, 1):
            one = reconstruction.isel(condition=k, stimulus=row, draw=0)
            _picture(panels[row, column], one, width)
    heads = ["shown", *(_head(reconstruction.isel(condition=k)) for k in columns)]
    for axes, head in zip(panels[0], heads, strict=True):
        axes.set_title(head, fontsize=6)
    footer(
        figure,
        reconstruction.attrs,
        reconstruction.sizes["stimulus"],
        f"the first {rows} are shown",
    )
    return figure


def _head(condition: xr.Dataset) -> str:
    name, region = str(condition["name"].values), str(condition["region"].values)
    return f"{name}\n{region}" if region else name


def _picture(axes, one: xr.Dataset, width_mm: float) -> None:
    axes.imshow(np.asarray(one["image"].values), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    if "caption" in one:
        text = textwrap.fill(str(one["caption"].values), max(10, int(width_mm * 1.1)))
        axes.set_xlabel(text, fontsize=4.6, color=SOFT, labelpad=1.5, linespacing=1.0)
