"""Sizes of paired effects, and whether they are small enough to be called none."""

from __future__ import annotations

import numpy as np
from scipy import special


def d_z(differences: np.ndarray) -> np.ndarray:
    """Return mean over standard deviation of differences (first axis); 0 where all are zero.

    Infinite where the differences are constant but not zero.
    """
    mean, spread = differences.mean(0), differences.std(0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.abs(mean) < 1e-15, 0.0, mean / np.where(_vary(differences), spread, 0))


def _vary(differences: np.ndarray) -> np.ndarray:
    """Return whether differences are more than rounding apart."""
    return np.ptp(differences, 0) > 1e-9 * np.abs(differences).max(0)


def d_z_interval(d: np.ndarray, n: int, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of d_z for normal differences; NaN where d_z is infinite.

    Notes
    -----
    ``d_z * sqrt(n)`` is a noncentral t with n - 1 degrees of freedom: the ends are the
    noncentralities that put it at the tails (Steiger and Fouladi, 1997).
    """
    t = np.asarray(d, np.float64) * np.sqrt(n)
    inside = np.where(np.isfinite(t), t, 0.0)
    low, high = (
        special.nctdtrinc(n - 1, share, inside) / np.sqrt(n)
        for share in (0.5 + level / 2, 0.5 - level / 2)
    )
    return tuple(np.where(np.isfinite(t), end, np.nan) for end in (low, high))  # type: ignore[return-value]


def equivalence(
    differences: np.ndarray, bound: np.ndarray, alpha: float = 0.05
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Test whether mean differences lie within ±bound: two one-sided t tests.

    Parameters
    ----------
    differences : (stimulus, ...)
    bound : (...)
        Set before the data were seen, in the units of the score.

    Returns
    -------
    p, low, high : (...)
        The larger of both p; the interval of level 1 - 2 alpha, which lies within the bound
        exactly where p < alpha. Constant differences give p 0 within the bound and 1 outside.

    Notes
    -----
    Schuirmann (1987).
    """
    n, mean = len(differences), differences.mean(0)
    error = np.where(_vary(differences), differences.std(0, ddof=1), 0) / np.sqrt(n)
    with np.errstate(invalid="ignore", divide="ignore"):
        nearest = (bound - np.abs(mean)) / error
    p = special.stdtr(n - 1, -np.where(error > 0, nearest, 0.0))
    p = np.where(error > 0, p, (np.abs(mean) >= bound).astype(float))
    reach = special.stdtrit(n - 1, 1 - alpha) * error
    return np.where(np.isnan(bound), np.nan, p), mean - reach, mean + reach


def verdict(p_effect: np.ndarray, p_equivalent: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    """Return in words what a test of an effect and one of equivalence say together."""
    effect, none = p_effect < alpha, p_equivalent < alpha
    words = np.where(effect, "different", "undecided").astype("U32")
    words[none & ~effect] = "equivalent"
    words[none & effect] = "different, within the bound"
    words[np.isnan(p_equivalent)] = "no bound"
    return words
