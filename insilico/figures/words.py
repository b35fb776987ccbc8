"""Words that are said more for one area than for the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from pydantic import PositiveInt

from insilico.figures.page import DOUBLE_MM, INK, SOFT, footer, need, sheet, stimuli_of, styled

ACROSS = 5


@styled
def region_words(estimate: xr.Dataset, words: PositiveInt = 6) -> Figure:
    """Draw for each area the words with the largest z: log-odds, interval, and how often said.

    Parameters
    ----------
    estimate : estimate
        Of `region_words`.
    words : int
        So many of each area.
    """
    need(estimate, "region_words", "effect", "z", "said", "elsewhere", "captions")
    count = estimate.sizes["contrast"]
    across = min(count, ACROSS)
    down = -(-count // across)
    figure = sheet(DOUBLE_MM, 20 + down * (12 + 4.6 * words))
    panels = figure.subplots(down, across, squeeze=False, sharex=True).ravel()
    for k, axes in enumerate(panels):
        if k < count:
            _panel(axes, estimate.isel(contrast=k), words)
        else:
            axes.set_axis_off()
    attrs = estimate.attrs
    picked = f", selected by {attrs['selected_by']}" if "strongest" in attrs["text"] else ""
    many = "-".join(f"{n:g}" for n in np.unique(estimate["captions"].values.astype(int)))
    text = f"{attrs['text']}{picked}: {many} captions a region"
    marks = (
        "dark: p < .05 corrected; numbers: % of the area's captions with the word, of the others'"
    )
    footer(figure, attrs, stimuli_of(estimate), text, marks, str(attrs["caution"]))
    return figure


def _panel(axes: Any, one: xr.Dataset, words: int) -> None:
    order = np.argsort(-one["z"].values, kind="stable")[:words]
    some, y = one.isel(metric=order), np.arange(len(order))[::-1]
    sure = some["p_corrected"].values < 0.05
    spread = np.stack([some["effect"] - some["ci_low"], some["ci_high"] - some["effect"]])
    for k, at in enumerate(y):
        colour = INK if sure[k] else "#b0b0b0"
        look = {"fmt": "o", "color": colour, "markersize": 4, "elinewidth": 1}
        reach = np.maximum(spread[:, k : k + 1], 0)
        axes.errorbar(some["effect"].values[k], at, xerr=reach, **look)
        shares = f"{100 * some['said'].values[k]:.0f} | {100 * some['elsewhere'].values[k]:.0f}"
        axes.annotate(
            shares,
            (1.02, at),
            xycoords=("axes fraction", "data"),
            ha="left",
            va="center",
            fontsize=5,
            color=SOFT,
        )
    axes.set_yticks(y, some["metric"].values.astype(str))
    for label, strong in zip(axes.get_yticklabels(), sure, strict=True):
        label.set_fontweight("bold" if strong else "normal")
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.set_ylim(-0.6, len(order) - 0.3)
    axes.set_title(str(one["contrast"].values))
    axes.set_xlabel("log-odds (nats)")
