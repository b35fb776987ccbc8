"""Intervals from estimates without one group of stimuli after the other.

For reliabilities: a bootstrap shows stimuli twice, which biases variances over stimuli.
"""

from __future__ import annotations

import numpy as np


def groups(items: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return the group of each item, int (item,): single items, or `most` random groups."""
    count = min(items, most)
    return rng.permutation(np.arange(items) % count)


def interval(estimate: np.ndarray, without: np.ndarray, level: float = 0.95) -> tuple:
    """Return the ends of the interval ``estimate ± t * standard error``.

    Parameters
    ----------
    estimate : (...)
    without : (group, ...)
        The same without each group.
    level : float

    Notes
    -----
    Delete-a-group jackknife: the squared error is ``(G - 1) / G * sum((without - mean)²)``, t has
    G - 1 degrees of freedom (Efron and Tibshirani, 1993, chapter 11).
    """
    from scipy.stats import t

    count = len(without)
    error = np.sqrt((count - 1) / count * ((without - without.mean(0)) ** 2).sum(0))
    reach = t.ppf(0.5 + level / 2, count - 1) * error
    return estimate - reach, estimate + reach
