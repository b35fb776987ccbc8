"""Whether a study comes out the same when it is done another way: the order of its regions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt, model_validator
from scipy.stats import rankdata

from insilico.errors import SchemaError
from insilico.statistics.attainable import of_draws
from insilico.statistics.contrasts import effects, labelled, regions_of, require_conditions
from insilico.statistics.intervals import bca, weights
from insilico.step import Step, generator

ROWS = ("effect", "range_low", "range_high", "p", "same_first")
LEAST, FEW = 8, 10
"""Stimuli below which there is no p, and below which it is told to be rough."""


def concordance(values: np.ndarray) -> np.ndarray:
    """Return Kendall's W, the agreement of several rankings, between 0 and 1.

    Parameters
    ----------
    values : (..., variant, region)

    Returns
    -------
    (...)
        NaN where a variant's values are all tied.

    Notes
    -----
    Ties share their mean rank, and the formula is corrected for them (Kendall and Smith, 1939).
    """
    ranks = rankdata(values, axis=-1)
    variants, regions = values.shape[-2:]
    spread = ranks.sum(-2).var(-1) * regions
    each = ranks.var(-1) * regions  # (k³ - k) / 12, less for ties
    most = variants * each.sum(-1)
    tied = (each < 1e-9).any(-1)
    return np.where(tied, np.nan, spread / np.where(tied, 1.0, most))


def rank_correlations(values: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each further variant with the first, ties sharing ranks.

    Parameters
    ----------
    values : (..., variant, region)

    Returns
    -------
    (variant - 1, ...)
        NaN where a variant's values are all tied.
    """
    ranks = rankdata(values, axis=-1)
    ranks = np.moveaxis(ranks - ranks.mean(-1, keepdims=True), -2, 0)
    size = np.sqrt((ranks**2).sum(-1))
    both, product = size[:1] * size[1:], (ranks[:1] * ranks[1:]).sum(-1)
    return np.divide(product, both, out=np.full_like(both, np.nan), where=both > 1e-9)


class Stability(Step):
    """Agreement of the order of regions between variants of a study.

    Parameters
    ----------
    of : list of str
        Conditions, one for each variant; each stands for the same regions, three or more.
    against : list of str
        The intact condition of each variant, or one for all.
    n : int
        Resamples of stimuli, and sign flips of what is left without effects.
    seed : int

    Notes
    -----
    Variants see the same stimuli and share their noise, so that orders agree without any effect.
    The null keeps that noise and nothing else: every region's mean is taken off in every variant,
    the signs of whole stimuli are flipped, alike in all regions and variants, and the orders of the
    new means are compared. Noise may differ between regions. The test is approximate, as the noise
    is estimated: docs/validation.md. Below 8 stimuli it is no test (docs/statistics.md), and p is
    NaN. (Labels permuted within stimuli would carry the effects along, and never find agreement
    beyond the null's.)
    """

    kind: ClassVar[str] = "stability"
    version: ClassVar[int] = 5
    of: tuple[str, ...]
    against: tuple[str, ...]
    n: PositiveInt = 2000
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _two_variants(self) -> Stability:
        if len(self.of) < 2:
            raise ValueError(
                f"'of' names {len(self.of)} of the two variants or more that are compared; where "
                "it is one condition, the key 'stability' of the protocol repeats it: "
                "stability: {alpha: [10, 100000], halves: 1}"
            )
        if len(self.against) not in (1, len(self.of)):
            raise ValueError("'against' names the intact condition of each variant, or one of all")
        return self

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Compare the orders.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)

        Returns
        -------
        estimate, (contrast, metric)
            The first contrast, ``all variants``, is Kendall's W; then Spearman's rank correlation
            of each further variant with the first. `range_low` and `range_high` hold the middle
            95 % of resamples of stimuli: no confidence interval (`ci_low`, `ci_high` are NaN),
            since a resample's order has more noise and agrees less. `same_first` is the share of
            resamples in which the same region comes first, the one of largest loss. NaN where all
            regions of a variant are tied; `p` below 8 stimuli too. `variant_effect`, with
            `variant_low` and `variant_high` (95 % BCa over stimuli), holds what was ordered,
            (variant, region, metric); negative is loss.
        """
        self.require(scores)
        each = self._effects(scores)
        stimuli, metrics = each.shape[0], each.shape[3]
        names = ["all variants", *(f"{name} and {self.of[0]}" for name in self.of[1:])]
        shape = len(names), metrics
        rows = {name: np.full(shape, np.nan) for name in ("ci_low", "ci_high", *ROWS)}
        for m in range(metrics):
            for name, values in self._agreement(each[..., m], m).items():
                rows[name][:, m] = values
        rows |= {"p_corrected": rows["p"], "n": np.full(shape, stimuli)}
        result = labelled(
            rows,
            names,
            scores,
            statistic="agreement of the order of regions: W, then rank correlations",
            null="no region differs in any variant; variants keep the noise they share",
            correction="none",
            interval=f"none; range: middle 95 % of {self.n} resamples of stimuli",
            **self._test(stimuli),
        )
        return self._with_variants(result, each, scores)

    def _test(self, stimuli: int) -> dict[str, Any]:
        """Say how p comes about, or why there is none."""
        told = f"the noise of {stimuli} stimuli is hardly known"
        if stimuli < LEAST:
            return {
                "test": f"none: {stimuli} stimuli, {LEAST} or more are needed",
                "caution": f"no p: {told}, and p would be too small; show {LEAST} or more",
            }
        found = {
            "test": f"{self.n} sign flips of stimuli after taking off all means, one-sided",
            "smallest_p": of_draws(self.n),
        }
        if stimuli < FEW:
            found["caution"] = f"{told}: p is rough, and may be too small; show {FEW} or more"
        return found

    def require(self, *given: xr.Dataset) -> None:
        """Raise if conditions are not there, or have no order."""
        (scores,) = given
        require_conditions(scores, (*self.of, *self.against), self.kind)
        order = regions_of(scores, self.of[0])
        if len(order) < 3:
            raise SchemaError(
                f"stability: '{self.of[0]}' stands for {len(order)} regions; "
                "an order needs three or more"
            )

    def _with_variants(
        self, result: xr.Dataset, each: np.ndarray, scores: xr.Dataset
    ) -> xr.Dataset:
        """Add the effects of every variant, and the regions' colours."""
        rng = generator(self.seed, "stability", "variants")
        low, high = (e.reshape(each.shape[1:]) for e in bca(each.reshape(len(each), -1), rng))
        parts = {"variant_effect": each.mean(0), "variant_low": low, "variant_high": high}
        dims, order = ("variant", "region", "metric"), regions_of(scores, self.of[0])
        coords: dict[str, Any] = {"variant": list(self.of), "region": order}
        if "colour" in scores.coords:
            own = scores["name"].values.astype(str) == self.of[0]
            coords["colour"] = ("region", scores["colour"].values[own].tolist())
        return result.assign({k: (dims, v) for k, v in parts.items()}).assign_coords(coords)

    def _effects(self, scores: xr.Dataset) -> np.ndarray:
        """Return effects (stimulus, variant, region, metric)."""
        order = regions_of(scores, self.of[0])
        against = self.against * (len(self.of) if len(self.against) == 1 else 1)
        pairs = zip(self.of, against, strict=True)
        return np.stack([effects(scores, a, b, self.kind, order).mean(1) for a, b in pairs], 1)

    def _agreement(self, each: np.ndarray, metric: int) -> dict[str, Any]:
        """Return rows of one metric, from (stimulus, variant, region)."""
        rng = generator(self.seed, "stability", metric)
        drawn = np.tensordot(weights(len(each), self.n, rng), each, 1)
        effect, many = _agreements(each.mean(0)[None])[:, 0], _agreements(drawn)
        first = drawn.argmin(-1)
        same = [(first == first[:, :1]).all(1).mean()]
        same += [(first[:, 0] == first[:, k]).mean() for k in range(1, each.shape[1])]
        low, high = np.nanquantile(many, [0.025, 0.975], axis=1) if _some(many) else (np.nan,) * 2
        found = {"effect": effect, "range_low": low, "range_high": high, "same_first": same}
        found["p"] = self._p(effect, each, rng) if len(each) >= LEAST else np.nan
        return {name: np.where(np.isnan(effect), np.nan, row) for name, row in found.items()}

    def _p(self, effect: np.ndarray, each: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        flips = rng.choice([-1.0, 1.0], (self.n, len(each)))
        null = _agreements(np.tensordot(flips, each - each.mean(0), 1))
        beyond = (~(null < effect[:, None] - 1e-12)).sum(1)  # no order at all counts as well
        return (1 + beyond) / (1 + self.n)


def _some(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).any(1).all())


def _agreements(values: np.ndarray) -> np.ndarray:
    """Return W of all variants, and rho of each further one with the first, (row, ...)."""
    return np.concatenate([concordance(values)[None], rank_correlations(values)])
