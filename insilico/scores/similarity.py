"""Correlations and cosines of long vectors, block by block, in double precision.

Nothing here is larger than the vectors themselves but two blocks of `BLOCK` numbers: second-layer
features of AlexNet, 184,512 wide, of 1,000 pictures stay below 2 GB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from insilico.schema import short_digest

BLOCK = 2**23
"""Numbers in a block of vectors (64 MB in double precision)."""


def units(vectors: np.ndarray, *, centred: bool) -> np.ndarray:
    """Return vectors (n, p) at length one, float64, their means removed if `centred`.

    A vector without length, or a constant one if `centred`, becomes zero: it resembles nothing.
    """
    x = np.array(vectors, dtype=np.float64)
    whole = np.linalg.norm(x, axis=1)
    if centred:
        x -= x.mean(1, keepdims=True)
    length = np.linalg.norm(x, axis=1)
    kept = length > 1e-9 * whole
    x *= np.where(kept, 1 / np.where(kept, length, 1), 0)[:, None]
    return x


def blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Cut vectors (n, p) into blocks of rows."""
    rows = max(1, BLOCK // max(1, vectors.shape[1]))
    for start in range(0, len(vectors), rows):
        yield vectors[start : start + rows]


def similarities(
    a: np.ndarray, b: np.ndarray | Iterable[np.ndarray], *, centred: bool = True
) -> np.ndarray:
    """Return Pearson's r (the cosine, unless `centred`) of every pair of vectors: (n, m).

    Parameters
    ----------
    a : (n, p)
    b : (m, p), or its blocks one after the other

    Notes
    -----
    Equal vectors have equal similarities, to the bit: a matrix product rounds columns differently,
    and ties that it breaks are a decoder's luck.
    """
    columns, names = [], []
    for part in blocks(b) if isinstance(b, np.ndarray) else b:
        own = units(part, centred=centred).T
        columns.append(np.concatenate([units(rows, centred=centred) @ own for rows in blocks(a)]))
        names += _names(part)
    return np.concatenate(columns, axis=1)[:, _firsts(names)][_firsts(_names(a))]


def _names(vectors: np.ndarray) -> list[str]:
    return [short_digest(row.tobytes()) for row in vectors]


def _firsts(names: list[str]) -> list[int]:
    """Return where each name stands first."""
    first: dict[str, int] = {}
    return [first.setdefault(name, k) for k, name in enumerate(names)]


def matched(
    shown: np.ndarray,
    made: np.ndarray,
    vectors: Callable[[np.ndarray], np.ndarray],
    rows: int,
    *,
    centred: bool,
) -> tuple[np.ndarray, float]:
    """Return the similarity of each picture and its reconstruction, and of mismatched ones.

    Parameters
    ----------
    shown : (n, ...)
        Pictures.
    made : (draw, n, ...)
        Reconstructions.
    vectors : callable
        Takes pictures (k, ...), returns vectors (k, p).
    rows : int
        Pictures at a time.

    Returns
    -------
    own : (n, draw)
    mismatched : float
        Mean over all pairs of a picture and another one's reconstruction; NaN if there is one
        picture. The mean over pairs is the product of sums, so no pair is formed.
    """
    n, parts = len(shown), []
    first, sums = np.zeros(1), [np.zeros(1) for _ in made]
    for start in range(0, n, rows):
        x = units(vectors(shown[start : start + rows]), centred=centred)
        first, own = first + x.sum(0), []
        for d, draw in enumerate(made):
            y = units(vectors(draw[start : start + rows]), centred=centred)
            sums[d] = sums[d] + y.sum(0)
            own.append(np.einsum("np,np->n", x, y))
        parts.append(np.stack(own, 1))
    values = np.concatenate(parts)
    if n < 2:
        return values, float("nan")
    apart = [first @ total - own.sum() for total, own in zip(sums, values.T, strict=True)]
    return values, float(np.mean(apart)) / (n * (n - 1))
