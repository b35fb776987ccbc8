"""Surrogates with a map's variogram: maps of any shape, in vertices, parcels or voxels.

Burt et al. (2020), https://doi.org/10.1016/j.neuroimage.2020.117038, each hemisphere by itself. The
values are shuffled, smoothed over their nearest neighbours, and mixed with white noise, so that the
variogram comes closest to the map's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from insilico.errors import ParameterError
from insilico.statistics.nulls import Null
from insilico.statistics.places import Places
from insilico.step import generator

MAPS = 50
"""Surrogates made at a time."""
LEAST = 30
"""Places that a hemisphere must have at least."""


@dataclass(frozen=True)
class Variogram(Null):
    """Surrogate maps with the variogram of a map.

    Attributes
    ----------
    knn : int
        Neighbours known to each place: the widest smoothing takes ``deltas[-1]`` of them. Memory
        grows with it: 1,000 neighbours of 20,484 vertices are 150 MB.
    deltas : tuple of float
        Shares of `knn` smoothed over; the one that fits best is taken, surrogate by surrogate.
    bins : int
        Distances at which variograms are compared.
    samples, per_sample : int
        Pairs that a variogram is estimated from: places drawn, and neighbours of each.
    remap : bool
        Give surrogates exactly the map's values, in the order of their ranks.
    """

    fits: ClassVar[tuple[str, ...]] = ("vertex", "parcel", "voxel")
    knn: int = 1000
    deltas: tuple[float, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    bins: int = 25
    samples: int = 500
    per_sample: int = 100
    remap: bool = False

    def _blocks(
        self, values: np.ndarray, places: Places, n: int, seed: int
    ) -> Iterator[np.ndarray]:
        halves = [_Half.of(self, values, places, str(h), seed) for h in np.unique(places.hemi)]
        kept = [half for half in halves if half is not None]
        for start in range(0, n, MAPS):
            made = np.full((min(MAPS, n - start), len(places)), np.nan)
            for half in kept:
                made[:, half.own] = half.surrogates(range(start, start + len(made)), seed)
            yield made


@dataclass(frozen=True)
class _Half:
    """One hemisphere of a map, ready for surrogates.

    Attributes
    ----------
    own : int (place,)
        Places with a value.
    index, distance : (all places, k)
        Neighbours among all places of the hemisphere.
    there : int (place,)
        Where `own` stand among these.
    pairs : int (pair, 2)
        Among `own`.
    weights : float32 (bin, pair)
    """

    null: Variogram
    hemi: str
    values: np.ndarray
    own: np.ndarray
    index: np.ndarray
    distance: np.ndarray
    there: np.ndarray
    pairs: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(
        cls, null: Variogram, values: np.ndarray, places: Places, hemi: str, seed: int
    ) -> _Half | None:
        everywhere, index, distance = places.near(hemi, null.knn)
        there = np.flatnonzero(np.isfinite(values[everywhere]))
        if len(there) == 0:
            return None
        own = values[everywhere[there]]
        if len(there) < LEAST or np.ptp(own) == 0:
            raise ParameterError(
                f"variogram surrogates need {LEAST} places and varying values in a hemisphere; "
                f"{hemi} has {len(there)}, from {own.min():g} to {own.max():g}: leave it out (NaN)"
            )
        rng = generator(seed, "variogram pairs", hemi)
        pairs, apart = _pairs(null, index, distance, there, rng)
        weights = _bins(apart, null.bins, dense=index.shape[1] == len(everywhere))
        return cls(
            null, hemi, own, everywhere[there], index, distance, there, *_kept(pairs, weights)
        )

    def variogram(self, maps: np.ndarray) -> np.ndarray:
        """Return half the mean squared difference at each distance, (bin, map)."""
        apart = maps[self.pairs[:, 0]] - maps[self.pairs[:, 1]]
        return self.weights @ (apart * apart / 2)

    def surrogates(self, which: range, seed: int) -> np.ndarray:
        """Return the surrogates of these numbers, (map, place)."""
        drawn = [generator(seed, "variogram", self.hemi, k) for k in which]
        mean = self.values.mean()
        shuffled = np.stack([rng.permutation(self.values - mean) for rng in drawn], axis=1)
        noise = np.stack([rng.standard_normal(len(self.values)) for rng in drawn], axis=1)
        made = self._fitted(shuffled.astype(np.float32), noise.astype(np.float32))
        if self.null.remap:
            ranks = made.argsort(0).argsort(0)
            return np.sort(self.values)[ranks].T
        return made.T + mean

    def _fitted(self, shuffled: np.ndarray, noise: np.ndarray) -> np.ndarray:
        target = self.variogram((self.values - self.values.mean())[:, None].astype(np.float32))
        least = np.full(shuffled.shape[1], np.inf)
        best = np.empty_like(shuffled)
        for delta in self.null.deltas:
            smooth = self._smoothed(shuffled, delta)
            slope, offset, error = _regressed(target[:, 0], self.variogram(smooth))
            better = error < least
            mixed = np.sqrt(np.abs(slope)) * smooth + np.sqrt(np.abs(offset)) * noise
            best[:, better], least[better] = mixed[:, better], error[better]
        return best

    def _smoothed(self, maps: np.ndarray, delta: float) -> np.ndarray:
        """Average over neighbours, weighed by exp(-distance / that of the farthest)."""
        from scipy.sparse import csr_array

        k = max(2, round(delta * self.index.shape[1]))
        rows, total = self.distance[self.there, :k], len(self.distance)
        weights = np.exp(-rows / np.maximum(rows[:, -1:], 1e-6))
        starts = np.arange(len(rows) + 1, dtype=np.int32) * k
        shape = (len(rows), total)
        kernel = csr_array((weights.ravel(), self.index[self.there, :k].ravel(), starts), shape)
        filled, present = np.zeros((total, maps.shape[1]), np.float32), np.zeros(total, np.float32)
        filled[self.there], present[self.there] = maps, 1
        return (kernel @ filled) / (kernel @ present)[:, None]


def _pairs(
    null: Variogram,
    index: np.ndarray,
    distance: np.ndarray,
    there: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of places with values, (pair, 2), and how far they are apart."""
    position = np.full(len(index), -1)
    position[there] = np.arange(len(there))
    drawn = rng.choice(there, min(null.samples, len(there)), replace=False)
    count = min(null.per_sample, index.shape[1] - 1)
    columns = np.stack([rng.choice(index.shape[1] - 1, count, replace=False) + 1 for _ in drawn])
    other = position[np.take_along_axis(index[drawn], columns, 1)]
    pairs = np.stack([np.repeat(position[drawn], count), other.ravel()], axis=1)
    apart = np.take_along_axis(distance[drawn], columns, 1).ravel()
    kept = other.ravel() >= 0
    return pairs[kept], apart[kept]


def _bins(apart: np.ndarray, bins: int, *, dense: bool) -> np.ndarray:
    """Return Gaussian weights of pairs around each distance, (bin, pair), rows sum to one.

    The distances reach up to the 70th percentile of those between neighbours, or up to the 25th
    of all where every place knows every other.
    """
    reach = np.linspace(apart.min(), np.percentile(apart, 25 if dense else 70), bins)
    width = 3 * max(float(reach[1] - reach[0]), 1e-6)
    weights = np.exp(-((2.68 * (apart - reach[:, None]) / width) ** 2) / 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _kept(pairs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop pairs that count nowhere."""
    used = weights.max(0) > 1e-9
    return pairs[used], np.ascontiguousarray(weights[:, used])


def _regressed(target: np.ndarray, found: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return slope, offset and squared error of the target on each column, (map,)."""
    found, target = found.astype(np.float64), target.astype(np.float64)
    centred, goal = found - found.mean(0), target - target.mean()
    slope = (centred * goal[:, None]).sum(0) / np.maximum((centred**2).sum(0), 1e-300)
    offset = target.mean() - slope * found.mean(0)
    return slope, offset, ((goal[:, None] - slope * centred) ** 2).sum(0)
