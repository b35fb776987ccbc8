"""Means over stimuli and over draws of training pairs, both at random: intervals for both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Crossed:
    """A mean over two crossed random factors, with its error.

    Attributes
    ----------
    mean, error, freedom : (...)
        The mean, its standard error and the error's degrees of freedom.
    """

    mean: np.ndarray
    error: np.ndarray
    freedom: np.ndarray

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of the interval by t."""
        from scipy.stats import t

        reach = t.ppf(0.5 + level / 2, self.freedom) * self.error
        return self.mean - reach, self.mean + reach

    def p(self) -> np.ndarray:
        """Return the two-sided p of a mean of zero; 1 where nothing varies about zero."""
        from scipy.stats import t

        with np.errstate(invalid="ignore", divide="ignore"):
            found = 2 * t.sf(np.abs(self.mean) / self.error, self.freedom)
        return np.where(self.error > 0, found, np.where(np.abs(self.mean) < 1e-15, 1.0, 0.0))


def crossed(values: np.ndarray) -> Crossed:
    """Return the mean of values (stimulus, draw, ...), stimuli and draws being samples both.

    Notes
    -----
    Two-way random effects without replication: the variance of the mean is ``(MS_stimulus +
    max(MS_draw - MS_rest, 0)) / (stimuli * draws)``, with Satterthwaite's degrees of freedom. Of
    one draw, or draws that are all alike, it is that over stimuli alone. The form is that of
    studies with several readers (Obuchowski and Rockette, 1995; Hillis, 2007); here the readers
    are draws.
    """
    n, draws = values.shape[:2]
    mean = values.mean((0, 1))
    by_stimulus, by_draw = values.mean(1), values.mean(0)
    stimulus = draws * ((by_stimulus - mean) ** 2).sum(0) / (n - 1)
    extra, wobble = np.zeros_like(mean), np.zeros_like(mean)
    if draws > 1:
        draw = n * ((by_draw - mean) ** 2).sum(0) / (draws - 1)
        left = values - by_stimulus[:, None] - by_draw[None] + mean
        free = (n - 1) * (draws - 1)
        rest = (left**2).sum((0, 1)) / free
        extra = np.maximum(draw - rest, 0)
        wobble = np.where(extra > 0, draw**2 / (draws - 1) + rest**2 / free, 0)
    total = stimulus + extra
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = total**2 / (stimulus**2 / (n - 1) + wobble)
    freedom = np.where(total > 0, freedom, n - 1)
    return Crossed(mean, np.sqrt(total / (n * draws)), freedom)
