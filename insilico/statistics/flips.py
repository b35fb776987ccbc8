"""Exact tests of paired differences: signs of whole stimuli are flipped, all together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 2**14
ZERO = 1e-15
"""Differences up to here are rounding."""


def enumerated(stimuli: int, flips: int) -> bool:
    """Return whether all 2^stimuli sign flips are no more than asked for."""
    return 2 ** int(stimuli) <= flips  # numpy's 2 ** 64 is 0


def told(stimuli: int, flips: int) -> str:
    """Say which test this is, for the attributes of an estimate."""
    many = "all" if enumerated(stimuli, flips) else str(flips)
    return f"{many} sign flips of stimuli, two-sided"


def signs(n: int, flips: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield sign flips in blocks, (flip, n), identity first.

    All of them if they are no more than asked for: the half in which the first sign is kept, since
    the other half gives the same abs(t). Else `flips` random ones and the identity.
    """
    if enumerated(n, flips):
        for start in range(0, 2 ** (n - 1), BLOCK):
            numbers = np.arange(start, min(start + BLOCK, 2 ** (n - 1)))
            yield 1.0 - 2.0 * ((numbers[:, None] >> np.arange(n - 1, -1, -1)) & 1)
        return
    yield np.ones((1, n))
    for start in range(0, flips, BLOCK):
        yield rng.integers(0, 2, (min(BLOCK, flips - start), n)) * 2.0 - 1.0


def sign_flip_test(
    differences: np.ndarray, flips: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Test mean differences against zero, two-sided, by flipping signs of whole stimuli.

    Parameters
    ----------
    differences : (stimulus, contrast)

    Returns
    -------
    p, p_corrected : (contrast,)
        The share of flips, identity included, whose abs(t) is as large: ``(1 + k) / (1 + B)``.
        Corrected by the maximum of abs(t) over contrasts. The smallest p that can be had is
        1 / 2^(n-1) if all flips are enumerated, else 1 / (flips + 1).

    Notes
    -----
    Exact where differences are symmetric about zero under the null (Fisher, 1935).
    """
    square = (differences**2).mean(0)
    observed, total = None, 0
    alone, together = (np.zeros(differences.shape[1]) for _ in range(2))
    for block in signs(len(differences), flips, rng):
        null = _t_after(block, differences, square)
        if observed is None:
            observed = null[0] * (1 - 1e-9)  # equal up to rounding counts as equal
        alone += (null >= observed).sum(0)
        together += (null.max(1)[:, None] >= observed).sum(0)
        total += len(block)
    return alone / total, together / total


def _t_after(flips: np.ndarray, differences: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Return abs(t) after each flip, (flip, contrast); squares do not change with the signs."""
    n = len(differences)
    mean = flips @ differences / n
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.abs(mean) / np.sqrt(np.maximum(square - mean**2, 0) / (n - 1))
    return np.where(np.abs(mean) < ZERO, 0.0, t)
