"""What is simulated: scores of conditions, and fields over the cortex that share nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import xarray as xr

from insilico.spaces import fsaverage5
from insilico.statistics import spins
from insilico.statistics.places import Places, of_labels

SIMULATED = {"source": "simulated", "note": "simulated: nothing here was measured"}
WAVES = 60


def scores(
    rows: Mapping[tuple[str, str], np.ndarray],
    metrics: Sequence[str] = ("m",),
    **coords: Sequence[int] | np.ndarray,
) -> xr.Dataset:
    """Return a score.

    Parameters
    ----------
    rows : dict of (name, region) to (stimulus, draw, metric)
        One condition each.
    metrics : list of str
    **coords
        Further coordinates of the conditions.
    """
    names, regions = zip(*rows, strict=True)
    value = np.stack(list(rows.values()))
    conditions, stimuli, draws, many = value.shape
    chance = np.zeros((conditions, many))
    return xr.Dataset(
        {"value": (("condition", "stimulus", "draw", "metric"), value)},
        coords={
            "condition": [f"{k} {name}/{region}" for k, (name, region) in enumerate(rows)],
            "name": ("condition", [name.partition("#")[0] for name in names]),
            "region": ("condition", list(regions)),
            "stimulus": [f"s{k}" for k in range(stimuli)],
            "draw": np.arange(draws),
            "metric": list(metrics),
            "definition": ("metric", ["simulated"] * many),
            "direction": ("metric", ["higher"] * many),
            "chance": ("metric", [0.0] * many),
            "chance_of_condition": (("condition", "metric"), chance),
            **{name: ("condition", list(given)) for name, given in coords.items()},
        },
        attrs=SIMULATED,
    )


@lru_cache(maxsize=2)
def patched(count: int) -> Places:
    """Return parcels: the vertices nearest to so many points of each hemisphere's sphere."""
    from scipy.spatial import cKDTree

    rng, half = np.random.default_rng(0), fsaverage5.N_HEMISPHERE
    labels = np.zeros(fsaverage5.N_VERTICES, int)
    for k, hemi in enumerate("LR"):
        sphere = spins.sphere(hemi)
        seeds = rng.choice(half, count, replace=False)
        own = cKDTree(sphere[seeds]).query(sphere)[1] + 1 + k * count
        labels[k * half : (k + 1) * half] = own
    return of_labels(labels, tuple(f"p{k}" for k in range(2 * count)))


def field(where: Places, rng: np.random.Generator, width: float, waves: int = WAVES) -> np.ndarray:
    """Return an isotropic random field over both spheres, each hemisphere's its own.

    Parameters
    ----------
    where : Places
        Vertices or parcels.
    rng : Generator
    width : float
        In radians: the correlation at a distance d is about exp(-d² / (2 width²)).
    waves : int
        Of random direction and length, whose sum it is.
    """
    sphere, made = _on_sphere(where), np.empty(len(where))
    for hemi in "LR":
        bent = rng.standard_normal((3, waves)) / width
        own = where.hemi == hemi
        made[own] = np.cos(sphere[own] @ bent + rng.uniform(0, 2 * np.pi, waves)).sum(1)
    return made


def spread(where: Places, rng: np.random.Generator, ratio: float, width: float = 0.4) -> np.ndarray:
    """Return a field whose spread grows `ratio`-fold from the back of the brain to its front."""
    return ratio ** _forward(where) * field(where, rng, width)


def smoother(
    where: Places, rng: np.random.Generator, ratio: float, width: float = 0.4
) -> np.ndarray:
    """Return a field whose width grows `ratio`-fold from the back of the brain to its front.

    At the middle of the way it is a mixture of a rough and a smooth field; its spread is even.
    """
    rough, smooth = (field(where, rng, width * ratio**power) for power in (-0.5, 0.5))
    share = _forward(where)
    return np.sqrt(1 - share) * rough + np.sqrt(share) * smooth


def _forward(where: Places) -> np.ndarray:
    """Return how far in front a place lies on its sphere, from 0 to 1."""
    return (1 + _on_sphere(where)[:, 1]) / 2


def _on_sphere(where: Places) -> np.ndarray:
    """Return each place on the unit sphere of its hemisphere; of a parcel, its middle."""
    at = np.arange(len(where)) if where.kind == "vertex" else where.middle
    return np.concatenate([spins.sphere("L"), spins.sphere("R")])[at]


def response(bold: np.ndarray, **coords: Sequence[object]) -> xr.Dataset:
    """Return a response over the vertices of fsaverage5, or over voxels of both hemispheres.

    Parameters
    ----------
    bold : (..., stimulus, place)
        Leading dimensions are named by `coords`.
    **coords
        Labels of the leading dimensions, in order.
    """
    places = bold.shape[-1]
    place = "vertex" if places == fsaverage5.N_VERTICES else "voxel"
    there = fsaverage5.coordinates() if place == "vertex" else _voxels(places)
    return xr.Dataset(
        {"bold": ((*coords, "stimulus", place), bold.astype(np.float32))},
        coords={
            **{name: list(labels) for name, labels in coords.items()},
            "stimulus": [f"s{k}" for k in range(bold.shape[-2])],
            **there,
        },
        attrs={
            "space": "fsaverage5" if place == "vertex" else "simulated",
            "units": "session z",
            "subject": "simulated",
            "hemodynamic_offset_s": 0.0,
            **SIMULATED,
        },
    )


@lru_cache(maxsize=4)
def _voxels(count: int) -> dict[str, tuple[str, np.ndarray]]:
    mm = np.random.default_rng(1).uniform(-30, 30, (count, 3)).astype(np.float32)
    hemi = np.where(np.arange(count) < count // 2, "L", "R")
    return {"hemi": ("voxel", hemi), **{a: ("voxel", c) for a, c in zip("xyz", mm.T, strict=True)}}
