"""A check: experiments whose truth is known, and how often the package must get them right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from insilico.errors import ParameterError

Experiments = Callable[[int, np.random.Generator], np.ndarray]
Group = Literal["false positives", "coverage", "known truth"]
ALPHA = 0.05
TOGETHER = 0.001
"""Chance that any row of a table leaves its band though all hold their rates."""


@dataclass(frozen=True)
class Check:
    """One row of a table.

    Attributes
    ----------
    name : str
    what : str
        What is simulated, in a few words.
    run : callable
        ``(count, rng)`` -> p of so many null experiments, float (count,), of which those at or
        below .05 are counted; or whether each came out right, bool (count,).
    n : int
        Experiments.
    group : {"false positives", "coverage", "known truth"}
    rate : float
        How often it is to happen.
    stated : (low, high), optional
        Where the true rate lies, if elsewhere: what the docs state of a method that is known to be
        liberal, conservative, or short of its level.
    measured : bool
        Hold the measured rate itself within `stated`, without a binomial band around it, if there
        are `n` experiments or more.
    batch : int
        Experiments that go together: an interrupted check is resumed between batches.
    """

    name: str
    what: str
    run: Experiments
    n: int = 1000
    group: Group = "false positives"
    rate: float = ALPHA
    stated: tuple[float, float] | None = None
    measured: bool = False
    batch: int = 100

    def found(self, count: int, rng: np.random.Generator) -> int:
        """Return in how many experiments it happened.

        Raises
        ------
        ParameterError
            If `run` gives anything but one p, or one boolean, for each experiment.
        """
        values = np.asarray(self.run(count, rng))
        told = values.shape == (count,) and values.dtype.kind in "bf"
        if not told or not ((values >= 0) & (values <= 1)).all():
            met = f"{values.dtype} of shape {values.shape}" if not told else "NaN, or beyond 0 to 1"
            raise ParameterError(
                f"check '{self.name}': run({count}, rng) gave {met}; allowed: {count} p values "
                "from 0 to 1 without NaN, or as many booleans"
            )
        return int((values if values.dtype == bool else values <= ALPHA).sum())

    def band(self, n: int, rows: int) -> tuple[int, int]:
        """Return the least and the most that fit, of n experiments, at `rate`.

        Parameters
        ----------
        n : int
        rows : int
            Of the table: all of them stay in their bands with 99.9 %.
        """
        return _band(n, self.rate, self.rate, rows)

    def allowed(self, n: int, rows: int) -> tuple[int, int]:
        """Return the least and the most that fit what is stated."""
        if self.stated is None:
            return self.band(n, rows)
        low, high = self.stated
        if self.measured and n >= self.n:
            return int(np.ceil(low * n - 1e-9)), int(np.floor(high * n + 1e-9))
        return _band(n, low, high, rows)


def _band(n: int, low: float, high: float, rows: int) -> tuple[int, int]:
    from scipy.stats import binom

    tail = TOGETHER / rows / 2
    return int(binom.ppf(tail, n, low)), int(binom.isf(tail, n, high))
