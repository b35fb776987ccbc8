"""The page on which all figures are drawn: sizes, type, footers, files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.errors import SchemaError, counted, listed

SINGLE_MM, DOUBLE_MM = 89, 183
INK, SOFT, PALE = "#222222", "#777777", "#c9c9c9"
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}


@contextmanager
def style() -> Iterator[None]:
    """Use the house's style inside, and nowhere else."""
    with mpl.rc_context(STYLE):
        yield


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the house's style."""

    @wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Figure:
        with style():
            return draw(*args, **kwargs)

    return wrapped


def sheet(width_mm: float, height_mm: float) -> Figure:
    """Return an empty figure of a size in mm."""
    return Figure(figsize=(width_mm / 25.4, height_mm / 25.4), layout="constrained")


def on_white(colour: str) -> str:
    """Return a colour that shows on white paper: itself, or darkened if it is too light."""
    red, green, blue = mpl.colors.to_rgb(colour)
    scale = min(1.0, 0.62 / max(0.2126 * red + 0.7152 * green + 0.0722 * blue, 0.01))
    return mpl.colors.to_hex((red * scale, green * scale, blue * scale))


def need(dataset: xr.Dataset, figure: str, *names: str) -> None:
    """Raise `SchemaError` if a dataset lacks what a figure draws."""
    missing = [n for n in names if n not in dataset.variables and n not in dataset.dims]
    if missing:
        raise SchemaError(f"{figure}: {listed(missing)} missing; has {listed(dataset.variables)}")


def footer(
    figure: Figure, attrs: Mapping[str, Any], n: int | str, *more: str, unit: str = "stimulus"
) -> None:
    """Write below a figure its n, interval, tests, source and notes, and what a lesion is."""
    parts = [f"statistic '{attrs['name']}'"] if attrs.get("name") else []
    parts.append(f"n = {counted(n, unit)}")
    for key in ("interval", "test", "null", "correction"):
        if attrs.get(key):
            parts.append(f"{key}: {attrs[key]}" if key != "interval" else f"bars: {attrs[key]}")
    parts += [str(attrs[key]) for key in ("source", "note") if attrs.get(key)]
    parts += [*more, str(attrs.get("lesion", "")).rstrip(".")]
    width = int(figure.get_figwidth() * 25.4 * 0.98)
    text = textwrap.fill("; ".join(filter(None, parts)) + ".", width)
    figure.supxlabel(text, fontsize=5.2, color=SOFT, ha="left", x=0.01)


def stimuli_of(estimate: xr.Dataset) -> str:
    """Write the number of stimuli of an estimate, as far as it has one."""
    n = estimate["n"].values
    n = np.unique(n[np.isfinite(n)].astype(int))
    return str(n[0]) if len(n) == 1 else f"{n[0]}-{n[-1]}"


def save(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write ``name.pdf`` and ``name.png`` (300 dpi); a file appears only when it is whole.

    Returns
    -------
    list of path
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with style():
        figure.draw_without_rendering()  # the layout is found once, for both files
    figure.set_layout_engine("none")
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        part, file = folder / f".{name}.part", folder / f"{name}.{suffix}"
        with style():
            figure.savefig(part, format=suffix, dpi=300, metadata=metadata)
        part.replace(file)
        written.append(file)
    return written
