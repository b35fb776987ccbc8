"""Lesions of networks: several fills, several kinds of controls, both ends, and their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.errors import listed
from insilico.figures.bars import mark, whiskers
from insilico.figures.lesions import across, effect_points, plain, stars
from insilico.figures.page import (
    DOUBLE_MM,
    INK,
    SOFT,
    footer,
    need,
    on_white,
    sheet,
    stimuli_of,
    styled,
)

MARKS = (("o", "#9a9a9a"), ("s", "#6f6f6f"), ("^", "#3d3d3d"))
"""Marker and grey of each kind of control."""
Group = dict[str, xr.Dataset]


@styled
def network_lesions(estimate: xr.Dataset, beside: Mapping[str, xr.Dataset]) -> Figure:
    """Draw each network's effect with its controls, by fill; two known ends; and the order.

    Parameters
    ----------
    estimate : estimate
        Of `stability`: the order of networks in every variant.
    beside : dict
        Estimates of `paired`, called ``FILL and CONTROL``: one row for each fill, in it one bar for
        each kind of control. One of `levels`: conditions whose score is known beforehand.
    """
    need(estimate, "network_lesions", "variant_effect", "metric")
    fills = _by_fill(beside)
    ends = [one for one in beside.values() if "chance_level" in one]
    metrics = estimate["metric"].values
    heights = [46.0] * len(fills) + [13.0] * len(ends) + [34.0]
    figure = sheet(DOUBLE_MM, sum(heights) + 46)
    shape = {"height_ratios": heights, "width_ratios": [1] * len(metrics)}
    panels = figure.subplots(len(heights), len(metrics), squeeze=False, gridspec_kw=shape)
    for row, (fill, group) in zip(panels, fills.items(), strict=False):
        _effects(row, f"fill: {fill}", group, metrics)
    for one in ends:
        _ends(panels[len(fills)], one, metrics)
    _orders(panels[-1], estimate)
    for axes, metric in zip(panels[0], metrics, strict=True):
        axes.set_title(str(metric).replace("_", " "), loc="left")
    figure.legend(handles=_legend(fills), loc="outside upper right", ncols=4)
    first = next(iter(next(iter(fills.values())).values()), estimate)
    kinds = listed(dict.fromkeys(kind for group in fills.values() for kind in group))
    told = (
        f"controls, each kind tested alone: {kinds}; a star needs p < .05, corrected, against all"
    )
    order = f"order: {estimate.attrs.get('test', '')}; W: {estimate.attrs.get('interval', '')}"
    attrs = {**first.attrs, "null": plain(first.attrs.get("null", ""))}
    footer(figure, attrs, stimuli_of(estimate), told, order)
    return figure


def _by_fill(beside: Mapping[str, xr.Dataset]) -> dict[str, Group]:
    """Return the estimates of each fill, by kind of control."""
    found: dict[str, Group] = {}
    for name, one in beside.items():
        if "control_effect" in one:
            fill, _, control = name.partition(" and ")
            found.setdefault(fill, {})[control] = one
    return found


def _effects(row: np.ndarray, label: str, group: Group, metrics: np.ndarray) -> None:
    first = next(iter(group.values()))
    y = np.arange(first.sizes["contrast"])[::-1]
    for axes, metric in zip(row, metrics, strict=True):
        each = [one.sel(metric=metric) for one in group.values()]
        axes.axvline(0, color=INK, linewidth=0.6)
        for k, one in enumerate(each):
            _controls(axes, one, y - 0.19 * (k + 1), *MARKS[k % len(MARKS)])
        effect_points(axes, each[0], y)
        beyond = np.max([one["p_corrected_control"].values for one in each], axis=0)
        lows = [each[0]["ci_low"].values, *(one["control_low"].values for one in each)]
        stars(axes, beyond < 0.05, np.min(lows, axis=0), y)
        axes.set_yticks(y, first["contrast"].values if axes is row[0] else [])
        axes.set_ylim(-0.9, len(y) - 0.5)
    row[0].set_ylabel(label)
    across(row, str(first.attrs.get("statistic", "effect")))


def _controls(axes: Any, one: xr.Dataset, y: np.ndarray, marker: str, grey: str) -> None:
    """Draw the mean of each network's controls of one kind, and their range."""
    ends = one["control_low"].values, one["control_high"].values
    axes.hlines(y, *ends, color=grey, linewidth=0.9)
    axes.scatter(one["control_effect"].values, y, s=5, color=grey, marker=marker, linewidth=0)


def _ends(row: np.ndarray, one: xr.Dataset, metrics: np.ndarray) -> None:
    y = np.arange(one.sizes["contrast"])[::-1]
    for axes, metric in zip(row, metrics, strict=True):
        each = one.sel(metric=metric)
        spread = np.stack([each["effect"] - each["ci_low"], each["ci_high"] - each["effect"]])
        look: Any = {"fmt": "o", "color": INK, "markersize": 3, "elinewidth": 0.9}
        axes.errorbar(each["effect"].values, y, xerr=np.maximum(spread, 0), **look)
        axes.vlines(each["chance_level"].values, y - 0.35, y + 0.35, color=SOFT, linestyle=":")
        axes.set_yticks(y, one["contrast"].values if axes is row[0] else [])
        axes.set_ylim(-0.6, len(y) - 0.4)
        axes.locator_params(axis="x", nbins=4)
    row[0].set_ylabel("score")


def _orders(row: np.ndarray, estimate: xr.Dataset) -> None:
    names = [str(name) for name in estimate["variant"].values]
    labels = [names[0], *(name.removeprefix(f"{names[0]} ") for name in names[1:])]
    x = np.arange(len(names))
    colours = [on_white(str(colour)) for colour in estimate["colour"].values]
    for axes, metric in zip(row, estimate["metric"].values, strict=True):
        one = estimate.sel(metric=metric)
        axes.axhline(0, color=INK, linewidth=0.6)
        for k, colour in enumerate(colours):
            parts = [one[f"variant_{key}"].values[:, k] for key in ("effect", "low", "high")]
            place = x + 0.07 * (k - len(colours) / 2)
            axes.plot(place, parts[0], color=colour, linewidth=0.7)
            whiskers(axes, place, *parts, color=colour, markersize=2, capsize=0, elinewidth=0.6)
        axes.set_xticks(x, labels, rotation=30, ha="right")
        whole = one.isel(contrast=0)
        told = "W = {:.2f} (range {:.2f} to {:.2f})".format(
            *(float(whole[k]) for k in ("effect", "range_low", "range_high"))
        )
        axes.set_title(told, fontsize=6, loc="left")
    row[0].set_ylabel("effect, by variant")


def _legend(fills: Mapping[str, Group]) -> list[Any]:
    kinds = list(dict.fromkeys(kind for group in fills.values() for kind in group))
    found: list[Any] = [
        mark("p < .05, corrected", marker="o"),
        mark("not significant", marker="o", markerfacecolor="white"),
        mark("differs from all kinds of controls", marker="$*$"),
    ]
    for k, kind in enumerate(kinds):
        marker, grey = MARKS[k % len(MARKS)]
        found.append(
            mark(f"controls: {kind} (mean, range)", marker=marker, color=grey, markersize=3)
        )
    return [*found, mark("chance", linestyle=":", color=SOFT)]
