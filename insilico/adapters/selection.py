"""Errors by which a penalty is chosen for each target: GCV, exact leave-one-out, grouped folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from insilico.adapters.spectrum import Array, Doubles, Spectrum, decompose, fetched, like

BLOCK = 2048
Targets = Callable[[slice], Array]
"""Standardised targets, float32 (n, some), of a slice of the targets."""


def blocks(n_targets: int) -> Iterator[slice]:
    """Cut targets into slices that bound the memory."""
    for start in range(0, n_targets, BLOCK):
        yield slice(start, min(start + BLOCK, n_targets))


def generalised(spectrum: Spectrum, target: Array, rotated: Array, alphas: Doubles) -> Doubles:
    """Return the generalised cross-validation of each penalty and target, (alphas, targets).

    ``n RSS / (n - df)^2``, with the intercept among the degrees of freedom. Source: Golub, Heath
    and Wahba (1979), https://doi.org/10.1080/00401706.1979.10489751.

    Parameters
    ----------
    spectrum : Spectrum
    target : float32, (n, targets)
        Centred.
    rotated : float32, (r, targets)
        ``vectors.T @ target``.
    alphas : (alphas,)
    """
    n = len(target)
    left = alphas[:, None] / (spectrum.values + alphas[:, None])  # (alphas, r)
    squares = rotated * rotated
    rss = fetched(like(left**2, squares) @ squares).astype(np.float64)
    if not spectrum.complete:
        rss += np.maximum(fetched((target * target).sum(0) - squares.sum(0)), 0)
    freedom = n - 1 - (1 - left).sum(1)
    return n * rss / (freedom**2)[:, None]


def leave_one_out(spectrum: Spectrum, target: Array, rotated: Array, alphas: Doubles) -> Doubles:
    """Return the mean squared error of exact leave-one-out, (alphas, targets).

    The intercept is fitted anew without the row that is left out. Parameters as of `generalised`.
    """
    vectors, n = spectrum.vectors, len(target)
    outside = None if spectrum.complete else target - vectors @ rotated
    squares = vectors * vectors
    errors = np.empty((len(alphas), target.shape[1]))
    for k, alpha in enumerate(alphas):
        left = like(alpha / (spectrum.values + alpha), vectors)
        residual = vectors @ (left[:, None] * rotated)
        free = squares @ left
        if outside is not None:
            residual += outside
            free += 1 - 1 / n - squares.sum(1)
        residual /= free[:, None]
        errors[k] = fetched((residual * residual).sum(0)) / n
    return errors


CRITERIA = {"loo": leave_one_out, "gcv": generalised}


def fold_errors(
    source: Array, targets: Targets, n_targets: int, alphas: Doubles, fold: np.ndarray
) -> Doubles:
    """Return the mean squared error over held-out folds, (alphas, targets).

    Intercepts are fitted on the training rows of each fold; the columns' scale is that of all rows.

    Parameters
    ----------
    source : float32, (n, p)
    targets : Targets
    n_targets : int
    alphas : (alphas,)
    fold : int, (n,)
        Which fold holds a row out.
    """
    errors = np.zeros((len(alphas), n_targets))
    for held in np.unique(fold):
        known, new = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        mean = source[known].mean(0)
        known_source = source[known] - mean
        spectrum = decompose(known_source)
        seen = ((source[new] - mean) @ known_source.T) @ spectrum.vectors
        for part in blocks(n_targets):
            y = targets(part)
            y_mean = y[known].mean(0)
            rotated = spectrum.vectors.T @ (y[known] - y_mean)
            for k, alpha in enumerate(alphas):
                shrunk = like(1 / (spectrum.values + alpha), rotated)[:, None] * rotated
                missed = y[new] - y_mean - seen @ shrunk
                errors[k, part] += fetched((missed * missed).sum(0))
    return errors / len(fold)


def dealt(groups: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Deal groups out to folds at random, whole groups to one fold, int (n,).

    The same group goes to the same fold whatever the order of the rows.
    """
    names, number = np.unique(groups, return_inverse=True)
    place = np.empty(len(names), int)
    place[rng.permutation(len(names))] = np.arange(len(names)) % folds
    return place[number]
