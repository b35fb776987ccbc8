"""How strongly each voxel enters a linear read-out: weights, patterns, percentiles.

A weight says how a voxel is *used*, which noise that voxels share decides too: a voxel without any
information may have a large one. The pattern, covariance of voxels times weights over the variance
of what is read out, says in which voxels the read-out is *seen* (Haufe et al., 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SHARES = tuple(float(value) for value in np.logspace(-3, 3, 7))
"""Penalties tried, in units of the mean eigenvalue of the Gram matrix."""


def standardised(x: np.ndarray) -> Floats:
    """Return columns of mean 0 and deviation 1, float64; constant columns become 0."""
    x = x - x.mean(0, dtype=np.float64)
    spread = x.std(0)
    return np.divide(x, spread, out=np.zeros_like(x), where=spread > 1e-9)


class Ridges:
    """Ridge regressions of several sets of features on the same voxels; one decomposition for all.

    Parameters
    ----------
    voxels : (stimulus, voxel)
        Standardised here.
    """

    def __init__(self, voxels: np.ndarray) -> None:
        self.x = standardised(voxels)
        wide = self.x.shape[1] >= len(self.x)
        values, vectors = np.linalg.eigh(self.x @ self.x.T if wide else self.x.T @ self.x)
        kept = values > 1e-9 * values[-1]
        self.values, vectors = values[kept], vectors[:, kept]
        self.vectors = vectors if wide else self.x @ (vectors / np.sqrt(self.values))

    def strengths(self, features: np.ndarray) -> tuple[Floats, Floats]:
        """Return the L1 norm over features of each voxel's weights and of its patterns, (voxel,).

        Features are standardised; the penalty, one for the set, is that of the least generalised
        cross-validation error.

        Parameters
        ----------
        features : (stimulus, feature)
        """
        rotated = self.vectors.T @ standardised(features)
        unit, n = self.values.mean(), len(self.x)
        errors = [self._error(rotated, share * unit, n) for share in SHARES]
        shrink = 1 / (self.values + SHARES[int(np.argmin(errors))] * unit)
        weights = self.x.T @ (self.vectors @ (shrink[:, None] * rotated))
        read = self.vectors @ ((self.values * shrink)[:, None] * rotated)  # (stimulus, feature)
        variance = (read**2).sum(0)
        patterns = self.x.T @ np.divide(
            read, variance, out=np.zeros_like(read), where=variance > 1e-12
        )
        return np.abs(weights).sum(1), np.abs(patterns).sum(1)

    def _error(self, rotated: Floats, alpha: float, n: int) -> float:
        share = alpha / (self.values + alpha)
        free = (share.sum() + n - len(share) - 1) / n  # the mean takes one
        return float((((share[:, None] * rotated) ** 2).sum()) / free**2)


def percentiles(strength: np.ndarray) -> Floats:
    """Return the percentile of each voxel's strength among all, 0 to 100, ties sharing theirs."""
    from scipy.stats import rankdata

    return 100 * (rankdata(strength) - 0.5) / len(strength)


def patches(places: np.ndarray, hemi: np.ndarray, counts: Floats, centres: NDArray) -> NDArray:
    """Return voxels near centres, as many of each hemisphere as each region has.

    Parameters
    ----------
    places : (voxel, 3)
        In mm.
    hemi : bool (voxel,)
        Whether a voxel is right.
    counts : int (region, 2)
        Voxels of each region, left and right.
    centres : int (region, 2)
        A voxel of the left, and one of the right hemisphere.

    Returns
    -------
    bool (region, voxel)
        A patch for each region, one part in each hemisphere.
    """
    made = np.zeros((len(counts), len(places)), bool)
    for side in (0, 1):
        own = np.flatnonzero(hemi == bool(side))
        if not len(own):
            continue
        for region, count in enumerate(counts[:, side]):
            away = ((places[own] - places[centres[region, side]]) ** 2).sum(1)
            made[region, own[np.argsort(away, kind="stable")[: int(count)]]] = True
    return made
