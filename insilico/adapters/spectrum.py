"""The eigenbasis in which ridge regression is solved for every penalty at once.

Functions take numpy arrays, whose products run on the CPU, or torch tensors, whose run where the
tensors lie (numpy's are the faster ones on the CPU; facts: one thread, 75 against 50 GFLOP/s).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insilico.step import device

Array = Any
"""numpy float32 or torch float32."""
Doubles = NDArray[np.float64]
NOTHING = 1e-7
"""Share of the largest eigenvalue below which an axis of the primal form is rounding error."""


@dataclass(frozen=True)
class Spectrum:
    """Left singular vectors of centred sources, and the squares of their singular values.

    Attributes
    ----------
    vectors : float32, (n, r)
        Orthonormal; the constant vector is not among them: the intercept is free.
    values : float64, (r,)
    complete : bool
        Whether the vectors span everything but the constant (r = n - 1): the dual form.
    """

    vectors: Array
    values: Doubles
    complete: bool


def decompose(source: Array) -> Spectrum:
    """Decompose centred sources in the smaller of dual (n x n) and primal (p x p) form.

    Parameters
    ----------
    source : float32, (n, p)
        Centred columns.
    """
    n, p = source.shape
    return _dual(source) if n <= p else _primal(source)


def _dual(source: Array) -> Spectrum:
    gram = products(source, over="columns")
    # The constant vector gets the largest value, or it would mix with other null vectors.
    gram += 2 * float(gram.diagonal().sum()) / len(gram)
    values, vectors = eigh(gram)
    return Spectrum(single(vectors[:, :-1]), np.maximum(values[:-1], 0), complete=True)


def _primal(source: Array) -> Spectrum:
    values, axes = eigh(products(source, over="rows"))
    some = values > NOTHING * values[-1]
    first = int(np.argmax(some))  # eigenvalues ascend
    vectors = source @ single(axes[:, first:])
    vectors /= like(np.sqrt(values[first:]), vectors)
    return Spectrum(vectors, values[first:], complete=False)


def products(source: Array, over: str) -> Array:
    """Return sums of products in float64: over columns (n, n), or over rows (p, p).

    Of numpy's only the lower triangle is filled.
    """
    if not isinstance(source, np.ndarray):
        return (source @ source.T if over == "columns" else source.T @ source).double()
    from scipy.linalg.blas import ssyrk

    lower = ssyrk(1.0, source.T, trans=1 if over == "columns" else 0, lower=1)
    return lower.astype(np.float64)


def eigh(matrix: Array) -> tuple[Doubles, Array]:
    """Return ascending eigenvalues, and eigenvectors in columns; the matrix is used up."""
    if not isinstance(matrix, np.ndarray):
        import torch

        values, vectors = torch.linalg.eigh(matrix)
        return values.cpu().numpy(), vectors
    from scipy.linalg import eigh as lapack

    return lapack(matrix, overwrite_a=True, check_finite=False, driver="evd")


def single(array: Array) -> Array:
    """Return an array in single precision, rows contiguous."""
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array, np.float32)
    return array.float().contiguous()


def like(array: np.ndarray, other: Array) -> Array:
    """Return a numpy array as what the other is: float32, and where that lies."""
    array = array.astype(np.float32)
    if isinstance(other, np.ndarray):
        return array
    import torch

    return torch.from_numpy(array).to(other.device)


def fetched(array: Array) -> np.ndarray:
    """Return an array as numpy's."""
    return array if isinstance(array, np.ndarray) else array.cpu().numpy()


def on_device(array: np.ndarray) -> Array:
    """Return an array as it is on the CPU, or a torch tensor on the current device."""
    where = device()
    if where == "cpu":
        return array
    import torch

    return torch.from_numpy(array).to(where)
