"""Spin tests: a map's labels against random rotations of the sphere.

Null of Alexander-Bloch et al. (2018), https://doi.org/10.1016/j.neuroimage.2018.05.070: rotations
uniform over SO(3), mirrored for the right hemisphere, exact nearest vertex. The medial wall
rotates too; what lands on it or comes from it is left out of that spin.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from insilico.spaces import fsaverage5

MIRROR = np.diag([-1.0, 1.0, 1.0])


def rotation(rng: np.random.Generator) -> np.ndarray:
    """Return a rotation drawn uniformly from SO(3), float64 (3, 3)."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q *= np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] *= -1
    return q


def spins(n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield for each spin the vertex that each vertex takes its value from, int (20484,)."""
    from scipy.spatial import cKDTree

    sphere, half = fsaverage5.mesh("sphere")[0].astype(float), fsaverage5.N_HEMISPHERE
    trees = [cKDTree(sphere[:half]), cKDTree(sphere[half:])]
    for _ in range(n):
        turn = rotation(rng)
        left = trees[0].query(sphere[:half] @ turn, workers=-1)[1]
        right = trees[1].query(sphere[half:] @ (MIRROR @ turn @ MIRROR), workers=-1)[1]
        yield np.concatenate([left, right + half])


def region_contrast(values: np.ndarray, labels: np.ndarray, regions: int) -> np.ndarray:
    """Return each region's mean minus the mean of all other regions, (region,).

    Parameters
    ----------
    values : (vertex,); NaN is left out
    labels : int (vertex,); 1 to `regions`, 0 is left out
    """
    use = np.isfinite(values) & (labels > 0)
    total = np.bincount(labels[use], values[use], regions + 1)[1:]
    count = np.bincount(labels[use], minlength=regions + 1)[1:].astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / count - (total.sum() - total) / (count.sum() - count)


def spin_test(
    values: np.ndarray, labels: np.ndarray, regions: int, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Test whether a region's values differ from those elsewhere, two-sided.

    Returns
    -------
    contrast, p, p_corrected : (region,)
        Corrected by the maximum over regions of the contrast in units of its null's spread.
    """
    observed = region_contrast(values, labels, regions)
    null = np.array([region_contrast(values[take], labels, regions) for take in spins(n, rng)])
    p = (1 + (np.abs(null) >= np.abs(observed)).sum(0)) / (1 + n)
    scale = null.std(0)
    largest = np.nanmax(np.abs(null) / scale, axis=1)
    corrected = (1 + (largest[:, None] >= np.abs(observed) / scale).sum(0)) / (1 + n)
    return observed, p, corrected
