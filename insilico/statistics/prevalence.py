"""How many subjects of a population show an effect: each subject is tested, then counted."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from insilico.errors import SchemaError, counted
from insilico.statistics.attainable import of_flips
from insilico.statistics.contrasts import effects, labelled, regions_of, require_conditions
from insilico.statistics.flips import sign_flip_test, told
from insilico.statistics.multiplicity import holm
from insilico.step import Step, generator

GRID = 4001


def posterior(
    found: int, subjects: int, alpha: float = 0.05, power: float = 1.0, level: float = 0.95
) -> tuple[float, float, float]:
    """Return the most likely prevalence and its highest-density interval.

    Parameters
    ----------
    found : int
        Subjects whose test is significant.
    subjects : int
    alpha, power : float
        How often a test is significant in a subject without and with the effect.
    level : float

    Notes
    -----
    A subject is significant with probability ``alpha + (power - alpha) prevalence``; the prior of
    the prevalence is uniform, Beta(1, 1) (Ince et al., 2021).
    """
    prevalence = np.linspace(0, 1, GRID)
    rate = np.clip(alpha + (power - alpha) * prevalence, 1e-300, 1 - 1e-16)
    log = found * np.log(rate) + (subjects - found) * np.log1p(-rate)
    density = np.exp(log - log.max())
    order = np.argsort(-density, kind="stable")
    held = order[: np.searchsorted(np.cumsum(density[order]), level * density.sum()) + 1]
    inside = prevalence[held]
    most = np.clip((found / subjects - alpha) / (power - alpha), 0.0, 1.0)
    return float(most), float(inside.min()), float(inside.max())


class Prevalence(Step):
    """Share of a population that shows an effect, from subjects tested one by one.

    Parameters
    ----------
    of, against : list of str
        Conditions, a pair for each subject.
    alpha : float
        Of each subject's test (sign flips of stimuli, two-sided).
    power : float
        Of the same in a subject with the effect; 1 bounds the prevalence from below.
    n : int
        Sign flips; all 2^stimuli if they are fewer.
    seed : int
    """

    kind: ClassVar[str] = "prevalence"
    of: tuple[str, ...]
    against: tuple[str, ...]
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    power: Annotated[float, Field(gt=0.5, le=1)] = 1.0
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _a_pair_each(self) -> Prevalence:
        if len(self.of) < 2 or len(self.against) != len(self.of):
            raise ValueError(
                "'of' and 'against' name one condition for each of two or more subjects"
            )
        return self

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Test every subject, and count.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)

        Returns
        -------
        estimate, (contrast, metric)
            `effect` is the most likely prevalence with its 95 % highest-density interval, `p` the
            chance of as many significant subjects if none has the effect, `p_corrected` Holm's
            over contrasts. `significant` and `losing` count subjects; `p_sign` is the sign test
            of their mean effects, `mean_effect` the mean over subjects.
        """
        self.require(scores)
        stimuli, order = scores.sizes["stimulus"], regions_of(scores, self.of[0])
        each = [
            effects(scores, of, against, self.kind, order).mean(1)
            for of, against in zip(self.of, self.against, strict=True)
        ]
        rows = self._counted(np.stack([self._p(one, k) for k, one in enumerate(each)]))
        means = np.stack([one.mean(0) for one in each])
        rows |= {"mean_effect": means.mean(0), "losing": (means < 0).sum(0)}
        rows["p_sign"] = np.vectorize(_sign_test)((means < 0).sum(0), (means > 0).sum(0))
        return labelled(
            rows,
            [name or "all" for name in order],
            scores,
            "subject",
            statistic=f"prevalence of an effect at alpha {self.alpha:g}, power {self.power:g}",
            test=f"binomial over subjects, each by {told(stimuli, self.n)}",
            null="no subject has the effect",
            correction=f"Holm over {counted(len(order), 'contrast')}, per metric",
            interval="95 % highest posterior density, uniform prior",
            smallest_p=self.alpha ** len(self.of),
        )

    def require(self, *given: xr.Dataset) -> None:
        """Raise if there are too few stimuli for any subject to be significant."""
        (scores,) = given
        require_conditions(scores, (*self.of, *self.against), self.kind)
        stimuli = scores.sizes["stimulus"]
        least = of_flips(stimuli, self.n)
        if least > self.alpha:
            raise SchemaError(
                f"prevalence: with {stimuli} stimuli no subject can be significant at "
                f"{self.alpha}: the least p is {least:.3g}; show more stimuli, or more sign flips"
            )

    def _p(self, differences: np.ndarray, subject: int) -> np.ndarray:
        """Return p of one subject, (contrast, metric)."""
        rng = generator(self.seed, "prevalence", subject)
        columns = range(differences.shape[-1])
        return np.stack([sign_flip_test(differences[..., m], self.n, rng)[0] for m in columns], -1)

    def _counted(self, p: np.ndarray) -> dict[str, np.ndarray]:
        from scipy.stats import binom

        subjects, found = len(p), (p <= self.alpha).sum(0)
        ends = [posterior(k, subjects, self.alpha, self.power) for k in found.ravel()]
        names = ("effect", "ci_low", "ci_high")
        rows = dict(zip(names, np.array(ends).T.reshape(3, *found.shape), strict=True))
        alone = binom.sf(found - 1, subjects, self.alpha)
        rows |= {"p": alone, "p_corrected": holm(alone), "significant": found}
        return rows | {"n": np.full(found.shape, subjects)}


def _sign_test(below: int, above: int) -> float:
    from scipy.stats import binomtest

    return float(binomtest(int(below), int(below + above)).pvalue) if below + above else 1.0
