"""Smooth maps over places that tests know."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from insilico.spaces import fsaverage5
from insilico.statistics import spins
from insilico.statistics.places import Places, of_labels


def patched(count: int) -> Places:
    """Return parcels: the vertices nearest to so many points of each hemisphere's sphere."""
    rng, labels = np.random.default_rng(0), np.zeros(fsaverage5.N_VERTICES, int)
    for k, hemi in enumerate("LR"):
        sphere = spins.sphere(hemi)
        seeds = rng.choice(len(sphere), count, replace=False)
        own = cKDTree(sphere[seeds]).query(sphere)[1] + 1 + k * count
        labels[k * len(sphere) : (k + 1) * len(sphere)] = own
    return of_labels(labels, tuple(f"p{k}" for k in range(2 * count)))


def voxels(count: int = 150) -> Places:
    """Return so many voxels of each hemisphere, in a cube of 60 mm."""
    mm = np.random.default_rng(1).uniform(-30, 30, (2 * count, 3))
    return Places("voxel", np.repeat(["L", "R"], count), mm, np.ones(2 * count, bool))


def smooth(where: Places, rng: np.random.Generator, width: float = 12.0) -> np.ndarray:
    """Return white noise smoothed by a Gaussian of so many mm."""
    apart = ((where.mm[:, None] - where.mm[None]) ** 2).sum(-1)
    return np.exp(-apart / (2 * width**2)) @ rng.standard_normal(len(where))


def field(where: Places, rng: np.random.Generator, width: float) -> np.ndarray:
    """Return an isotropic random field on both spheres, each hemisphere's its own.

    `width` in radians: its correlation at a distance d is about exp(-d² / (2 width²)).
    """
    at = np.arange(len(where)) if where.kind == "vertex" else where.middle
    sphere, made = np.concatenate([spins.sphere("L"), spins.sphere("R")])[at], np.empty(len(where))
    for hemi in "LR":
        waves = rng.standard_normal((3, 60)) / width
        own = where.hemi == hemi
        made[own] = np.cos(sphere[own] @ waves + rng.uniform(0, 2 * np.pi, 60)).sum(1)
    return made
