"""What a linear read-out leans on, area by area: weights, patterns, and the decoder's entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import mark, networks_along, whiskers
from insilico.figures.page import DOUBLE_MM, INK, PALE, footer, need, sheet, stimuli_of, styled

PANELS = {
    "weights: how a voxel is used": ("clip", "caption"),
    "patterns: where it is seen": ("clip, patterns", "caption, patterns"),
    "the decoder's own entry: given, so that it has no interval": ("entry",),
}
LOOKS = {"clip": ("o", "#1b6ca8"), "caption": ("s", "#c0562b"), "entry": ("D", INK)}
NAMES = {"clip": "CLIP of the picture − pixels", "caption": "CLIP of its caption − pixels"}


@styled
def region_weights(estimate: xr.Dataset) -> Figure:
    """Draw differences of percentiles by area, with intervals and the patches' range.

    Parameters
    ----------
    estimate : estimate
        Of `region_weights`.
    """
    need(estimate, "region_weights", "effect", "chance_level", "null_spread", "voxels")
    known = estimate["metric"].values.astype(str)
    asked = {title: [m for m in names if m in known] for title, names in PANELS.items()}
    asked = {title: names for title, names in asked.items() if names}
    figure = sheet(DOUBLE_MM, 22 + 33 * len(asked))
    panels = figure.subplots(len(asked), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, metrics) in zip(panels, asked.items(), strict=True):
        _panel(axes, estimate, metrics)
        axes.set_title(title, loc="left")
        axes.set_ylabel(
            "percentile / 50 − 1" if metrics == ["entry"] else "difference of\npercentiles"
        )
    shown = [mark(NAMES[name], marker=LOOKS[name][0], color=LOOKS[name][1]) for name in NAMES]
    shown.append(mark("patches: mean ± 1.96 sd", linestyle="-", linewidth=4, color=PALE))
    shown.append(mark("unlike patches, p < .05 corrected", marker="$*$"))
    figure.legend(handles=shown, loc="outside upper center", ncols=4)
    voxels = zip(estimate["contrast"].values, estimate["voxels"].values, strict=True)
    panels[-1].set_xticks(range(estimate.sizes["contrast"]), [f"{name}\n{n}" for name, n in voxels])
    panels[-1].set_xlabel("area, and its number of voxels")
    footer(figure, estimate.attrs, stimuli_of(estimate), str(estimate.attrs["caution"]))
    return figure


def _panel(axes: Any, estimate: xr.Dataset, metrics: list[str]) -> None:
    x = networks_along(axes, estimate)
    for k, name in enumerate(metrics):
        one, at = estimate.sel(metric=name), x + 0.3 * (k - (len(metrics) - 1) / 2)
        marker, colour = LOOKS[name.partition(",")[0]]
        middle, reach = one["chance_level"].values, 1.96 * one["null_spread"].values
        axes.vlines(at, middle - reach, middle + reach, color=PALE, linewidth=4, zorder=0)
        value = one["effect"].values
        ends = [np.where(np.isfinite(one[e]), one[e], value) for e in ("ci_low", "ci_high")]
        whiskers(axes, at, value, *ends, fmt=marker, color=colour)
        for j in np.flatnonzero(one["p_corrected"].values < 0.05):
            up = value[j] > 0
            top = max(ends[1][j], value[j]) if up else min(ends[0][j], value[j])
            look = {"ha": "center", "va": "bottom" if up else "top", "fontsize": 9}
            away = (0, 0 if up else -4)
            axes.annotate("*", (at[j], top), away, textcoords="offset points", **look)
    axes.margins(y=0.18)
