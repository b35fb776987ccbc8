"""What stands in the place of a region: numbers that know nothing of the stimulus, or its rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insilico.errors import ParameterError

Floats = NDArray[np.float32]
PENALTIES = np.logspace(-6, 2, 9)
"""Tried for the conditional mean, in units of the mean eigenvalue of the Gram matrix."""


def mean_of(rows: Floats) -> Floats:
    """Return the mean over rows, float32 (place,)."""
    return rows.mean(0, dtype=np.float64).astype(np.float32)


def noise(rows: Floats, draws: Floats) -> Floats:
    """Return Gaussian rows with the mean and covariance of given ones.

    Parameters
    ----------
    rows : float32, (n, k)
    draws : float32, (..., n)
        Standard normal. The covariance is never formed: its rank is n - 1 at most, and
        ``draws @ centred / sqrt(n - 1)`` has it exactly.
    """
    if len(rows) < 2:
        raise ParameterError(f"fill 'noise' needs 2 training stimuli or more; there is {len(rows)}")
    mean = mean_of(rows)
    return mean + draws @ ((rows - mean) / np.sqrt(len(rows) - 1)).astype(np.float32)


def require_another(n: int) -> None:
    """Raise unless there is another stimulus to take a response from."""
    if n < 2:
        raise ParameterError(
            f"another stimulus to take a response from is needed; {n} is shown: show 2 or more"
        )


def derangement(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a permutation that leaves nothing in its place, all such alike likely."""
    require_another(n)
    while True:
        order = rng.permutation(n)
        if (order != np.arange(n)).all():
            return order


def conditional(rest: Floats, region: Floats, known: Floats, penalty: float | None) -> Floats:
    """Return a region's mean given all else, learned by ridge from training responses.

    Parameters
    ----------
    rest, region : float32, (n, m), (n, k)
        Training responses outside and inside of the region.
    known : float32, (..., m)
        Responses outside of it whose inside is wanted.
    penalty : float, optional
        In units of the mean eigenvalue of the Gram matrix; by default the one of `PENALTIES` with
        the least exact leave-one-out error over the region.

    Returns
    -------
    float32, (..., k)
    """
    if len(rest) < 3:
        raise ParameterError(
            f"fill 'conditional' needs 3 training stimuli or more; there are {len(rest)}"
        )
    mean, centre = mean_of(rest), mean_of(region)
    source, wanted = rest - mean, (region - centre).astype(np.float64)
    gram = (source @ source.T).astype(np.float64)
    shift = 2 * gram.trace() / len(gram)  # gives the constant vector, which is free, the top value
    if not shift:
        return np.broadcast_to(centre, (*known.shape[:-1], len(centre))).copy()
    values, vectors = np.linalg.eigh(gram + shift)
    values, vectors = np.maximum(values[:-1], 0), vectors[:, :-1]
    rotated, unit = vectors.T @ wanted, float(values.mean())
    shares = PENALTIES if penalty is None else np.array([penalty])
    errors = [_left_out(vectors, values, rotated, share * unit) for share in shares]
    alpha = shares[int(np.argmin(errors))] * unit
    dual = vectors @ (rotated / (values + alpha)[:, None])
    made = ((known - mean) @ source.T) @ dual.astype(np.float32)
    return made + centre


def _left_out(
    vectors: NDArray[np.float64], values: NDArray[np.float64], rotated: NDArray, alpha: float
) -> float:
    """Return the mean squared leave-one-out error at a penalty."""
    weight = 1 / (values + alpha)
    residual = vectors @ (weight[:, None] * rotated)
    diagonal = (vectors**2) @ weight
    return float(((residual / diagonal[:, None]) ** 2).mean())
