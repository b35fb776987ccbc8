"""False discovery rate over maps and tables that hold NaN."""

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
