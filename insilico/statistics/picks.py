"""A test of one column among several: any other might have been picked, block by block."""

from __future__ import annotations

import itertools

import numpy as np


def pick_test(values: np.ndarray, own: int, n: int, rng: np.random.Generator) -> float:
    """Return the one-sided p of one column's mean against picks of any column in each row.

    Parameters
    ----------
    values : (block, column)
        Exchangeable within a block where the null holds.
    own : int
        The column asked about.
    n : int
        Random picks; all are gone through if there are no more.

    Returns
    -------
    float
        The share of picks, the own one included, whose sum is as large: ``(1 + k) / (1 + n)``.
    """
    blocks, columns = values.shape
    observed = values[:, own].sum() - 1e-12 * np.abs(values).sum()
    if columns**blocks <= n + 1:
        sums = [
            sum(row[k] for row, k in zip(values, picked, strict=True))
            for picked in itertools.product(range(columns), repeat=blocks)
        ]
        return float((np.array(sums) >= observed).mean())
    picked = rng.integers(0, columns, (n, blocks))
    sums = values[np.arange(blocks), picked].sum(1)
    return float((1 + (sums >= observed).sum()) / (1 + n))
