"""The page on which all figures are drawn: sizes, type, footers, files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from insilico.errors import SchemaError, counted, listed

SINGLE_MM, DOUBLE_MM = 89, 183
INK, SOFT, PALE = "#222222", "#777777", "#c9c9c9"
TOLD = ("interval", "test", "null", "correction", "equivalence")
"""Attributes of an estimate that stand below its figure."""
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
    parts = [str(attrs["names"])] if attrs.get("names") else parts
    parts.append(f"n = {counted(n, unit)}")
    for key in TOLD:
        if attrs.get(key):
            parts.append(f"{key}: {attrs[key]}" if key != "interval" else f"bars: {attrs[key]}")
    parts += [str(attrs[key]) for key in ("source", "note") if attrs.get(key)]
    parts += [*more, str(attrs.get("lesion", "")).rstrip(".")]
    width = int(figure.get_figwidth() * 25.4 * 0.98)
    text = textwrap.fill("; ".join(filter(None, parts)) + ".", width)
    figure.supxlabel(text, fontsize=5.2, color=SOFT, ha="left", x=0.01)


def together(estimates: Mapping[str, xr.Dataset]) -> dict[str, Any]:
    """Return the attributes of several estimates for one footer; what is not of all says of which.

    Parameters
    ----------
    estimates : dict
        Name to estimate; the attribute `name` goes before.
    """
    each = list(estimates.values())
    names = [str(one.attrs.get("name") or name) for name, one in estimates.items()]
    labels = [f"'{name}'" if name else "the first" for name in names]
    attrs: dict[str, Any] = {key: _of_each(each, labels, key) for key in TOLD}
    for key in ("source", "note"):
        parts = [part for one in each for part in str(one.attrs.get(key, "")).split("; ")]
        attrs[key] = "; ".join(dict.fromkeys(filter(None, parts)))
    lesions = [str(one.attrs.get("lesion", "")) for one in each]
    attrs["lesion"] = " ".join(dict.fromkeys(filter(None, lesions)))
    known = list(dict.fromkeys(filter(None, names)))
    if known:
        attrs["names"] = f"statistic{'s' * (len(known) > 1)} {', '.join(map(repr, known))}"
    return attrs


def _of_each(each: list[xr.Dataset], labels: list[str], key: str) -> str:
    """Return what estimates say by a key, part by part, with the labels of those that say it."""
    whose: dict[str, list[str]] = {}
    for label, one in zip(labels, each, strict=True):
        for part in dict.fromkeys(str(one.attrs.get(key, "")).split("; ")):
            whose.setdefault(part, []).append(label)
    runs = groupby(filter(lambda part: part[0], whose.items()), key=lambda part: part[1])
    told = [("; ".join(part for part, _ in run), some) for some, run in runs]
    return "; ".join(
        part if len(some) == len(each) else f"{part} ({', '.join(some)})" for part, some in told
    )


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
