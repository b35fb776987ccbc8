"""Plain numpy: ridge in dual form with exact leave-one-out, and a fast orthogonal projection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
CONSTANT = 1e-6
CHUNK = 4096


def mean_and_scale(values: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (ddof 0) of each column; 0 where it is constant.

    A column counts as constant if its deviation is below 1e-6 of its largest magnitude.

    Parameters
    ----------
    values : float32, (n, columns)
    """
    mean = values.mean(0, dtype=np.float64)
    scale = np.empty_like(mean)
    for start in range(0, len(mean), CHUNK):
        part = slice(start, start + CHUNK)
        scale[part] = np.sqrt(((values[:, part] - mean[part]) ** 2).mean(0))
    scale[scale <= CONSTANT * np.abs(values).max(0)] = 0
    return mean.astype(np.float32), scale.astype(np.float32)


def standardized(values: Floats, mean: Floats, scale: Floats) -> Floats:
    """Subtract the mean and divide by the scale; a column of scale 0 becomes 0.

    Parameters
    ----------
    values : float32, (..., columns)
    mean, scale : float32, (columns,)
    """
    factor = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    result = np.subtract(values, mean, dtype=np.float32)
    result *= factor
    return result


class DualRidge:
    """Ridge for many targets and any penalty, from one eigendecomposition of the Gram matrix.

    Minimises ``||y - X w||^2 + alpha ||w||^2`` with the intercept taken out by centring
    (scikit-learn's convention: alpha grows with n).

    Parameters
    ----------
    source : float32, (n, p)
        Centred columns.
    target : float32, (n, t)
        Centred columns.
    """

    def __init__(self, source: Floats, target: Floats) -> None:
        gram = (source @ source.T).astype(np.float64)
        # The constant vector gets the largest value, or it would mix with other null vectors.
        values, vectors = np.linalg.eigh(gram + 2 * np.trace(gram) / len(gram))
        self.values = np.maximum(values, 0)
        self.vectors = vectors
        self.rotated = vectors.T.astype(np.float32) @ target

    def coefficients(self, alpha: float) -> Floats:
        """Return dual coefficients ``(K + alpha I)^-1 Y`` of one penalty, (n, t)."""
        vectors = (self.vectors * self._shrinkage(alpha)).astype(np.float32)
        return vectors @ self.rotated

    def _shrinkage(self, alpha: float) -> NDArray[np.float64]:
        shrinkage = 1 / (self.values + alpha)
        shrinkage[-1] = 0  # the intercept is free
        return shrinkage

    def leave_one_out(self, alpha: float) -> Floats:
        """Return the mean squared error of exact leave-one-out for each target, (t,)."""
        shrinkage = self._shrinkage(alpha)
        diagonal = (self.vectors**2 @ shrinkage).astype(np.float32)
        errors = self.coefficients(alpha)
        errors /= diagonal[:, None]
        return np.einsum("nt,nt->t", errors, errors) / len(errors)

    def best(self, alphas: Sequence[float]) -> tuple[Floats, Floats]:
        """Choose a penalty for each target by exact leave-one-out.

        Returns
        -------
        coefficients : float32, (n, t)
        alpha : float32, (t,)
        """
        penalties = np.asarray(alphas, np.float64)
        if len(penalties) == 1:
            n_targets = self.rotated.shape[1]
            return self.coefficients(penalties[0]), np.full(n_targets, penalties[0], np.float32)
        errors = np.stack([self.leave_one_out(alpha) for alpha in penalties])
        chosen = errors.argmin(0)
        shrinkage = np.stack([self._shrinkage(alpha) for alpha in penalties]).astype(np.float32)
        scaled = self.rotated * shrinkage[chosen].T
        return self.vectors.astype(np.float32) @ scaled, penalties[chosen].astype(np.float32)


def principal_axes(values: Floats, share: float) -> tuple[Floats, Floats]:
    """Return the axes that hold a share of the variance of centred rows.

    Parameters
    ----------
    values : float32, (n, p)
        Centred columns.
    share : float
        Share of the variance, 0 to 1: the fewest axes that reach it are kept.

    Returns
    -------
    axes : float32, (k, p)
        Orthonormal rows, largest variance first.
    variance : float32, (k,)
        Share of the variance of each.
    """
    gram = (values @ values.T).astype(np.float64)
    squares, vectors = np.linalg.eigh(gram)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    squares = np.maximum(squares, 0)
    held = squares / squares.sum()
    k = int(np.searchsorted(np.cumsum(held), share - 1e-9)) + 1
    k = min(k, int((held > 1e-7).sum()))
    axes = (vectors[:, :k] / np.sqrt(squares[:k])).T.astype(np.float32) @ values
    return axes, held[:k].astype(np.float32)


def random_projection(values: Floats, n_out: int, seed: int) -> Floats:
    """Project onto `n_out` random orthonormal directions that depend on sizes and seed alone.

    The rotation is two rounds of random signs and an orthonormal cosine transform, of which
    `n_out` random rows are kept: exactly orthogonal, and without a matrix of p x p numbers.

    Parameters
    ----------
    values : float32, (..., p)
    n_out : int
        At most p.

    Returns
    -------
    float32, (..., n_out)
    """
    from scipy.fft import dct

    p = values.shape[-1]
    numbers = np.random.default_rng([seed, p])
    signs = numbers.choice(np.array([-1, 1], np.float32), (2, p))
    kept = numbers.permutation(p)[:n_out]
    turned = dct(values * signs[0], norm="ortho", axis=-1)
    return np.asarray(dct(turned * signs[1], norm="ortho", axis=-1)[..., kept], np.float32)
