"""Tests of maps: two of them against each other, and regions against elsewhere, under any null."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from insilico.errors import ParameterError, not_one_of
from insilico.statistics.nulls import Null, named
from insilico.statistics.places import Places

Method = Literal["pearson", "spearman"]
LEAST_OVERLAP = 0.5
"""Share of the places that surrogates must keep, on average."""


@dataclass(frozen=True)
class Agreement:
    """Correlation of two maps and its nulls.

    Attributes
    ----------
    r : float
    n : int
        Places where both have a value.
    null : (direction, surrogate)
        Surrogates of the first map with the second, then of the second with the first.
    n_null : int (direction, surrogate)
        Places behind each: fewer than `n` where the medial wall was turned into cortex.
    """

    r: float
    n: int
    null: np.ndarray
    n_null: np.ndarray

    @property
    def p_each(self) -> np.ndarray:
        """Two-sided p of each direction, (1 + #{|null| >= |r|}) / (1 + surrogates)."""
        beyond = (np.abs(self.null) >= abs(self.r) * (1 - 1e-12)).sum(1)
        return (1 + beyond) / (1 + self.null.shape[1])

    @property
    def p(self) -> float:
        """The larger of the two: surrogates of either map must not do as well."""
        return float(self.p_each.max())


def agreement(
    first: np.ndarray,
    second: np.ndarray,
    places: Places,
    null: Null | str,
    n: int = 1000,
    seed: int = 0,
    method: Method = "pearson",
) -> Agreement:
    """Correlate two maps, and surrogates of each with the other.

    Parameters
    ----------
    first, second : (place,)
        Places where either is NaN are left out; the medial wall always is.
    places : Places
    null : Null or str
        Or the name of one, as `insilico.statistics.nulls.named` knows it.
    n : int
        Surrogates of each map.
    seed : int
    method : {"pearson", "spearman"}
        For Spearman's correlation the maps are ranked before surrogates are made of them.

    Raises
    ------
    ParameterError
        Maps that cannot be correlated, or of which surrogates keep too few places.
    """
    if method not in ("pearson", "spearman"):
        raise ParameterError(not_one_of("method", method, ["pearson", "spearman"]))
    null = named(null) if isinstance(null, str) else null
    null.require(places)
    x, y = _both(first, second, places, method)
    found = [_nulls(a, b, places, null, n, seed) for a, b in ((x, y), (y, x))]
    r, count = correlations(x[None], y)
    drawn, kept = (np.stack(part) for part in zip(*found, strict=True))
    result = Agreement(float(r[0]), int(count[0]), drawn, kept)
    share = result.n_null.mean() / result.n
    if share < LEAST_OVERLAP or np.isnan(result.null).any():
        raise ParameterError(
            f"surrogates keep {share:.0%} of the {result.n} places of these maps on average: they "
            "cover too little of a hemisphere to be spun; use null: variogram"
        )
    return result


def correlations(maps: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Pearson's r of each map with `y` over the places where both are finite, and their n.

    Parameters
    ----------
    maps : (map, place)
    y : (place,)
    """
    use = np.isfinite(y)
    y, maps = y[use] - y[use].mean(), maps[:, use]
    there = np.isfinite(maps)
    if there.all():
        x, n = maps - maps.mean(1, keepdims=True), np.full(len(maps), len(y))
        return _ratio(x @ y, (x * x).sum(1), float(y @ y)), n
    n, inside = there.sum(1), there.astype(np.float64)
    count = np.maximum(n, 1)
    mean = np.where(there, maps, 0.0).sum(1) / count
    x = np.where(there, maps - mean[:, None], 0.0)
    total, total_y = x.sum(1), inside @ y
    product = x @ y - total * total_y / count
    spread = (x * x).sum(1) - total**2 / count
    return _ratio(product, spread, inside @ (y * y) - total_y**2 / count), n


def region_contrast(values: np.ndarray, labels: np.ndarray, regions: int) -> np.ndarray:
    """Return each region's mean minus the mean of all other regions, (region,).

    Parameters
    ----------
    values : (place,); NaN is left out
    labels : int (place,); 1 to `regions`, 0 is left out
    """
    use = np.isfinite(values) & (labels > 0)
    total = np.bincount(labels[use], values[use], regions + 1)[1:]
    count = np.bincount(labels[use], minlength=regions + 1)[1:].astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / count - (total.sum() - total) / (count.sum() - count)


def against_elsewhere(
    values: np.ndarray,
    labels: np.ndarray,
    regions: int,
    places: Places,
    null: Null,
    n: int = 1000,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Test whether a region's values differ from those elsewhere, two-sided.

    Parameters
    ----------
    values, labels, regions
        As for `region_contrast`.
    places, null, n, seed
        As for `agreement`: surrogates of the values stand against the labels.

    Returns
    -------
    contrast, p, p_corrected : (region,)
        Corrected by the maximum over regions of the contrast in units of its spread, over the
        surrogates and the map itself. NaN for a region without values.
    """
    values = places.checked(values)
    observed = region_contrast(values, labels, regions)
    made = null.blocks(values, places, n, seed)
    drawn = np.array([region_contrast(row, labels, regions) for block in made for row in block])
    p = (1 + (np.abs(drawn) >= np.abs(observed)).sum(0)) / (1 + n)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.nanstd(np.vstack([observed, drawn]), axis=0)
        largest = np.nanmax(np.abs(drawn) / scale, axis=1)
        corrected = (1 + (largest[:, None] >= np.abs(observed) / scale).sum(0)) / (1 + n)
    known = np.isfinite(observed)
    return observed, np.where(known, p, np.nan), np.where(known, corrected, np.nan)


def _both(
    first: np.ndarray, second: np.ndarray, places: Places, method: Method
) -> tuple[np.ndarray, np.ndarray]:
    """Return both maps where both have values, NaN elsewhere; as ranks for Spearman."""
    x, y = places.checked(first, "the first map"), places.checked(second, "the second map")
    both = np.isfinite(x) & np.isfinite(y)
    x, y = (np.where(both, one, np.nan) for one in (x, y))
    for name, one in (("first", x), ("second", y)):
        places.checked(one, f"the {name} map, where both have values,")
        if method == "spearman":
            one[both] = rankdata(one[both])
    return x, y


def _nulls(
    of: np.ndarray, against: np.ndarray, places: Places, null: Null, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    parts = [correlations(block, against) for block in null.blocks(of, places, n, seed)]
    r, count = (np.concatenate(part) for part in zip(*parts, strict=True))
    return r, count


def _ratio(product: np.ndarray, spread: np.ndarray, other: np.ndarray | float) -> np.ndarray:
    both = np.sqrt(np.maximum(spread * other, 0))
    return np.divide(product, both, out=np.full_like(both, np.nan), where=both > 0)
