"""Linear mixed models with crossed random intercepts: profiled REML for thousands of rows.

``y = X b + sum_k Z_k u_k + e``, ``u_k ~ N(0, s² g_k)``, ``e ~ N(0, s²)``. Rows are cut into blocks
by the grouping with most levels (stimuli). Groupings inside a block (stimulus:condition) make its
covariance; those that cross blocks (draw) come in through Woodbury's identity. Where all blocks are
alike, as in a full table, an evaluation does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from insilico.errors import ParameterError, SchemaError

STARTS = (1.0, 0.1, 10.0)
NONE = 1e-7
"""Ratio of a variance to the residual's that counts as zero."""


@dataclass(frozen=True)
class Design:
    """Rows in blocks.

    Attributes
    ----------
    names : tuple of str
        Groupings inside blocks, then those across.
    rows : int (block, place)
        Row at each place of a block; -1 for none.
    same : (block or 1, grouping, place, place)
        Whether two places share the level of a grouping inside blocks.
    crossed : (row, level)
        Indicators of the groupings across blocks.
    owner : int (level,)
        Grouping of each of those levels.
    x : (row, coefficient)
    """

    names: tuple[str, ...]
    rows: np.ndarray
    same: np.ndarray
    crossed: np.ndarray
    owner: np.ndarray
    x: np.ndarray

    def blocks(self, y: np.ndarray) -> np.ndarray:
        """Return ``[Z X y]`` in blocks, (block, place, column); zeros where no row is."""
        columns = np.column_stack([self.crossed, self.x, y])
        return np.where(self.rows[..., None] >= 0, columns[self.rows], 0.0)


@dataclass(frozen=True)
class Fit:
    """What a model says of its fixed effects.

    Attributes
    ----------
    beta : (coefficient,)
    covariance : (coefficient, coefficient)
    variance : dict
        Of each grouping, and of the ``residual``.
    deviance : float
        -2 log restricted likelihood.
    """

    beta: np.ndarray
    covariance: np.ndarray
    variance: dict[str, float]
    deviance: float


def design(x: np.ndarray, groups: Mapping[str, np.ndarray]) -> Design:
    """Arrange rows.

    Parameters
    ----------
    x : (row, coefficient)
        Of full rank.
    groups : dict of (row,)
        Name of each grouping to the level of every row.

    Raises
    ------
    SchemaError
        A grouping with one level, or one that is finer than the rows can tell.
    """
    codes = {name: np.unique(level, return_inverse=True)[1] for name, level in groups.items()}
    for name, code in codes.items():
        if not 1 < code.max() + 1 < len(x):
            raise SchemaError(
                f"mixed: the grouping '{name}' has {code.max() + 1} levels in {len(x)} rows: its "
                "variance cannot be told from the residual's or the mean's; leave it out"
            )
    by, inside = _blocking(codes)
    across = [name for name in codes if name not in inside]
    rows = _places(codes[by])
    there = (rows >= 0)[:, :, None] & (rows >= 0)[:, None, :]
    held = [codes[name][rows] for name in inside]
    same = [(level[:, :, None] == level[:, None, :]) & there for level in held]
    shown = np.stack(same, 1).astype(float)
    alike = bool((rows >= 0).all() and (shown == shown[:1]).all())
    crossed = [np.eye(codes[name].max() + 1)[codes[name]] for name in across]
    owner = [np.full(part.shape[1], len(inside) + k) for k, part in enumerate(crossed)]
    return Design(
        (*inside, *across),
        rows,
        shown[:1] if alike else shown,
        np.concatenate([np.zeros((len(x), 0)), *crossed], axis=1),
        np.concatenate([np.zeros(0, int), *owner]),
        np.asarray(x, np.float64),
    )


def _blocking(codes: Mapping[str, np.ndarray]) -> tuple[str, list[str]]:
    """Return the grouping that makes the blocks, and those inside it: fewest levels are left."""
    found = {}
    for by, block in codes.items():
        pairs = {name: np.unique(np.stack([code, block]), axis=1) for name, code in codes.items()}
        inside = [n for n, code in codes.items() if pairs[n].shape[1] == code.max() + 1]
        left = sum(code.max() + 1 for name, code in codes.items() if name not in inside)
        largest = np.bincount(block).max()
        found[by] = (int(left) ** 2 + int(largest) ** 2, inside)
    by = min(found, key=lambda name: found[name][0])
    return by, found[by][1]


def _places(block: np.ndarray) -> np.ndarray:
    """Return the rows of each block, int (block, place), padded with -1."""
    sizes = np.bincount(block)
    rows = np.full((len(sizes), sizes.max()), -1)
    rows[np.arange(sizes.max()) < sizes[:, None]] = np.argsort(block, kind="stable")
    return rows


class Likelihood:
    """Restricted likelihood of one response under a design.

    Parameters
    ----------
    design : Design
    y : (row,)
    """

    def __init__(self, design: Design, y: np.ndarray) -> None:
        self.design, self.blocks = design, design.blocks(y)
        self.degrees = len(y) - design.x.shape[1]
        self._products: np.ndarray | None = None
        if len(design.same) == 1:
            blocks, places, columns = self.blocks.shape
            flat = self.blocks.reshape(blocks, -1)
            products = (flat.T @ flat).reshape(places, columns, places, columns)
            self._products = products.swapaxes(1, 2).reshape(places**2, columns**2)

    def of_blocks(self, ratios: np.ndarray) -> tuple[float, np.ndarray]:
        """Return ``log det W`` and ``[Z X y]' W^-1 [Z X y]``, W the covariance inside blocks."""
        log_det, inverse = self._inverse(ratios)
        return log_det, self._gram(inverse)

    def _inverse(self, ratios: np.ndarray) -> tuple[float, np.ndarray]:
        same = self.design.same
        w = np.eye(same.shape[2]) + np.tensordot(ratios[: same.shape[1]], same, (0, 1))
        repeats = len(self.blocks) / len(w)
        return float(repeats * np.linalg.slogdet(w)[1].sum()), np.linalg.inv(w)

    def _gram(self, inverse: np.ndarray, between: np.ndarray | None = None) -> np.ndarray:
        """Return ``A' inverse A``, or ``A' inverse between inverse A``, over all blocks A."""
        if self._products is not None:
            one = inverse[0] if between is None else inverse[0] @ between[0] @ inverse[0]
            columns = self.blocks.shape[2]
            return (one.reshape(1, -1) @ self._products).reshape(columns, columns)
        flat, half = (-1, self.blocks.shape[2]), inverse @ self.blocks
        left, right = (self.blocks, half) if between is None else (half, between @ half)
        return left.reshape(flat).T @ right.reshape(flat)

    def whole(self, log_det: float, gram: np.ndarray, ratios: np.ndarray) -> tuple[float, Any]:
        """Return log det V and ``[X y]' V^-1 [X y]``, groupings across blocks included."""
        levels, ratio = len(self.design.owner), ratios[self.design.owner][:, None]
        core = np.eye(levels) + ratio * gram[:levels, :levels]
        cross = gram[:levels, levels:]
        held = gram[levels:, levels:] - cross.T @ np.linalg.solve(core, ratio * cross)
        return log_det + np.linalg.slogdet(core)[1], held

    def profiled(self, log_det: float, gram: np.ndarray, ratios: np.ndarray) -> float:
        """Return the deviance at the best residual variance."""
        log_det, held, rest = _reduced(*self.whole(log_det, gram, ratios))
        n = self.degrees
        return log_det + np.linalg.slogdet(held)[1] + n * (1 + np.log(2 * np.pi * rest / n))

    def at(self, variances: np.ndarray) -> tuple[float, np.ndarray]:
        """Return deviance and covariance of the coefficients; the residual's variance is last."""
        ratios = variances[:-1] / variances[-1]
        log_det, gram = self.of_blocks(ratios)
        log_det, held, rest = _reduced(*self.whole(log_det, gram, ratios))
        deviance = log_det + np.linalg.slogdet(held)[1] + rest / variances[-1]
        deviance += self.degrees * np.log(2 * np.pi * variances[-1])
        return deviance, variances[-1] * np.linalg.inv(held)

    def slope(self, ratios: np.ndarray, step: float = 1e-5) -> tuple[float, np.ndarray]:
        """Return the profiled deviance and its gradient: rows are gone through once."""
        log_det, inverse = self._inverse(ratios)
        gram, same, slopes = self._gram(inverse), self.design.same, []
        repeats = len(self.blocks) / len(same)
        for k in range(same.shape[1]):
            trace = repeats * np.einsum("sij,sij->", inverse, same[:, k])
            moved = step * self._gram(inverse, same[:, k])
            up, down = (self.profiled(0, gram - sign * moved, ratios) for sign in (1, -1))
            slopes.append(trace + (up - down) / (2 * step))
        for shifted in step * np.eye(len(ratios))[len(slopes) :]:
            up, down = (self.profiled(0, gram, ratios + sign * shifted) for sign in (1, -1))
            slopes.append((up - down) / (2 * step))
        return self.profiled(log_det, gram, ratios), np.array(slopes)

    def best(self) -> np.ndarray:
        """Return the ratios of least deviance, from several starts; zeros are exact.

        Notes
        -----
        The search runs over u with ``g = u + u²``: a ratio of zero is a bound, as it should be, and
        no stationary point, as it is where standard deviations are searched.
        """
        from scipy.optimize import minimize

        def searched(u: np.ndarray) -> tuple[float, np.ndarray]:
            deviance, slope = self.slope(u + u**2)
            return deviance, slope * (1 + 2 * u)

        count = len(self.design.names)
        options = {"ftol": 1e-12, "gtol": 1e-5, "maxiter": 300}
        found = [
            minimize(
                searched,
                np.full(count, start),
                method="L-BFGS-B",
                jac=True,
                bounds=[(0, 1e4)] * count,
                options=options,
            )
            for start in STARTS
        ]
        u = min(found, key=lambda one: one.fun).x
        return np.where(u < NONE, 0.0, u + u**2)

    def fit(self) -> Fit:
        """Return the estimates at the least deviance."""
        ratios = self.best()
        _, gram = self.whole(*self.of_blocks(ratios), ratios)
        beta = np.linalg.solve(gram[:-1, :-1], gram[:-1, -1])
        residual = _reduced(0.0, gram)[2] / self.degrees
        variances = np.append(ratios, 1.0) * residual
        deviance, covariance = self.at(variances)
        names = (*self.design.names, "residual")
        held = dict(zip(names, map(float, variances), strict=True))
        return Fit(beta, covariance, held, float(deviance))

    def degrees_of(self, fit: Fit, contrast: np.ndarray) -> float:
        """Return Satterthwaite's degrees of freedom of a contrast of coefficients.

        Notes
        -----
        ``2 f² / g' A g`` with f the contrast's variance, g its gradient in the variances and A
        their asymptotic covariance, ``2 H^-1`` of the deviance (Giesbrecht and Burns, 1985).
        Derivatives are central differences in the logarithms of the variances; those estimated as
        zero are taken as known.
        """
        variances = np.array(list(fit.variance.values()))
        free = np.flatnonzero(variances > 0)
        if not len(free):
            raise ParameterError("mixed: no variance is left to estimate degrees of freedom from")

        def shifted(steps: np.ndarray) -> tuple[float, float]:
            moved = variances.copy()
            moved[free] *= np.exp(steps)
            deviance, covariance = self.at(moved)
            return deviance, float(contrast @ covariance @ contrast)

        gradient, hessian = _derivatives(shifted, len(free))
        spread = gradient @ np.linalg.pinv(hessian / 2, hermitian=True) @ gradient
        square = float(contrast @ fit.covariance @ contrast) ** 2
        return float(2 * square / spread) if spread > 0 else np.inf


def _reduced(log_det: float, gram: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Return log det V, ``X' V^-1 X``, and the squares that the coefficients leave."""
    held, toward = gram[:-1, :-1], gram[:-1, -1]
    return log_det, held, max(gram[-1, -1] - toward @ np.linalg.solve(held, toward), 1e-300)


def _derivatives(of, count: int, step: float = 1e-2) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient of a pair's second member, and the Hessian of the first, at zero."""
    steps = step * np.eye(count)
    centre = of(np.zeros(count))
    up, down = ([of(sign * one) for one in steps] for sign in (1, -1))
    gradient = np.array([(u[1] - d[1]) / (2 * step) for u, d in zip(up, down, strict=True)])
    hessian = np.diag(
        [(u[0] - 2 * centre[0] + d[0]) / step**2 for u, d in zip(up, down, strict=True)]
    )
    for i in range(count):
        for j in range(i):
            mixed = [of(a * steps[i] + b * steps[j])[0] * a * b for a in (1, -1) for b in (1, -1)]
            hessian[i, j] = hessian[j, i] = sum(mixed) / (4 * step**2)
    return gradient, hessian
