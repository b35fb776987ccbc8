"""Exact nearest neighbours by cosine, in memory that does not grow with the gallery.

A gallery is given as a function of positions, so that it may lie in files. Where similarities are
equal, the lower position comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

BLOCK_BYTES = 64_000_000
"""Of gallery rows that are held at once."""
MARGIN = 1e-5
"""More than a product in single precision is off; what lies so close is computed again."""

Rows = Callable[[np.ndarray], np.ndarray]
"""Positions, int (m,), to their rows, (m, width)."""
NONE = np.empty(0, np.int64)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1 along the last axis, float32; zeros stay zeros."""
    length = np.sqrt(np.vecdot(vectors, vectors, dtype=np.float64))[..., None]
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def nearest(
    queries: np.ndarray,
    rows: Rows,
    n: int,
    k: int,
    left_out: Sequence[np.ndarray] | None = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return positions and cosines of the k nearest rows of each query, nearest first.

    All rows are compared, block by block as matrix products in single precision; the order of those
    at the front is decided in double precision.

    Parameters
    ----------
    queries : (q, width), unit length
    rows : callable
        Positions to rows of unit length.
    n : int
        Rows in all.
    k : int
        Fewer come back where fewer remain.
    left_out : list of q int arrays, optional
        Positions that a query must not find.

    Returns
    -------
    list of q pairs: positions, int, and cosines, float64, at most (k,)
    """
    queries = np.ascontiguousarray(queries, np.float32)
    left_out = left_out or [NONE] * len(queries)
    fronts = [_Front(k) for _ in queries]
    size = max(1, BLOCK_BYTES // (4 * queries.shape[1]))
    for start in range(0, n, size):
        block = np.arange(start, min(start + size, n))
        similarity = queries @ np.asarray(rows(block), np.float32).T
        for front, row, without in zip(fronts, similarity, left_out, strict=True):
            inside = without[(without >= start) & (without <= block[-1])]
            row[inside - start] = -np.inf
            front.meet(row, start)
    pairs = zip(queries, fronts, strict=True)
    return [ranked(query, rows, front.positions, k) for query, front in pairs]


class _Front:
    """Those rows that may be among the k nearest of one query."""

    def __init__(self, k: int) -> None:
        self.k, self.floor = k, -np.float32(np.finfo(np.float32).max)
        self.positions, self.similarity = NONE, np.empty(0, np.float32)

    def meet(self, similarity: np.ndarray, start: int) -> None:
        """Take what is near enough of the rows from position `start` on."""
        near = np.flatnonzero(similarity >= self.floor)
        if not len(near):
            return
        self.positions = np.concatenate([self.positions, near + start])
        self.similarity = np.concatenate([self.similarity, similarity[near]])
        if len(self.positions) > self.k:
            worst = np.partition(self.similarity, -self.k)[-self.k]
            self.floor = worst - np.float32(MARGIN)
            kept = self.similarity >= self.floor
            self.positions, self.similarity = self.positions[kept], self.similarity[kept]


def ranked(
    query: np.ndarray, rows: Rows, positions: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k of these positions whose rows are nearest, and their cosines, in float64.

    Parameters
    ----------
    query : (width,)
    rows : callable
    positions : int (m,)
    k : int
    """
    cosine = cosines(query, rows, positions)
    order = np.lexsort((positions, -cosine))[:k]
    return positions[order], cosine[order]


def cosines(query: np.ndarray, rows: Rows, positions: np.ndarray) -> np.ndarray:
    """Return the cosine of a query (width,) and each row, float64 (m,); of zeros it is 0."""
    query = np.asarray(query, np.float64)
    size = max(1, BLOCK_BYTES // (8 * len(query)))
    found = [np.empty(0)]
    for start in range(0, len(positions), size):
        near = np.asarray(rows(positions[start : start + size]), np.float64)
        lengths = np.sqrt(np.vecdot(near, near) * np.dot(query, query))
        found.append(np.vecdot(near, query) / np.where(lengths > 0, lengths, 1))
    return np.concatenate(found)
