"""Closed forms of the training: leading axes of responses, and the cortical head on all vertices.

Responses are arrays (n, cortex) in parts, which may be memory maps: nothing here holds all of them
in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

CHUNK = 1000
PENALTY = 1e-3
NOTHING = 1e-3
"""Share of the largest spread below which an axis is rounding error: few responses have such axes,
and the scores of others on them are large at random."""
Parts = Sequence[np.ndarray]


def in_chunks(
    responses: Parts, mean: np.ndarray | float = 0.0
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of rows, counted over all parts, and their centred responses (float32)."""
    before = 0
    for part in responses:
        for start in range(0, len(part), CHUNK):
            some = part[start : start + CHUNK].astype(np.float32) - mean
            yield slice(before + start, before + start + len(some)), some
        before += len(part)


@dataclass(frozen=True)
class Targets:
    """Responses on their leading axes.

    Attributes
    ----------
    mean : float32, (cortex,)
    axes : float32, (rank, cortex)
        Orthonormal rows, largest variance first.
    scores : float32, (n, rank)
        Of unit variance.
    spread : float32, (rank,)
        Standard deviation of each score before.
    """

    mean: np.ndarray
    axes: np.ndarray
    scores: np.ndarray
    spread: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """Weight of each score in the loss: between its variance and one, mean one."""
        return self.spread / self.spread.mean()

    def of(self, responses: Parts) -> np.ndarray:
        """Return the scores of other responses, float32 (n, rank)."""
        raw = [part @ self.axes.T for _, part in in_chunks(responses, self.mean)]
        return np.concatenate(raw) / self.spread


def leading_axes(responses: Parts, rank: int, seed: int = 0, rounds: int = 3) -> Targets:
    """Find the leading axes of responses by subspace iteration (Halko et al. 2011).

    Parameters
    ----------
    responses : sequence of (n, cortex)
    rank : int
        Number of axes, or fewer: those along which the responses differ.
    seed : int
        Seed of the first guess.
    rounds : int
        Passes over the responses.
    """
    n, width = sum(map(len, responses)), responses[0].shape[1]
    total = sum(part.sum(0, dtype=np.float64) for _, part in in_chunks(responses))
    mean = (total / n).astype(np.float32)
    guess = np.random.default_rng(seed).standard_normal((min(rank + 32, n, width), width))
    axes = guess.astype(np.float32)
    for _ in range(rounds):
        grown = sum((axes @ part.T) @ part for _, part in in_chunks(responses, mean))
        axes = np.ascontiguousarray(np.linalg.qr(grown.T)[0].T)
    raw = np.concatenate([part @ axes.T for _, part in in_chunks(responses, mean)])
    _, turn = np.linalg.eigh(raw.T @ raw)
    turn = turn[:, ::-1][:, :rank]
    raw, axes = raw @ turn, turn.T @ axes
    spread = np.maximum(raw.std(0), 1e-6)
    some = spread >= NOTHING * spread[0]
    return Targets(mean, axes[some], raw[:, some] / spread[some], spread[some])


def solve_head(
    features: np.ndarray, responses: Parts, mean: np.ndarray, rank: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solve ridge of reduced rank from features to vertices (Izenman 1975).

    Parameters
    ----------
    features : (n, width)
    responses : sequence of (n, cortex)
        In the order of the features.
    mean : (cortex,)
        Mean of the responses.
    rank : int

    Returns
    -------
    into : (rank, width)
        Features, less their mean, to components.
    out : (cortex, rank)
        Components to vertices.
    """
    x = (features - features.mean(0)).astype(np.float64)
    crossed = sum(x[rows].T @ part for rows, part in in_chunks(responses, mean))
    gram = x.T @ x
    gram += PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram))
    solution = np.linalg.solve(gram, crossed)
    root = np.linalg.cholesky(gram).T
    fitted = root @ solution
    _, vectors = np.linalg.eigh(fitted @ fitted.T)
    kept = vectors[:, ::-1][:, :rank]
    return (np.linalg.solve(root, kept)).T, (kept.T @ fitted).T
