"""Masking: what is left of a read-out, and of decoded pictures, against the fraction masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.errors import SchemaError
from insilico.figures.bars import mark, whiskers
from insilico.figures.page import DOUBLE_MM, INK, SOFT, footer, need, sheet, stimuli_of, styled
from insilico.figures.scaling import LINES

OPEN: Any = {"markerfacecolor": "white", "markersize": 3.6, "zorder": 3}
SPREAD: Any = {"linewidth": 4, "alpha": 0.25}
CHANCE: Any = {"linewidth": 0.8, "linestyle": (0, (1, 2))}


@styled
def masking_curves(estimate: xr.Dataset, beside: Mapping[str, xr.Dataset]) -> Figure:
    """Draw AUC over the fraction masked, family by family, and the scores of decoded pictures.

    Parameters
    ----------
    estimate : estimate
        Of `dose_response`: scores over the fraction.
    beside : dict of estimate
        Of `multilabel_auc`, one for each thing that is read from.
    """
    need(estimate, "masking_curves", "value", "base", "level", "chance_level", "spread")
    if not beside:
        raise SchemaError("masking_curves: no AUC; add beside: [responses, tokens]")
    for one in beside.values():
        need(
            one, "masking_curves", "effect", "ci_low", "ci_high", "level", "chance_level", "spread"
        )
    families = list(next(iter(beside.values()))["metric"].values.astype(str))
    metrics = list(estimate["metric"].values.astype(str))
    wide = max(len(families), len(metrics))
    figure = sheet(DOUBLE_MM, 118)
    panels = figure.subplots(2, wide, squeeze=False)
    for axes in (*panels[0, len(families) :], *panels[1, len(metrics) :]):
        axes.set_visible(False)
    known = np.concatenate([[0], *(one["level"].values for one in (estimate, *beside.values()))])
    levels = np.unique(known.round(6))
    for axes, family in zip(panels[0], families, strict=False):
        _areas(axes, {name: one.sel(metric=family) for name, one in beside.items()}, levels)
        axes.set_title(family, loc="left", fontweight="bold")
    for axes, metric in zip(panels[1], metrics, strict=False):
        _score(axes, estimate.sel(metric=metric), levels)
        axes.set_title(metric.replace("_", " "), loc="left", fontweight="bold")
    panels[0, 0].set_ylabel("AUC of labels")
    panels[1, 0].set_ylabel("score of decoded pictures")
    figure.legend(handles=_legend(beside), loc="outside upper right", ncols=3)
    first = next(iter(beside.values()))
    read = f"AUC: n = {stimuli_of(first)} stimuli, its null: {first.attrs.get('null', '')}"
    footer(figure, estimate.attrs, stimuli_of(estimate), read)
    return figure


def _areas(axes: Any, each: Mapping[str, xr.Dataset], levels: np.ndarray) -> None:
    for k, one in enumerate(each.values()):
        colour, marker, dash = LINES[k % len(LINES)]
        parts = (one[name].values for name in ("effect", "ci_low", "ci_high"))
        x = _places(one["level"].values, levels) + 0.12 * k
        whiskers(axes, x, *parts, fmt=marker, color=colour, linestyle=dash, linewidth=1.0)
        axes.plot(x, one["chance_level"].values, color=colour, **CHANCE)
        _masks(axes, x, one["effect"].values, one["spread"].values, colour)
        lost = one["p_corrected"].values >= 0.05
        middle = one["effect"].values
        axes.plot(x[lost], middle[lost], marker, color=colour, **OPEN)
    axes.axhline(0.5, color=INK, linewidth=0.5)
    axes.set_ylim(0.42, 1.03)
    _abscissa(axes, levels)


def _score(axes: Any, one: xr.Dataset, levels: np.ndarray) -> None:
    base, x = one["base"].values, _places(np.array([0, *one["level"].values]), levels)
    low, high = base + one["ci_low"].values, base + one["ci_high"].values
    middle = [base[0], *one["value"].values]
    axes.plot(x, middle, color=SOFT, linewidth=1.0)
    whiskers(axes, x, middle, [base[0], *low], [base[0], *high], color=INK)
    axes.plot(x[1:], one["chance_level"].values, color=INK, **CHANCE)
    _masks(axes, x[1:], one["value"].values, one["spread"].values, INK)
    for k in np.flatnonzero(one["p_corrected"].values < 0.05):
        axes.annotate("*", (x[k + 1], high[k]), (0, 1), textcoords="offset points", ha="center")
    axes.margins(y=0.15)
    _abscissa(axes, levels)


def _masks(axes: Any, x: np.ndarray, middle: np.ndarray, spread: np.ndarray, colour: str) -> None:
    """Draw how far masks lie apart, where there are several."""
    axes.vlines(x, middle - spread, middle + spread, color=colour, **SPREAD)


def _places(level: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return where levels stand: at equal distances, in their order."""
    return np.searchsorted(levels, level.round(6)).astype(float)


def _abscissa(axes: Any, levels: np.ndarray) -> None:
    axes.set_xticks(
        range(len(levels)), [f"{100 * level:g}" for level in levels], fontsize=5.4, rotation=60
    )
    axes.set_xlim(-0.5, len(levels) - 0.3)
    axes.set_xlabel("places masked, percent")


def _legend(beside: Mapping[str, xr.Dataset]) -> list[Any]:
    found = [
        mark(f"read from {name}", color=colour, marker=marker, linestyle=dash)
        for name, (colour, marker, dash) in zip(beside, LINES, strict=False)
    ]
    found.append(
        mark("AUC not unlike chance, p ≥ .05 corrected", marker="o", markerfacecolor="white")
    )
    found.append(mark("scores; bars: of the change from 0", marker="o", linestyle="-"))
    found.append(mark("chance", **CHANCE))
    found.append(mark("± SD of masks", linestyle="-", color=INK, **SPREAD))
    return [*found, mark("differs from unmasked, p < .05 corrected", marker="$*$")]
