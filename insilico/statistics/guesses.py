"""Answers among several classes: credit, the test against shuffled labels, an exact interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from insilico.statistics.permutations import above_null

Floats = NDArray[np.float64]


def hits(similarity: Floats, own: NDArray[np.int64], k: int) -> Floats:
    """Return each item's credit for its own class among the k most similar, (item,).

    Classes that tie at the edge share the places left there.

    Parameters
    ----------
    similarity : (item, class)
    own : int (item,)
    k : int
    """
    mine = similarity[np.arange(len(own)), own][:, None]
    above, ties = (similarity > mine).sum(1), (similarity == mine).sum(1)
    return np.clip((k - above) / ties, 0, 1)


def shuffled_test(
    similar: Sequence[Floats],
    own: NDArray[np.int64],
    top: Sequence[int],
    n: int,
    rng: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """Test shares named rightly against shuffled labels, one-sided.

    Parameters
    ----------
    similar : list of (item, class)
        One for each reading.
    own : int (item,)
        Classes that were shown.
    top : list of int
    n : int
        Permutations.

    Returns
    -------
    p, p_corrected, guessed : (reading, k)
        Corrected by the maximum over readings; `guessed` is the mean after shuffling.
    """
    each = np.arange(similar[0].shape[1])
    credits = np.stack(  # of every class, had it been the one shown: (reading, k, item, class)
        [
            [np.stack([hits(s, np.full(len(s), c), k) for c in each], 1) for k in top]
            for s in similar
        ]
    )
    items, right = np.arange(len(own)), credits[:, :, np.arange(len(own)), own].mean(2)
    null = np.stack([credits[:, :, items, rng.permutation(own)].mean(2) for _ in range(n)])
    tested = [
        above_null(np.round(right[:, k], 12), np.round(null[:, :, k], 12)) for k in range(len(top))
    ]
    p, corrected = (np.stack(part, 1) for part in zip(*tested, strict=True))
    return p, np.maximum(p, corrected), null.mean(0)


def exact_interval(count: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return Clopper and Pearson's interval of a share of n independent items (1934)."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = beta.ppf(tail, count, n - count + 1) if count > 0 else 0.0
    high = beta.ppf(1 - tail, count + 1, n - count) if count < n else 1.0
    return float(low), float(high)
