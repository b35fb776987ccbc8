"""Lesions of networks: several fills, several kinds of controls, both ends, and their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.errors import listed
from insilico.figures.bars import mark, whiskers
from insilico.figures.lesions import (
    across,
    bound_band,
    bound_mark,
    disagreement,
    effect_points,
    stars,
    ticks,
)
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
    together,
)

MARKS = (("o", "#9a9a9a"), ("s", "#6f6f6f"), ("^", "#3d3d3d"))
"""Marker and grey of each kind of control."""
TIED = "no W: all regions are tied"
OPEN: Any = {"color": INK, "markerfacecolor": "white", "markersize": 3, "zorder": 3}
Group = dict[str, xr.Dataset]


@styled
def network_lesions(estimate: xr.Dataset, beside: Mapping[str, xr.Dataset]) -> Figure:
    """Draw each network's effect with its controls, by fill; two known ends; and the order.

    Parameters
    ----------
    estimate : estimate
        Of `stability`: the order of networks in every variant.
    beside : dict
        Estimates of `paired`, one for each kind of control: one row for each effect that they
        test (each fill), in it a bar for each kind. The attributes `fill` and `control` say which.
        One of `levels`: conditions whose score is known beforehand.
    """
    need(estimate, "network_lesions", "variant_effect", "metric")
    fills = _by_effect(beside)
    ends = [one for one in beside.values() if "chance_level" in one]
    metrics = estimate["metric"].values
    heights = [46.0] * len(fills) + [13.0] * len(ends) + [34.0]
    figure = sheet(DOUBLE_MM, sum(heights) + 46)
    shape = {"height_ratios": heights, "width_ratios": [1] * len(metrics)}
    panels = figure.subplots(len(heights), len(metrics), squeeze=False, gridspec_kw=shape)
    for row, (label, group) in zip(panels, fills.items(), strict=False):
        _effects(row, label, group, metrics, _marks(fills))
    for one in ends:
        _ends(panels[len(fills)], one, metrics)
    _orders(panels[-1], estimate)
    for axes, metric in zip(panels[0], metrics, strict=True):
        axes.set_title(str(metric).replace("_", " "), loc="left")
    figure.legend(handles=_legend(fills, ends), loc="outside upper right", ncols=4)
    paired = {name: _simple(one) for name, one in beside.items() if "control_effect" in one}
    order = f"order: {estimate.attrs.get('test', '')}; W: {estimate.attrs.get('interval', '')}"
    attrs = together(paired or {"": estimate})
    more = [*_controls_told(fills), order, *disagreement(*paired.values())]
    footer(figure, attrs, stimuli_of(estimate), *more)
    return figure


def _simple(one: xr.Dataset) -> xr.Dataset:
    """Leave out of the null what is said of controls, which the footer says of all kinds."""
    return one.assign_attrs(null=str(one.attrs.get("null", "")).partition("; ")[0])


def _controls_told(fills: Mapping[str, Group]) -> list[str]:
    """Say what is tested against controls, and what a star needs."""
    kinds = _kinds(fills)
    if not kinds:
        return []
    told = f"against controls: no more than the matched ones ({listed(kinds)})"
    if all(len(group) == 1 for group in fills.values()):
        return [f"{told}; a star needs p < .05, corrected"]
    return [
        f"{told}, each kind tested alone; a star needs p < .05, corrected, against all of its row"
    ]


def _kinds(fills: Mapping[str, Group]) -> list[str]:
    return list(dict.fromkeys(kind for group in fills.values() for kind in group))


def _by_effect(beside: Mapping[str, xr.Dataset]) -> dict[str, Group]:
    """Return the estimates of each effect by kind of control; the label of a row is its fill."""
    rows: dict[str, dict[str, xr.Dataset]] = {}
    for name, one in beside.items():
        if "control_effect" in one:
            rows.setdefault(str(one.attrs.get("statistic", name)), {})[name] = one
    fills = [str(next(iter(each.values())).attrs.get("fill", "")) for each in rows.values()]
    found: dict[str, Group] = {}
    for (effect, each), fill in zip(rows.items(), fills, strict=True):
        own = fill and fills.count(fill) == 1
        label = f"fill: {fill}" if own else effect.partition(",")[0]
        kinds = [str(one.attrs.get("control", "")) or name for name, one in each.items()]
        keys = kinds if len(set(kinds)) == len(kinds) else list(each)
        found[label] = dict(zip(keys, each.values(), strict=True))
    return found


def _marks(fills: Mapping[str, Group]) -> dict[str, tuple[str, str]]:
    """Return the marker and grey of each kind of control, the same in all rows."""
    return {kind: MARKS[k % len(MARKS)] for k, kind in enumerate(_kinds(fills))}


def _effects(
    row: np.ndarray,
    label: str,
    group: Group,
    metrics: np.ndarray,
    marks: Mapping[str, tuple[str, str]],
) -> None:
    first = next(iter(group.values()))
    y = np.arange(first.sizes["contrast"])[::-1]
    for axes, metric in zip(row, metrics, strict=True):
        each = [one.sel(metric=metric) for one in group.values()]
        axes.axvline(0, color=INK, linewidth=0.6)
        for k, (one, kind) in enumerate(zip(each, group, strict=True), 1):
            _controls(axes, one, y - 0.19 * k, *marks[kind])
        effect_points(axes, each[0], y)
        bound_band(axes, each[0])
        ticks(axes)
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
        unsure = each["p_corrected"].values >= 0.05
        axes.plot(each["effect"].values[unsure], y[unsure], "o", **OPEN)
        axes.vlines(each["chance_level"].values, y - 0.35, y + 0.35, color=SOFT, linestyle=":")
        axes.set_yticks(y, one["contrast"].values if axes is row[0] else [])
        axes.set_ylim(-0.6, len(y) - 0.4)
        ticks(axes)
    row[0].set_ylabel("score")


def _orders(row: np.ndarray, estimate: xr.Dataset) -> None:
    names = [str(name) for name in estimate["variant"].values]
    labels = [names[0], *(name.removeprefix(f"{names[0]} ") for name in names[1:])]
    x = np.arange(len(names))
    given = (
        estimate["colour"].values
        if "colour" in estimate.coords
        else [INK] * estimate.sizes["region"]
    )
    colours = [on_white(str(colour)) for colour in given]
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
        told = "W = {:.2f}, p = {:.2g}\nrange {:.2f} to {:.2f}".format(
            *(float(whole[k]) for k in ("effect", "p", "range_low", "range_high"))
        )
        axes.set_title(told if np.isfinite(whole["effect"]) else TIED, fontsize=6, loc="left")
    row[0].set_ylabel("effect, by variant")


def _legend(fills: Mapping[str, Group], ends: list[xr.Dataset]) -> list[Any]:
    many = any(len(group) > 1 for group in fills.values())
    found: list[Any] = [
        mark("p < .05, corrected", marker="o"),
        mark("not significant", marker="o", markerfacecolor="white"),
        mark(f"differs from {'all kinds of' if many else 'its'} controls", marker="$*$"),
    ]
    for kind, (marker, grey) in _marks(fills).items():
        found.append(
            mark(f"controls: {kind} (mean, range)", marker=marker, color=grey, markersize=3)
        )
    every = [one for group in fills.values() for one in group.values()]
    chance = [mark("chance", linestyle=":", color=SOFT)] if ends else []
    return [*found, *bound_mark(*every), *chance]
