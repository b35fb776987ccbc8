"""How many stimuli are named rightly among many sentences, and which part of the name is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.figures.bars import mark
from insilico.figures.page import DOUBLE_MM, INK, SOFT, footer, need, sheet, stimuli_of, styled

COLOURS = ("#1b6ca8", "#c0562b", "#4d7c3a")


@styled
def zero_shot(estimate: xr.Dataset) -> Figure:
    """Draw shares named rightly, with exact intervals and chance, and of which label.

    Parameters
    ----------
    estimate : estimate
        Of `zero_shot`.
    """
    need(estimate, "zero_shot", "effect", "chance_level", "guessed", "part", "part_low")
    rows = estimate["contrast"].values.astype(str)
    figure = sheet(DOUBLE_MM, 40 + 6 * len(rows))
    left, right = figure.subplots(1, 2, width_ratios=[1.6, 1])
    y = np.arange(len(rows))[::-1]
    metrics = estimate["metric"].values.astype(str)
    for k, name in enumerate(metrics):
        one, colour = estimate.sel(metric=name), COLOURS[k % len(COLOURS)]
        _bars(left, [one[e] for e in ("effect", "ci_low", "ci_high")], y + 0.12 - 0.24 * k, colour)
        left.axvline(float(one["chance_level"][0]), color=colour, linestyle="--", linewidth=0.8)
        left.plot(one["guessed"], y + 0.12 - 0.24 * k, "|", color=SOFT, markersize=7)
    left.set_yticks(y, rows)
    left.set_xlim(0, 1.03)
    left.set_ylim(-0.6, len(rows) - 0.4)
    left.set_xlabel("share of stimuli named rightly")
    shown = [mark(n, marker="o", color=COLOURS[k % 3]) for k, n in enumerate(metrics)]
    shown.append(mark("chance, k / classes", linestyle="--", linewidth=0.8))
    shown.append(mark("labels shuffled", marker="|", color=SOFT, markersize=7))
    left.legend(handles=shown, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(shown))
    _parts(right, estimate, y)
    largest = float(estimate["p_corrected"].max())
    said = f"largest p corrected {largest:.2g}"
    named = f"prompts such as '{estimate.attrs['prompts'][0]}'"
    footer(figure, estimate.attrs, stimuli_of(estimate), said, named)
    return figure


def _bars(
    axes: Any, parts: Sequence[Any], y: np.ndarray, colour: str, marker: str = "o", **look: Any
) -> None:
    """Draw shares with their intervals, one a row."""
    value, low, high = (np.asarray(part) for part in parts)
    spread = np.maximum([value - low, high - value], 0)
    usual: Any = {"color": colour, "markersize": 4, "elinewidth": 1, "capsize": 2}
    axes.errorbar(value, y, xerr=spread, fmt=marker, **usual, **look)


def _parts(axes: Any, estimate: xr.Dataset, y: np.ndarray) -> None:
    for k, label in enumerate(estimate["label"].values.astype(str)):
        one, at = estimate.sel(label=label), y + 0.12 - 0.24 * k
        parts = [one[name] for name in ("part", "part_low", "part_high")]
        _bars(axes, parts, at, INK, "so"[k % 2], label=f"{label} right")
        axes.plot(one["part_guessed"], at, "|", color=SOFT, markersize=7)
    axes.set_yticks(y, [""] * len(y))
    axes.set_xlim(0, 1.03)
    axes.set_ylim(-0.6, len(y) - 0.4)
    axes.set_xlabel("share of first answers with the label right")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
