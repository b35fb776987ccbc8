"""Ridge for many targets: one penalty for all, or for each its own; of several bands, if asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insilico.adapters.selection import Targets, blocks, fold_errors, generalised, left_out
from insilico.adapters.spectrum import Array, Doubles, decompose, fetched, like
from insilico.step import batches


@dataclass(frozen=True)
class Solution:
    """Ridge in dual form: the weights are ``(gamma * source).T @ dual``.

    Attributes
    ----------
    dual : float32, (n, targets)
    alpha : float32, (targets,)
        The penalty of each target, in scikit-learn's convention (on sums over rows).
    candidate : int, (targets,)
        Which of the columns' weights is each target's.
    error : float64, (targets,)
        The criterion that was least; 0 where there was nothing to choose.
    """

    dual: np.ndarray
    alpha: np.ndarray
    candidate: np.ndarray
    error: np.ndarray


def solve(
    source: Array,
    targets: Targets,
    n_targets: int,
    alphas: Sequence[float],
    choose: str = "loo",
    fold: np.ndarray | None = None,
    gammas: Sequence[np.ndarray | None] = (None,),
) -> Solution:
    """Minimise ``||y - X w||^2 + alpha sum_j w_j^2 / gamma_j`` for each target.

    Memory beside source and result: one copy of the smaller Gram matrix in float64 (and LAPACK's
    workspace, twice that), and a block of targets.

    Parameters
    ----------
    source : float32, (n, p)
        Centred columns.
    targets : callable
        Slice of the targets to float32 (n, some), centred columns.
    n_targets : int
    alphas : sequence of float
    choose : {"loo", "gcv", "folds"}
        What is least at the chosen penalty.
    fold : int (n,), optional
        Which fold holds a row out, for ``"folds"``.
    gammas : sequence of (p,), optional
        Candidates of the columns' weights; None is one for all.
    """
    penalties = np.asarray(alphas, np.float64)
    choose = "nothing" if len(penalties) * len(gammas) == 1 else choose
    found = Solution(
        np.empty((source.shape[0], n_targets), np.float32),
        np.empty(n_targets, np.float32),
        np.zeros(n_targets, int),
        np.full(n_targets, np.inf),
    )
    for part in batches(list(enumerate(gammas)), 1, "ridge"):
        candidate, gamma = part[0]
        scaled = source if gamma is None else source * like(np.sqrt(gamma), source)
        _try(found, candidate, scaled, targets, penalties, choose, fold)
    return found


def _try(
    found: Solution,
    candidate: int,
    source: Array,
    targets: Targets,
    alphas: Doubles,
    choose: str,
    fold: np.ndarray | None,
) -> None:
    """Solve with one candidate; keep the targets that it suits better than those before it."""
    n_targets, held_out = len(found.alpha), np.zeros((1, len(found.alpha)))
    if choose == "folds" and fold is not None:
        held_out = fold_errors(source, targets, n_targets, alphas, fold)
    spectrum = decompose(source)
    for part in blocks(n_targets):
        y = targets(part)
        rotated = spectrum.vectors.T @ y
        if choose == "loo":
            best, least, dual = left_out(spectrum, y, rotated, alphas)
        else:
            errors = held_out[:, part]
            if choose == "gcv":
                errors = generalised(spectrum, y, rotated, alphas)
            best = errors.argmin(0)
            least = errors[best, np.arange(len(best))]
            shrinkage = like(1 / (spectrum.values[:, None] + alphas[best]), rotated)
            dual = spectrum.vectors @ (rotated * shrinkage)
        better = np.flatnonzero(least < found.error[part])
        where = better + part.start
        found.dual[:, where] = fetched(dual[:, better])
        found.alpha[where], found.candidate[where] = alphas[best[better]], candidate
        found.error[where] = least[better]
