"""Errors by which a penalty is chosen for each target: GCV, exact leave-one-out, grouped folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from insilico.adapters.spectrum import Array, Doubles, Spectrum, decompose, fetched, like

BLOCK = 2048
SLACK = 1 + 1e-4
"""Of bounds, for rounding in float32."""
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
    freedom = n - 1 - (1 - _left(spectrum, alphas)).sum(1)
    return n * _squares_left(spectrum, target, rotated, alphas) / (freedom**2)[:, None]


def _left(spectrum: Spectrum, alphas: Doubles) -> Doubles:
    """Return the share that is not fitted of each axis, (alphas, r)."""
    return alphas[:, None] / (spectrum.values + alphas[:, None])


def _squares_left(spectrum: Spectrum, target: Array, rotated: Array, alphas: Doubles) -> Doubles:
    """Return the residual sum of squares, (alphas, targets)."""
    squares = rotated * rotated
    rss = fetched(like(_left(spectrum, alphas) ** 2, squares) @ squares).astype(np.float64)
    if not spectrum.complete:
        rss += np.maximum(fetched((target * target).sum(0) - squares.sum(0)), 0)
    return rss


def left_out(
    spectrum: Spectrum, target: Array, rotated: Array, alphas: Doubles
) -> tuple[np.ndarray, Doubles, Array]:
    """Return each target's penalty of the least exact leave-one-out error, and what comes of it.

    The intercept is fitted anew without the row that is left out. A penalty's error is at least
    its residual sum of squares over the largest squared `_free`: most penalties are ruled out by
    that, without the product that an exact error takes. What is left unfitted at the penalty that
    wins is the dual solution times alpha, so that this one costs no product of its own.

    Parameters
    ----------
    spectrum, target, rotated, alphas
        As of `generalised`.

    Returns
    -------
    best : int (targets,)
        Which penalty.
    error : float64 (targets,)
        Its mean squared error.
    dual : float32, (n, targets)
    """
    vectors, outside = spectrum.vectors, None
    if not spectrum.complete:
        outside = target - vectors @ rotated
    free = _free(spectrum, alphas)
    best, error = np.zeros(target.shape[1], int), np.full(target.shape[1], np.inf)
    dual = 0 * target
    for k, some in _worth(spectrum, target, rotated, alphas, free, error):
        left = like(_left(spectrum, alphas)[k], vectors)
        unfitted = vectors @ (left[:, None] * rotated[:, some])
        whole = unfitted if outside is None else unfitted + outside[:, some]
        missed = whole / like(free[:, k : k + 1], vectors)
        missed *= missed
        found = fetched(missed.sum(0)).astype(np.float64)
        better = np.flatnonzero(found < error[some])
        best[some[better]], error[some[better]] = k, found[better]
        dual[:, some[better]] = unfitted[:, better] / float(alphas[k])
    return best, error / len(target), dual


def _worth(
    spectrum: Spectrum,
    target: Array,
    rotated: Array,
    alphas: Doubles,
    free: Doubles,
    error: Doubles,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield penalties and the targets of which their error may be the least.

    First each target's likely best, whose `error` the caller fills in, then what that leaves open.
    """
    rss = _squares_left(spectrum, target, rotated, alphas)
    likely = (rss / np.maximum(free.mean(0)[:, None], 1e-15) ** 2).argmin(0)
    for k in range(len(alphas)):
        yield k, np.flatnonzero(likely == k)
    for k, most in enumerate(free.max(0)):
        yield k, np.flatnonzero((rss[k] <= SLACK * most**2 * error) & (likely != k))


def _free(spectrum: Spectrum, alphas: Doubles) -> Doubles:
    """Return one minus each row's leverage at each penalty, (n, alphas)."""
    squares = spectrum.vectors * spectrum.vectors
    free = fetched(squares @ like(_left(spectrum, alphas).T, squares)).astype(np.float64)
    if not spectrum.complete:
        free += 1 - 1 / len(free) - fetched(squares.sum(1))[:, None]
    return free


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
