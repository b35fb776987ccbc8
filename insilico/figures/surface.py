"""Maps on the inflated cortex, drawn as shaded triangles."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from insilico.errors import SchemaError, listed
from insilico.figures.page import DOUBLE_MM, footer, need, sheet, stimuli_of, styled
from insilico.spaces import fsaverage5

VIEWS = (("L", -1), ("L", 1), ("R", -1), ("R", 1))  # seen from the left (-1) or the right (1)
WALL = np.array([0.82, 0.82, 0.82])


def vertex_colours(values: np.ndarray, limits: tuple[float, float], cmap: str) -> np.ndarray:
    """Return rgb (20484, 3): the map over sulcal shading, the medial wall grey."""
    rgb = colormaps[cmap](Normalize(*limits)(np.nan_to_num(values)))[:, :3]
    shade = np.where(fsaverage5.sulcal_depth() > 0, 0.86, 1.0)[:, None]
    outside = ~np.isfinite(values) | fsaverage5.medial_wall()
    return np.where(outside[:, None], WALL, rgb * shade)


def view(axes, colours: np.ndarray, hemi: str, side: int) -> None:
    """Draw one hemisphere as seen from the left (-1) or right (1)."""
    coordinates, faces = fsaverage5.mesh("infl")
    own = faces[(fsaverage5.hemisphere()[faces[:, 0]] == hemi)]
    corners = coordinates[own]  # (face, corner, xyz)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    front = normal[:, 0] * side > 0
    own, corners, normal = own[front], corners[front], normal[front]
    order = np.argsort(corners[:, :, 0].mean(1) * side)
    light = 0.62 + 0.38 * np.clip(normal @ np.array([side * 0.8, 0.1, 0.58]), 0, 1)
    rgb = np.clip(colours[own].mean(1) * light[:, None], 0, 1)
    flat = np.stack([side * corners[:, :, 1], corners[:, :, 2]], axis=-1)
    patches = PolyCollection(
        list(flat[order]),
        facecolors=rgb[order],
        edgecolors=rgb[order],
        linewidths=0.15,
        rasterized=True,
    )
    axes.add_collection(patches)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set_axis_off()


@styled
def surface_map(
    values: np.ndarray,
    label: str,
    limits: tuple[float, float] | None = None,
    cmap: str = "RdBu_r",
    title: str = "",
) -> Figure:
    """Draw a map in four views: left lateral and medial, right medial and lateral.

    Parameters
    ----------
    values : (20484,)
        NaN is grey.
    label : str
        What the colours mean, with units.
    limits : tuple of float, optional
        By default symmetric about zero, to the 98th percentile of abs(values).
    """
    if limits is None:
        top = float(np.nanpercentile(np.abs(values), 98)) or 1.0
        limits = (-top, top)
    figure = sheet(DOUBLE_MM, 52)
    four_views(figure, list(figure.subplots(1, 4)), values, label, limits, cmap)
    figure.suptitle(title, fontsize=7, x=0.01, ha="left")
    return figure


def four_views(
    figure: Figure,
    panels: list[Any],
    values: np.ndarray,
    label: str,
    limits: tuple[float, float],
    cmap: str,
    named: bool = True,
) -> None:
    """Draw a map on four axes with one colour bar beside them; `named` writes the views below."""
    colours = vertex_colours(values, limits, cmap)
    for axes, (hemi, side) in zip(panels, VIEWS, strict=True):
        view(axes, colours, hemi, side)
        lateral = (hemi == "L") == (side == -1)
        told = f"{'left' if hemi == 'L' else 'right'} {'lateral' if lateral else 'medial'}"
        axes.set_title(told if named else "", y=-0.2)
    mappable = ScalarMappable(Normalize(*limits), cmap)
    bar = figure.colorbar(mappable, ax=panels, shrink=0.7, aspect=18, pad=0.01)
    bar.set_label(label)
    bar.outline.set_linewidth(0.4)


@styled
def surface_gap(estimate: xr.Dataset) -> Figure:
    """Draw r minus its ceiling, vertex by vertex, from an estimate of `encoding_accuracy`."""
    need(estimate, "surface_gap", "gap_map", "n")
    figure = surface_map(
        estimate["gap_map"].values,
        "r − √NC",
        title="Prediction minus noise ceiling (blue: short of it)",
    )
    footer(figure, estimate.attrs, stimuli_of(estimate))
    return figure


@styled
def estimate_map(estimate: xr.Dataset, map: str = "effect_map") -> Figure:
    """Draw a map of an estimate over vertices, such as what each place's lesion changes.

    Parameters
    ----------
    estimate : estimate
        With maps, such as of `sweep`.
    map : str
        Which one, such as ``share_map``; an unknown one is refused with all that there are.
    """
    if map not in estimate or estimate[map].dims != ("vertex",):
        known = listed(name for name in estimate.data_vars if estimate[name].dims == ("vertex",))
        raise SchemaError(f"estimate_map: no map '{map}' over vertices; maps: {known or 'none'}")
    values = estimate[map].values
    rising = not np.nanmin(values) < 0
    top = float(np.nanpercentile(np.abs(values), 98)) or 1.0
    look: Any = {"limits": (0.0, top), "cmap": "viridis"} if rising else {}
    told = f"{map.removesuffix('_map').replace('_', ' ')}: {estimate.attrs.get('statistic', '')}"
    figure = surface_map(values, map.replace("_", " "), **look, title=told)
    tested = [name for name in ("p_map", "p_corrected_map") if name in estimate]
    said = f"its p: the maps {listed(tested)}" if tested else "no p comes with this map"
    told = "colours end at the 98th percentile of what is shown"
    attrs = {
        k: v for k, v in estimate.attrs.items() if tested or k not in ("interval", "correction")
    }
    footer(figure, attrs, stimuli_of(estimate), said, told)
    return figure
