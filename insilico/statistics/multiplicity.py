"""False discovery rate, and Holm's method, over maps and tables that hold NaN."""

from __future__ import annotations

from typing import Literal

import numpy as np

from insilico.errors import ParameterError, not_one_of

METHODS = ("bh", "by")


def adjusted(p: np.ndarray, method: Literal["bh", "by"] = "bh") -> np.ndarray:
    """Return p values adjusted for the false discovery rate.

    Parameters
    ----------
    p : array
        NaN is no test: it stays NaN and is not counted (SciPy refuses it, and statsmodels answers
        NaN for all).
    method : {"bh", "by"}
        Benjamini & Hochberg (1995), or Benjamini & Yekutieli (2001) for any dependence.

    Notes
    -----
    Of m permutation p the least is m / (permutations + 1) / (how many are that small): 20,484
    vertices and 1,000 permutations need 410 vertices at the floor to come below 0.05. The maximum
    statistic has no such floor.
    """
    from scipy.stats import false_discovery_control

    if method not in METHODS:
        raise ParameterError(not_one_of("correction", method, METHODS))
    p = np.asarray(p, np.float64)
    known = ~np.isnan(p)
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise ParameterError(f"p from {p[known].min():g} to {p[known].max():g}; 0 to 1 are allowed")
    found = np.full(p.shape, np.nan)
    if known.any():
        found[known] = false_discovery_control(p[known], method=method)
    return found


def holm(p: np.ndarray) -> np.ndarray:
    """Return p (contrast, ...) corrected over contrasts by Holm's method (1979); NaN stays out."""
    order = np.argsort(p, axis=0)  # NaN comes last
    ranks = np.arange(len(p)).reshape(-1, *[1] * (p.ndim - 1))
    left = np.maximum(np.isfinite(p).sum(0) - ranks, 1)
    ranked = np.maximum.accumulate(np.take_along_axis(p, order, 0) * left, axis=0)
    found = np.empty_like(ranked)
    np.put_along_axis(found, order, np.minimum(ranked, 1), 0)
    return found
