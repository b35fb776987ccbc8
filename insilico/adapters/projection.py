"""Principal axes, and orthonormal random projections: a dense one, and one without a matrix."""

from __future__ import annotations

import numpy as np

from insilico.adapters.scaling import Floats


def principal_axes(values: Floats, share: float) -> tuple[Floats, Floats]:
    """Return the axes that hold a share of the sum of squares of the rows.

    Parameters
    ----------
    values : float32, (n, p)
        With centred columns, the sum of squares is the variance.
    share : float
        Share, 0 to 1: the fewest axes that reach it are kept.

    Returns
    -------
    axes : float32, (k, p)
        Orthonormal rows, largest share first.
    held : float32, (k,)
        Share of each.
    """
    gram = (values @ values.T).astype(np.float64)
    squares, vectors = np.linalg.eigh(gram)
    squares, vectors = squares[::-1], vectors[:, ::-1]
    squares = np.maximum(squares, 0)
    held = squares / max(squares.sum(), np.finfo(float).tiny)
    k = int(np.searchsorted(np.cumsum(held), share - 1e-9)) + 1
    k = min(k, int((held > 1e-7).sum()))
    axes = (vectors[:, :k] / np.sqrt(squares[:k])).T.astype(np.float32) @ values
    return axes, held[:k].astype(np.float32)


def structured_projection(values: Floats, n_out: int, seed: int) -> Floats:
    """Project onto `n_out` random orthonormal directions that depend on sizes and seed alone.

    The rotation is two rounds of random signs and an orthonormal cosine transform, of which
    `n_out` random rows are kept: exactly orthonormal, and without a matrix of p x p numbers.

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


def dense_projection(p: int, n_out: int, seed: int) -> Floats:
    """Return a uniformly random matrix with orthonormal rows, float32 (n_out, p).

    Made in place from Gaussian numbers by Householder reflections; at 15,724 x 20,484 it is 1.3 GB
    and takes minutes. Signs are set so that the distribution is Haar's (Mezzadri 2007,
    https://arxiv.org/abs/math-ph/0609050).
    """
    from scipy.linalg import lapack

    numbers = np.random.default_rng([seed, p, n_out])
    matrix = np.empty((n_out, p), np.float32)  # its transpose is what LAPACK takes, in place
    numbers.standard_normal(out=matrix, dtype=np.float32)
    work = 64 * n_out
    made, scale, _, _ = lapack.sgeqrf(matrix.T, lwork=work, overwrite_a=True)
    signs = np.where(np.diagonal(made) < 0, -1, 1).astype(np.float32)
    made, _, _ = lapack.sorgqr(made, scale, lwork=work, overwrite_a=True)
    rows = np.ascontiguousarray(made.T)
    rows *= signs[:, None]
    return rows
