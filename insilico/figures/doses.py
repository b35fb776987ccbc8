"""Stimulation: what is decoded against the dose, area by area, beside matched controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import mark, whiskers
from insilico.figures.lesions import disagreement
from insilico.figures.page import (
    DOUBLE_MM,
    INK,
    SOFT,
    footer,
    need,
    sheet,
    stimuli_of,
    styled,
    together,
)

COLOUR = "#8e1b1b"
BOLD: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "fontweight": "bold"}


@styled
def dose_curves(estimate: xr.Dataset, beside: Mapping[str, xr.Dataset] | None = None) -> Figure:
    """Draw each area's curve over doses, its controls and chance; one row for each score.

    Parameters
    ----------
    estimate : estimate
        Of `dose_response`, with controls. Where every area has a score of its own, one row.
    beside : dict of estimate, optional
        Others of the same areas, drawn below.
    """
    every = {"": estimate, **(beside or {})}
    for one in every.values():
        need(one, "dose_curves", "effect", "ci_low", "ci_high", "base", "control_ci_low", "area")
    rows = [one.sel(metric=[m]) for one in every.values() for m in one["metric"].values]
    areas = list(dict.fromkeys(estimate["area"].values.astype(str)))
    figure = sheet(DOUBLE_MM, 26 + (44 if len(rows) < 5 else 34) * len(rows))
    panels = figure.subplots(len(rows), len(areas), sharey="row", squeeze=False)
    for line, one in zip(panels, rows, strict=True):
        for axes, area in zip(line, areas, strict=True):
            _panel(axes, one.isel(metric=0, contrast=one["area"].values == area))
        line[0].set_ylabel(f"{_name(one)}\n{_score(one)}")
    for axes, area in zip(panels[0], areas, strict=True):
        axes.annotate(area or _name(estimate), (0, 1), (0, 21), fontsize=8, **BOLD)
    for axes in panels[-1]:
        axes.set_xlabel(f"{estimate['curve'].item()}, sd over training")
    figure.legend(handles=_legend(), loc="outside upper right", ncols=3)
    step = "a step: slope over ranks of the doses, of area minus patch"
    step = f"{step}, corrected over areas" if len(areas) > 1 else step
    more = ["bars: change from dose 0", step, *disagreement(*every.values())]
    footer(figure, together(every), stimuli_of(estimate), *more)
    return figure


def _name(one: xr.Dataset) -> str:
    return str(one.attrs.get("statistic", "")).partition(" minus ")[0]


def _score(one: xr.Dataset) -> str:
    """Return the name of the score that is read; of several areas' own, that they are."""
    if "score" not in one.coords:
        return str(one["metric"].values.ravel()[0]).replace("_", " ")
    own = np.unique(one["score"].values.astype(str))
    return own[0].replace("_", " ") if len(own) == 1 else "score named above"


def _panel(axes: Any, one: xr.Dataset) -> None:
    levels = one["level"].values
    x = np.arange(1, len(levels) + 1)
    base, value, low, high = _points(one, "base", "value", "ci_low", "ci_high")
    chance = float(one["chance_level"].mean())
    axes.axhline(chance, color=INK, linewidth=0.7, linestyle=(0, (1, 2)))
    _controls(axes, one, x + 0.025 * (len(x) + 1))
    axes.plot([0, *x], [base[0], *value], color=COLOUR, linewidth=1.2)
    axes.errorbar(x, value, np.stack([value - low, high - value]), fmt="none", ecolor=COLOUR,
                  elinewidth=0.9, capsize=1.6)  # fmt: skip
    shown = [False, *(one["p_corrected"].values < 0.05)]
    faces = [COLOUR if sure else "white" for sure in shown]
    look: Any = {"s": 14, "color": faces, "edgecolor": COLOUR, "linewidth": 0.9, "zorder": 3}
    axes.scatter([0, *x], [base[0], *value], **look)
    for k in np.flatnonzero(one["p_corrected_control"].values < 0.05):
        place: Any = {"xytext": (0, 2), "textcoords": "offset points"}
        axes.annotate("*", (x[k], high[k]), fontsize=9, ha="center", **place)
    axes.set_xticks([0, *x], ["0", *(f"{level:g}" for level in levels)])
    axes.set_xlim(-0.06 * (len(x) + 1), 1.08 * len(x) + 0.08)
    axes.margins(y=0.14)
    axes.set_title(f"score: {_score(one)}\n{_trend(one)}", loc="left", fontsize=5.4)


def _trend(one: xr.Dataset) -> str:
    """Say how much a step of the dose does beyond the controls."""
    step, low, high = (float(one[f"trend{end}_control"].values[0]) for end in ("", "_low", "_high"))
    p = float(one["trend_p_corrected_control"].values[0])
    return f"a step {step:+.2f} [{low:.2f}, {high:.2f}], p = {p:.1g}"


def _points(one: xr.Dataset, *names: str) -> list[np.ndarray]:
    """Return level zero, means, and the ends of their intervals, in the score's own direction.

    The intervals are of the change; no mean lies beyond the scores of single stimuli.
    """
    base, value, low, high = (one[name].values for name in names)
    ends = [base + low, base + high]
    if "least" in one:
        ends = [np.clip(end, float(one["least"]), float(one["most"])) for end in ends]
    if str(one["direction"].values) == "lower":
        return [-base, -value, -ends[1], -ends[0]]
    return [base, value, *ends]


def _controls(axes: Any, one: xr.Dataset, x: np.ndarray) -> None:
    """Draw the controls' curve a little to the right, with the intervals of its change."""
    names = ("control_base", "control_value", "control_ci_low", "control_ci_high")
    base, value, low, high = _points(one, *names)
    right = x[0] - 1
    axes.plot([right, *x], [base[0], *value], color=SOFT, linewidth=1, linestyle="--")
    axes.plot(right, base[0], marker="s", color=SOFT, markersize=3)
    whiskers(axes, x, value, low, high, color=SOFT, fmt="s", markersize=3)


def _legend() -> list[Any]:
    return [
        mark("area, 95 % interval; filled: differs from dose 0, p < .05 corrected", marker="o",
             linestyle="-", color=COLOUR),
        mark("differs from patch, p < .05 corrected", marker="$*$"),
        mark("chance of this score", linestyle=(0, (1, 2))),
        mark("matched patch, same dose, 95 % interval", marker="s", linestyle="--", color=SOFT),
    ]  # fmt: skip
