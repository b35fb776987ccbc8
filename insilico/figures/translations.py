"""Translations: what each modality becomes in the others, and how well."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pydantic import PositiveInt

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

WINDOW, LOWEST_DB = 512, -50
CHANCE = (
    "chance: the mean over mismatched pairs, where what scenes share still counts (most words of a "
    "caption), or 1 in the number of choices"
)


@styled
def translation_levels(estimate: xr.Dataset) -> Figure:
    """Draw the mean score of each condition with its interval, chance and reference.

    Parameters
    ----------
    estimate : estimate
        Of `levels`, (contrast, metric).
    """
    need(estimate, "translation_levels", "effect", "ci_low", "ci_high", "chance_level", "metric")
    metrics, count = estimate["metric"].values, estimate.sizes["contrast"]
    figure = sheet(DOUBLE_MM, 36 + 6.5 * count)
    panels = np.atleast_1d(figure.subplots(1, len(metrics), sharey=True))
    for axes, metric in zip(panels, metrics, strict=True):
        _level(axes, estimate.sel(metric=metric))
        axes.set_title(str(metric).replace("_", " "), loc="left")
    panels[0].set_yticks(np.arange(count)[::-1], estimate["contrast"].values)
    panels[0].set_ylim(-0.7, count - 0.3)
    panels[len(panels) // 2].set_xlabel(str(estimate.attrs.get("statistic", "score")))
    figure.legend(handles=_legend("reference" in estimate), loc="outside upper right", ncols=4)
    footer(figure, estimate.attrs, stimuli_of(estimate), *_defined(estimate))
    return figure


def _defined(estimate: xr.Dataset) -> list[str]:
    """Return what each metric is, and what chance is."""
    if "definition" not in estimate.coords:
        return []
    pairs = zip(estimate["metric"].values, estimate["definition"].values, strict=True)
    each = [f"{str(metric).replace('_', ' ')}: {definition}" for metric, definition in pairs]
    return [*each, CHANCE]


def _level(axes, one: xr.Dataset) -> None:
    y = np.arange(one.sizes["contrast"])[::-1]
    effect = one["effect"].values
    axes.vlines(one["chance_level"].values, y - 0.32, y + 0.32, color=PALE, linewidth=2.2)
    if "reference" in one:
        axes.vlines(one["reference"].values, y - 0.32, y + 0.32, color=INK, linewidth=1.0)
    axes.hlines(y, one["ci_low"].values, one["ci_high"].values, color=SOFT, linewidth=1.3)
    shown = one["p_corrected"].values < 0.05
    axes.scatter(effect, y, s=16, color=np.where(shown, SOFT, "white"), edgecolor=SOFT, zorder=3)
    axes.locator_params(axis="x", nbins=4)
    axes.margins(x=0.08)


def _legend(reference: bool) -> list[Line2D]:
    look: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4, "color": SOFT}
    found = [
        Line2D([], [], label="differs from chance, p < .05 corrected", **look),
        Line2D([], [], label="not significant", markerfacecolor="white", **look),
        Line2D([], [], label="chance", color=PALE, linewidth=2.2),
    ]
    if reference:
        found.append(Line2D([], [], label="measured responses", color=INK, linewidth=1.0))
    return found


@styled
def translation_examples(
    stimuli: xr.Dataset, reconstruction: xr.Dataset, n: PositiveInt = 3
) -> Figure:
    """Draw scenes, and the picture, caption and sound that each condition made of them.

    Parameters
    ----------
    stimuli : stimuli
        With `image`, `caption` and `sound`: what is true, of which each condition was given one.
    reconstruction : reconstruction, (condition, stimulus, draw)
        The first draw is shown.
    n : int
        The first n stimuli, so that none is picked.
    """
    need(stimuli, "translation_examples", "image", "caption", "sound")
    need(reconstruction, "translation_examples", "image", "caption", "sound", "condition")
    rows = min(n, reconstruction.sizes["stimulus"])
    heads = ["true", *map(str, reconstruction["condition"].values)]
    width = min(DOUBLE_MM / len(heads), 30.0)
    figure = sheet(DOUBLE_MM, rows * (width * 1.5 + 8) + 14)
    panels = figure.subplots(2 * rows, len(heads), squeeze=False, height_ratios=[2, 1] * rows)
    for row in range(rows):
        truth = stimuli.sel(stimulus=reconstruction["stimulus"].values[row])
        made = reconstruction.isel(stimulus=row, draw=0)
        ones = [truth, *(made.isel(condition=k) for k in range(len(heads) - 1))]
        for column, one in enumerate(ones):
            rate = (stimuli if column == 0 else reconstruction).attrs["sampling_rate_hz"]
            _seen(panels[2 * row, column], one, width)
            _heard(panels[2 * row + 1, column], one["sound"].values, int(rate))
    for axes, head in zip(panels[0], heads, strict=True):
        axes.set_title(head, fontsize=6)
    panels[-1, 0].set_ylabel("0 to 8 kHz", fontsize=4.6, color=SOFT)
    count = reconstruction.sizes["stimulus"]
    footer(figure, reconstruction.attrs, count, f"the first {rows} are shown")
    return figure


def _seen(axes, one: xr.Dataset, width_mm: float) -> None:
    axes.imshow(np.asarray(one["image"].values), interpolation="nearest")
    text = textwrap.fill(str(one["caption"].values), max(10, int(width_mm * 0.95)))
    look = {"fontsize": 4.6, "color": SOFT, "linespacing": 1.0, "parse_math": False}
    axes.set_xlabel(text, labelpad=1.5, **look)
    _bare(axes)


def _heard(axes, wave: np.ndarray, rate: int) -> None:
    axes.imshow(spectrogram_db(wave, rate), origin="lower", aspect="auto", cmap="magma",
                vmin=LOWEST_DB, vmax=0, interpolation="nearest")  # fmt: skip
    _bare(axes)


def spectrogram_db(wave: np.ndarray, rate: int) -> np.ndarray:
    """Return loudness in dB below the loudest, (frequency, time); silence is -50."""
    from scipy.signal import stft

    _, _, bins = stft(np.asarray(wave, np.float64), rate, nperseg=min(WINDOW, len(wave)))
    power = np.abs(bins) ** 2
    return np.maximum(10 * np.log10(power / (power.max() + 1e-12) + 1e-12), LOWEST_DB)


def _bare(axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
