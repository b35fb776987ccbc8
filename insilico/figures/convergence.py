"""Where words, sounds and pictures of one scene meet: retrieval by network."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from insilico.figures.page import DOUBLE_MM, INK, PALE, SOFT, footer, need, sheet, styled

TITLES = {"text": "Read: caption to picture", "sound": "Heard: sound to picture"}


@styled
def convergence(retrieval: xr.Dataset) -> Figure:
    """Draw how often a scene's response finds its picture-driven response, by network.

    Parameters
    ----------
    retrieval : xarray.Dataset
        `effect`, `ci_low`, `ci_high` and `truth` (modality, region); `category` and `told`
        (modality); attributes `n` and `chance`.

    Returns
    -------
    matplotlib.figure.Figure
        Dots: the encoder's responses with their 95 % interval; ticks: noise-free truth; lines:
        chance, one who knows the category, one who knows all that the modality tells.
    """
    need(retrieval, "convergence", "effect", "ci_low", "ci_high", "truth", "category", "told")
    figure = sheet(DOUBLE_MM, 70)
    panels = figure.subplots(1, retrieval.sizes["modality"], sharey=True, squeeze=False)[0]
    for axes, modality in zip(panels, retrieval["modality"].values, strict=True):
        _panel(axes, retrieval.sel(modality=modality), retrieval.attrs["chance"])
        axes.set_title(TITLES.get(str(modality), str(modality)), loc="left")
    panels[0].set_ylabel(f"picture found, top-1 of {retrieval.attrs['n']}")
    panels[-1].legend(handles=_legend(), loc="upper right", handlelength=1.6)
    note = "top-1 among the pictures of all scenes; responses centred over scenes; 95 % Wilson"
    footer(figure, retrieval.attrs, retrieval.attrs["n"], note)
    return figure


def _panel(axes: Any, shown: xr.Dataset, chance: float) -> None:
    x, value = np.arange(shown.sizes["region"]), shown["effect"].values
    spread = np.stack([value - shown["ci_low"].values, shown["ci_high"].values - value])
    for level, look in _levels(shown, chance):
        axes.axhline(level, linewidth=0.8, zorder=1, **look)
    axes.hlines(shown["truth"].values, x - 0.3, x + 0.3, color=PALE, linewidth=2.4, zorder=2)
    axes.errorbar(
        x, value, np.maximum(spread, 0), fmt="o", color=INK, markersize=3.5, elinewidth=0.8,
        capsize=1.6, zorder=3,
    )  # fmt: skip
    axes.set_xticks(x, shown["region"].values, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_ylim(-0.02, 1.05)


def _levels(shown: xr.Dataset, chance: float) -> list[tuple[float, dict[str, str]]]:
    return [
        (float(shown["told"]), {"color": SOFT, "linestyle": "-"}),
        (float(shown["category"]), {"color": SOFT, "linestyle": "--"}),
        (chance, {"color": SOFT, "linestyle": ":"}),
    ]


def _legend() -> list[Line2D]:
    def line(label: str, **look: Any) -> Line2D:
        return Line2D([], [], label=label, **look)

    return [
        line("encoder, 95 % interval", color=INK, marker="o", markersize=3.5),
        line("noise-free truth", color=PALE, linewidth=2.4),
        line("knows all that is told", color=SOFT, linestyle="-", linewidth=0.8),
        line("knows the category", color=SOFT, linestyle="--", linewidth=0.8),
        line("chance", color=SOFT, linestyle=":", linewidth=0.8),
    ]
