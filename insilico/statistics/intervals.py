"""Bootstrap intervals of means over stimuli, for many contrasts at once.

All statistics here are means, so that a resample is a row of weights and all of them a matrix
product. Stimuli are drawn with all that belongs to them (draws, regions, metrics).
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

RESAMPLES = 9999
KINDS = ("bca", "studentised", "two_way")


def told(kind: str, level: float = 0.95) -> str:
    """Name an interval, for the attributes of an estimate."""
    name = {"bca": "BCa", "studentised": "bootstrap-t", "two_way": "two-way bootstrap"}[kind]
    of = "stimuli and of draws" if kind == "two_way" else "stimuli"
    return f"{level:.0%} {name}, {RESAMPLES} resamples of {of}".replace("%", " %")


def weights(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return the weight of each of n items in each resample, (resample, item)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n


def bca(
    values: np.ndarray, rng: np.random.Generator, level: float = 0.95, resamples: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bias-corrected and accelerated interval of means.

    Parameters
    ----------
    values : (stimulus, contrast)

    Returns
    -------
    low, high : (contrast,)
        A point where all values agree.

    Notes
    -----
    Efron (1987). The jackknife's acceleration of a mean is ``sum(c³) / 6 sum(c²)^1.5``, c centred.
    At n = 20 it covers less than it says: docs/statistics.md.
    """
    centred = values - values.mean(0)
    drawn = np.sort(weights(len(values), resamples, rng) @ centred, axis=0)
    tiny = 1e-12 * (np.abs(values).max(0) + 1e-300)
    below, equal = (drawn < -tiny).mean(0), (np.abs(drawn) <= tiny).mean(0)
    bias = ndtri(np.clip(below + equal / 2, 0.5 / resamples, 1 - 0.5 / resamples))
    square = (centred**2).sum(0) ** 1.5
    cube = (centred**3).sum(0)
    skew = np.divide(cube, 6 * square, out=np.zeros_like(cube), where=square > 1e-300)
    ends = []
    for z in (ndtri(0.5 - level / 2), ndtri(0.5 + level / 2)):
        share = ndtr(bias + (bias + z) / (1 - skew * (bias + z)))
        ends.append(values.mean(0) + _quantile(drawn, share))
    return _points(values, *ends)


def studentised(
    values: np.ndarray, rng: np.random.Generator, level: float = 0.95, resamples: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bootstrap-t interval of means.

    Parameters
    ----------
    values : (stimulus, contrast)

    Returns
    -------
    low, high : (contrast,)
        A point where all values agree; NaN where so many resamples hold one value alone that no
        interval can be had (few stimuli, or values that are nearly all tied).

    Notes
    -----
    Each resample's mean is divided by that resample's own standard error; the quantiles of the
    ratio take the place of Student's (Efron and Tibshirani, 1993, chapter 12).
    """
    n, centred = len(values), values - values.mean(0)
    drawn = weights(n, resamples, rng)
    mean = drawn @ centred
    variance = (drawn @ centred**2 - mean**2) * n / (n - 1)
    spread = centred.std(0, ddof=1)
    flat = variance <= 1e-12 * spread**2
    error = np.sqrt(np.where(flat, 1.0, variance) / n)
    ratio = np.where(flat, np.where(mean == 0, 0.0, np.copysign(np.inf, mean)), mean / error)
    ratio = np.sort(ratio, axis=0)
    with np.errstate(invalid="ignore"):
        low, high = (_quantile(ratio, np.full(values.shape[1], q)) for q in _tails(level)[::-1])
        ends = [values.mean(0) - q * spread / np.sqrt(n) for q in (low, high)]
    bounded = np.isfinite(ends[0]) & np.isfinite(ends[1])
    return _points(values, *(np.where(bounded, end, np.nan) for end in ends))


def two_way(
    values: np.ndarray, rng: np.random.Generator, level: float = 0.95, resamples: int = RESAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of means over stimuli and draws (or subjects), both resampled.

    Parameters
    ----------
    values : (stimulus, draw, contrast)

    Returns
    -------
    low, high : (contrast,)

    Notes
    -----
    The pigeonhole bootstrap: stimuli and draws are resampled each on its own, and a cell counts as
    often as its stimulus times its draw. Percentiles. Conservative: what varies within cells is
    counted up to three times (Owen, 2007).
    """
    stimuli, draws = (weights(size, resamples, rng) for size in values.shape[:2])
    drawn = sum(draws[:, d, None] * (stimuli @ values[:, d]) for d in range(values.shape[1]))
    low, high = np.quantile(drawn, _tails(level), axis=0)
    return _points(values.reshape(-1, values.shape[-1]), low, high)


def _tails(level: float) -> tuple[float, float]:
    return 0.5 - level / 2, 0.5 + level / 2


def _quantile(ordered: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the quantile `share` (column,) of each sorted column, interpolated."""
    place = share * (len(ordered) - 1)
    low = np.floor(place).astype(int)
    high, columns = np.minimum(low + 1, len(ordered) - 1), np.arange(ordered.shape[1])
    below, above = ordered[low, columns], ordered[high, columns]
    return np.where(below == above, below, below + (place - low) * (above - below))


def _points(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple:
    """Return the ends, both the value itself where all values agree."""
    constant = np.ptp(values, axis=0) < 1e-15
    return tuple(np.where(constant, values[0], end) for end in (low, high))
