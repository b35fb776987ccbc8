"""Stimulation: what is decoded against the dose, area by area, beside matched controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import mark, whiskers
from insilico.figures.page import (
    DOUBLE_MM,
    INK,
    SOFT,
    footer,
    need,
    sheet,
    stimuli_of,
    styled,
)

COLOUR = "#8e1b1b"


@styled
def dose_curves(estimate: xr.Dataset, beside: Mapping[str, xr.Dataset] | None = None) -> Figure:
    """Draw each area's curve over doses, its controls and chance; one row for each statistic.

    Parameters
    ----------
    estimate : estimate
        Of `dose_response`, of one metric, with controls.
    beside : dict of estimate, optional
        Others of the same areas, drawn below; the names are titles.
    """
    rows = {"": estimate, **(beside or {})}
    for one in rows.values():
        need(one, "dose_curves", "effect", "ci_low", "ci_high", "base", "control_ci_low", "area")
    areas = list(dict.fromkeys(estimate["area"].values.astype(str)))
    figure = sheet(DOUBLE_MM, 24 + 42 * len(rows))
    panels = figure.subplots(len(rows), len(areas), sharey=True, squeeze=False)
    for line, one in zip(panels, rows.values(), strict=True):
        for axes, area in zip(line, areas, strict=True):
            _panel(axes, one.isel(metric=0, contrast=one["area"].values == area))
        line[0].set_ylabel(f"{_name(one)}\nshare of captions")
    for axes, area in zip(panels[0], areas, strict=True):
        where = {"xycoords": "axes fraction", "fontsize": 8, "fontweight": "bold"}
        axes.annotate(area or _name(estimate), (0, 1.14), **where)
    for axes in panels[-1]:
        axes.set_xlabel(f"{estimate['curve'].item()}, sd over training")
    figure.legend(handles=_legend(), loc="outside upper right", ncols=5)
    step = "a step: slope over ranks of the doses, of area minus patch"
    held = [f"{step}, corrected over areas" if len(areas) > 1 else step]
    footer(figure, estimate.attrs, stimuli_of(estimate), "bars: change from dose 0", *held)
    return figure


def _name(one: xr.Dataset) -> str:
    return str(one.attrs.get("statistic", "")).partition(" minus ")[0]


def _panel(axes: Any, one: xr.Dataset) -> None:
    levels, base = one["level"].values, one["base"].values
    x, zero = np.arange(1, len(levels) + 1), base[:1]
    ends = (base + one["ci_low"].values, base + one["ci_high"].values)
    low, high = (np.clip(end, 0, 1) for end in ends)  # of a share
    chance = float(one["chance_level"].mean())
    axes.axhline(chance, color=INK, linewidth=0.7, linestyle=(0, (1, 2)))
    _controls(axes, one, x)
    axes.plot([0, *x], [*zero, *one["value"].values], color=COLOUR, linewidth=1.2)
    axes.plot(0, zero[0], marker="o", color=COLOUR, markersize=3.6, markerfacecolor="white")
    whiskers(axes, x, one["value"].values, low, high, color=COLOUR)
    for k in np.flatnonzero(one["p_corrected_control"].values < 0.05):
        axes.annotate("*", (x[k], high[k] + 0.01), fontsize=9, ha="center")
    axes.set_xticks([0, *x], ["0", *(f"{level:g}" for level in levels)])
    axes.set_ylim(-0.04, 1.12)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    trend = [float(one[f"trend{end}_control"].values[0]) for end in ("", "_low", "_high")]
    p = float(one["trend_p_corrected_control"].values[0])
    said = f"a step {trend[0]:+.2f} [{trend[1]:.2f}, {trend[2]:.2f}], p = {p:.1g}"
    axes.set_title(said, loc="left", fontsize=5.4)


def _controls(axes: Any, one: xr.Dataset, x: np.ndarray) -> None:
    """Draw the controls' curve, with the intervals of its change from dose 0."""
    base, value = one["control_base"].values, one["control_value"].values
    ends = (np.clip(base + one[f"control_ci_{end}"].values, 0, 1) for end in ("low", "high"))
    axes.plot([0, *x], [base[0], *value], color=SOFT, linewidth=1, linestyle="--")
    axes.plot(0, base[0], marker="s", color=SOFT, markersize=3, markerfacecolor="white")
    whiskers(axes, x + 0.1, value, *ends, color=SOFT, fmt="s", markersize=3)


def _legend() -> list[Any]:
    return [
        mark("area, 95 % interval", marker="o", linestyle="-", color=COLOUR),
        mark("matched patch, same dose, 95 % interval", marker="s", linestyle="--", color=SOFT),
        mark("chance: share of stimuli with it", linestyle=(0, (1, 2))),
        mark("differs from patch, p < .05 corrected", marker="$*$"),
    ]
