"""Scores against the pairs of an adapter: values, and percent of a reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import mark, whiskers
from insilico.figures.page import (
    DOUBLE_MM,
    INK,
    PALE,
    SOFT,
    footer,
    need,
    sheet,
    stimuli_of,
    styled,
)

LINES = (("#542788", "o", "-"), ("#b35806", "s", "--"), ("#1b7837", "^", "-."), (SOFT, "D", ":"))
DASHED: Any = {"linewidth": 0.9, "linestyle": (0, (4, 2))}


@styled
def scaling_curves(estimate: xr.Dataset) -> Figure:
    """Draw each adapter's score over pairs with its intervals, and percent of the reference.

    Parameters
    ----------
    estimate : estimate
        Of `scaling`. Upper row: scores, the reference and chance; lower row: percent of the
        reference, with what chance would reach of it.
    """
    need(estimate, "scaling_curves", "effect", "reference", "raw_ratio", "pairs", "adapter")
    metrics = estimate["metric"].values
    figure = sheet(DOUBLE_MM, 104)
    panels = figure.subplots(2, len(metrics), sharex=True, squeeze=False)
    for column, metric in enumerate(metrics):
        one = estimate.sel(metric=metric)
        _scores(panels[0, column], one)
        _percent(panels[1, column], one)
        panels[0, column].set_title(str(metric).replace("_", " "), loc="left")
        panels[1, column].set_xlabel("pairs that the adapter was fitted on")
    sizes = np.unique(estimate["pairs"].values)
    panels[0, 0].set_xscale("log")
    panels[0, 0].set_xticks(sizes, [str(size) for size in sizes])
    panels[0, 0].minorticks_off()
    for axes in panels[1]:
        axes.tick_params(axis="x", rotation=45)
    panels[0, 0].set_ylabel("score")
    panels[1, 0].set_ylabel(f"percent of {estimate['against'].values[0]}")
    figure.legend(handles=_legend(estimate), loc="outside upper right", ncols=4)
    draws = np.unique(estimate["draws"].values)
    footer(figure, estimate.attrs, stimuli_of(estimate), f"{draws[-1]} draws of pairs a point")
    return figure


def _each(one: xr.Dataset) -> list[tuple[xr.Dataset, tuple[str, str, str], float]]:
    names = list(dict.fromkeys(one["adapter"].values.astype(str)))
    shift = 1.04 ** (np.arange(len(names)) - (len(names) - 1) / 2)
    return [
        (one.isel(contrast=one["adapter"].values == name), LINES[k % len(LINES)], float(shift[k]))
        for k, name in enumerate(names)
    ]


def _line(axes: Any, own: xr.Dataset, names: tuple[str, str, str], look: Any, by: float) -> None:
    (colour, marker, dash), (middle, low, high) = look, names
    x, scale = own["pairs"].values * by, 100 if middle == "raw_ratio" else 1
    parts = (scale * own[name].values for name in (middle, low, high))
    whiskers(axes, x, *parts, fmt=marker, color=colour, linestyle=dash, linewidth=1.0)


def _scores(axes: Any, one: xr.Dataset) -> None:
    axes.axhline(float(one["reference"].values[0]), color=INK, **DASHED)
    axes.axhline(float(one["chance_level"].values[0]), color=PALE, linewidth=1.6)
    for own, look, by in _each(one):
        _line(axes, own, ("effect", "ci_low", "ci_high"), look, by)
    axes.margins(y=0.12)


def _percent(axes: Any, one: xr.Dataset) -> None:
    axes.axhline(100, color=INK, **DASHED)
    for own, look, by in _each(one):
        _line(axes, own, ("raw_ratio", "raw_ratio_low", "raw_ratio_high"), look, by)
    axes.margins(y=0.12)


def _legend(estimate: xr.Dataset) -> list[Any]:
    found = [
        mark(str(own["adapter"].values[0]), color=colour, marker=marker, linestyle=dash)
        for own, (colour, marker, dash), _ in _each(estimate)
    ]
    found.append(mark(str(estimate["against"].values[0]), **DASHED))
    return [*found, mark("chance", color=PALE, linestyle="-", linewidth=1.6)]
