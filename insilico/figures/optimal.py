"""Pictures that were made for regions, and what a second encoder says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.errors import SchemaError, listed
from insilico.figures.bars import mark, whiskers
from insilico.figures.page import (
    DOUBLE_MM,
    INK,
    PALE,
    SOFT,
    footer,
    need,
    on_white,
    sheet,
    stimuli_of,
    styled,
)

SCENES = "best scene"
PANEL_MM = 52.0


@styled
def optimal_pictures(
    estimate: xr.Dataset, reconstruction: xr.Dataset, stimuli: xr.Dataset
) -> Figure:
    """Draw a picture of each region and way, the best natural scene, and the responses to them.

    Parameters
    ----------
    estimate : estimate
        Of `optimal`.
    reconstruction : reconstruction, (condition, stimulus, draw)
        Of the same run; the first restart is shown, so that none is picked.
    stimuli : stimuli
        The natural scenes.
    """
    need(estimate, "optimal_pictures", "own", "others", "patches", "best_natural", "best_scene")
    need(reconstruction, "optimal_pictures", "image", "name", "region", "control")
    regions, ways = estimate["region"].values, estimate["contrast"].values
    size = DOUBLE_MM / (len(regions) + 0.9)
    height = (len(ways) + 1) * (size + 0.8) + 5 + PANEL_MM + 20
    figure = sheet(DOUBLE_MM, height)
    heights = [(len(ways) + 1) * (size + 0.8) + 5, PANEL_MM]
    halves = figure.add_gridspec(2, 1, height_ratios=heights, hspace=0.03)
    grid = halves[0].subgridspec(len(ways) + 1, len(regions), wspace=0.03, hspace=0.03)
    for column, region in enumerate(regions):
        panels = [figure.add_subplot(grid[row, column]) for row in range(len(ways) + 1)]
        for way, axes in zip(ways, panels, strict=False):
            _picture(axes, _made(reconstruction, str(way), str(region)))
        _picture(panels[-1], _scene(stimuli, str(estimate["best_scene"].values[column])))
        panels[0].set_title(str(region), color=on_white(str(estimate["colour"].values[column])))
        for axes, word in zip(panels, [*ways, SCENES], strict=True):
            axes.set_ylabel(str(word) if column == 0 else "", fontsize=6)
    _responses(figure, halves[1].subgridspec(1, len(ways)), estimate)
    footer(figure, estimate.attrs, stimuli_of(estimate), *_said(estimate), unit="restart")
    return figure


def _made(reconstruction: xr.Dataset, way: str, region: str) -> np.ndarray:
    mine = reconstruction["name"].values == way
    mine &= (reconstruction["region"].values == region) & (reconstruction["control"].values < 0)
    if mine.sum() != 1:
        raise SchemaError(f"optimal_pictures: no picture of '{way}' for {region} in this run")
    return reconstruction["image"].isel(condition=int(np.argmax(mine)), stimulus=0, draw=0).values


def _scene(stimuli: xr.Dataset, name: str) -> np.ndarray | None:
    """Return a natural scene, if the run's stimuli hold it."""
    held = "image" in stimuli and name in stimuli["stimulus"].values
    return stimuli["image"].sel(stimulus=name).values if held else None


def _picture(axes: Any, image: np.ndarray | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    if image is not None:
        axes.imshow(image, interpolation="nearest")
    else:
        axes.text(0.5, 0.5, "not in\nstimuli", ha="center", va="center", color=SOFT, fontsize=5)


def _responses(figure: Figure, grid: Any, estimate: xr.Dataset) -> None:
    x = np.arange(estimate.sizes["region"])
    colours = [on_white(str(one)) for one in estimate["colour"].values]
    best = estimate["best_natural"].values
    for k, way in enumerate(estimate["contrast"].values):
        axes = figure.add_subplot(grid[0, k])
        one = estimate.sel(contrast=way)
        axes.axhline(0, color=PALE, linewidth=0.6, zorder=0)
        axes.hlines(best, x - 0.38, x + 0.38, color=INK, linewidth=1.2)
        axes.plot(x - 0.18, one["others"], "v", color=SOFT, markersize=3)
        axes.plot(x + 0.18, one["patches"], "x", color=SOFT, markersize=3)
        mine = one.sel(metric="natural")
        for at, colour in zip(x, colours, strict=True):
            ends = ([mine[name].values[at]] for name in ("effect", "ci_low", "ci_high"))
            whiskers(axes, x[at : at + 1], *ends, color=colour, markersize=4.2)
        _marked(axes, x, one)
        axes.set_xticks(x, estimate["region"].values, rotation=40, ha="right")
        axes.set_title(str(way))
        if k == 0:
            axes.set_ylabel("response, sd of natural scenes")
    shown = [
        mark("pictures made for the region", marker="o"),
        mark("made for the other regions", marker="v", color=SOFT),
        mark("made for patches elsewhere", marker="x", color=SOFT),
        mark(f"best of {estimate.attrs['scenes']} natural scenes", linestyle="-", linewidth=1.2),
        mark("above others and patches, p < .05", marker="$*$"),
    ]
    figure.legend(handles=shown, loc="outside upper center", ncols=3)


def _marked(axes: Any, x: np.ndarray, way: xr.Dataset) -> None:
    """Write a star over regions whose own pictures exceed others' and patches', corrected."""
    p = way["p_corrected"].sel(metric=["others", "control"]).values
    tops = np.maximum(way["ci_high"].sel(metric="natural").values, way["best_natural"].values)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * (high - low))
    for at in np.flatnonzero((p < 0.05).all(0)):
        place = (x[at], tops[at] + 0.02 * (high - low))
        axes.annotate("*", place, fontsize=9, ha="center", annotation_clip=False)


def _said(estimate: xr.Dataset) -> list[str]:
    r = [f"{name} {value:.2f}" for name, value in zip(
        estimate["region"].values, estimate["accuracy"].values, strict=True)]  # fmt: skip
    return [
        f"second encoder: {estimate.attrs['second_encoder']}; its r with measured responses of the "
        f"regions to the natural scenes: {listed(r)}",
        "the first restart is shown; restarts of what is decoded are draws of the decoder",
    ]
