"""Parts of figures that several share: networks along the abscissa, intervals, marks."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from insilico.figures.page import INK, on_white


def colours_of(estimate: xr.Dataset) -> list[str]:
    """Return a colour of each contrast that shows on white."""
    if "colour" not in estimate.coords:
        return [INK] * estimate.sizes["contrast"]
    return [on_white(str(colour)) for colour in estimate["colour"].values]


def whiskers(axes: Any, x: np.ndarray, value: Any, low: Any, high: Any, **look: Any) -> None:
    """Draw points with their intervals."""
    value, low, high = (np.asarray(part) for part in (value, low, high))
    spread = np.maximum(np.stack([value - low, high - value]), 0)
    usual = {"fmt": "o", "markersize": 3.6, "elinewidth": 0.9, "capsize": 1.6, "color": INK}
    axes.errorbar(x, value, spread, **{**usual, **look})


def networks_along(axes: Any, estimate: xr.Dataset) -> np.ndarray:
    """Name the contrasts along the abscissa; return their positions."""
    x = np.arange(estimate.sizes["contrast"])
    axes.set_xticks(x, estimate["contrast"].values)
    axes.set_xlim(-0.6, len(x) - 0.4)
    axes.axhline(0, color=INK, linewidth=0.6)
    return x


def mark(label: str, **look: Any) -> Line2D:
    """Return an entry of a legend."""
    usual = {"color": INK, "linestyle": "", "markersize": 4}
    return Line2D([], [], label=label, **{**usual, **look})
