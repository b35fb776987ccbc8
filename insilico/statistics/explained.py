"""Explained variance of measured responses, as it is and as a share of what can be explained."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt

from insilico.errors import SpaceError, counted
from insilico.schema import check, place_of
from insilico.spaces import regions
from insilico.statistics import jackknife
from insilico.statistics.attainable import of_orders
from insilico.statistics.maps import with_maps
from insilico.statistics.measured import Measured, Source, measured_of, require_repeats
from insilico.statistics.permutations import above_null
from insilico.step import Step, generator


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Pearson's r of the columns of two arrays (stimulus, place); of constant ones NaN."""
    x, y = (a - a.mean(0, dtype=np.float64) for a in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(0) / np.sqrt((x**2).sum(0) * (y**2).sum(0))


def determination(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return the coefficient of determination R² of each column; it has no lower bound."""
    rest = ((measured - predicted) ** 2).sum(0, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - rest / ((measured - measured.mean(0)) ** 2).sum(0, dtype=np.float64)


class ExplainedVariance(Step):
    """Share of the explainable variance that a prediction explains, by region.

    Nothing is clipped: a place can lie above 1 or below 0 by chance, and averages of clipped
    values are biased. `effect` is a region's pooled share, the sum of ``r |r|`` over the sum of
    the noise ceilings of averages of the repeats at hand.

    Parameters
    ----------
    by : str, optional
        Atlas (or labels of the measurement's own, such as ``floc-faces``) whose regions are
        reported; otherwise all cortical places together.
    ceiling : {"noise", "ncsnr"}
        Noise ceilings from the measured repeats (anova), or from NSD's ncsnr maps. Those were made
        of all trials of the subject, these included.
    n : int
        Permutations of stimuli, and the most groups of stimuli that the interval's jackknife
        leaves out.
    seed : int
    """

    kind: ClassVar[str] = "explained_variance"
    version: ClassVar[int] = 3
    own_labels: ClassVar[bool] = True
    spaces: ClassVar[tuple[str, ...]] = ("fsaverage5", "voxels")
    by: str | None = None
    ceiling: Source = "noise"
    n: PositiveInt = 100
    seed: NonNegativeInt = 0

    def digests(self) -> dict[str, str]:
        """Return the digest of the atlas."""
        return regions.digests(self.by)

    def __call__(self, prediction: xr.Dataset, measured: xr.Dataset) -> xr.Dataset:
        """Estimate the shares.

        Parameters
        ----------
        prediction : response, (stimulus, place)
        measured : response, (repeat, stimulus, place)
            In the same space.

        Returns
        -------
        estimate over contrast (the regions), with the `median` over places of the normalised
        accuracy ``r |r| / ceiling`` and the share of places `above_one`. By place: `r`, `r2` (the
        coefficient of determination, which also judges level and scale), `noise_ceiling` and
        `normalised`.
        """
        x, repeats = _side_by_side(prediction, measured, self.ceiling)
        y, value = repeats.mean(np.float64), repeats.ceiling()
        names, masks = regions.each(self.by, measured)
        r = correlation(x, y)
        with np.errstate(invalid="ignore", divide="ignore"):
            normalised = np.where(value > 0, r * np.abs(r) / value, np.nan)
        maps = {"r": r, "r2": determination(x, y), "noise_ceiling": value}
        effect = _pooled(r, value, masks)
        low, high = jackknife.interval(effect, self._without(x, repeats, masks))
        p, corrected = self._tested(x, y, value, masks, effect)
        rows: dict[str, Any] = {"effect": effect, "ci_low": low, "ci_high": high}
        rows |= {"p": p, "p_corrected": corrected, "n": np.full(len(names), len(x))}
        rows["median"] = [np.nanmedian(normalised[mask]) for mask in masks]
        rows["above_one"] = [np.nanmean(normalised[mask] > 1) for mask in masks]
        return with_maps(
            rows,
            maps | {"normalised": normalised},
            names,
            self.by,
            measured,
            statistic="sum over places of r |r| over the sum of their noise ceilings",
            test=f"above 0: {self.n} permutations of stimuli, one-sided",
            null="prediction and measurement of different stimuli",
            correction=f"maximum over {counted(len(names), 'region')}",
            interval="95 %, jackknife over stimuli (t)",
            smallest_p=of_orders(self.n, len(x)),
            repeats=len(repeats.bold),
            **repeats.about(),
        )

    def _without(self, x: np.ndarray, repeats: Measured, masks: np.ndarray) -> np.ndarray:
        rng = generator(self.seed, "explained variance", "interval")
        group = jackknife.groups(len(x), self.n, rng)
        made = []
        for g in range(group.max() + 1):
            rest = group != g
            part = repeats.of(rest)
            made.append(_pooled(correlation(x[rest], part.mean()), part.ceiling(), masks))
        return np.array(made)

    def _tested(
        self,
        x: np.ndarray,
        y: np.ndarray,
        value: np.ndarray,
        masks: np.ndarray,
        observed: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        rng = generator(self.seed, "explained variance", "null")
        orders = [rng.permutation(len(x)) for _ in range(self.n)]
        null = np.array([_pooled(correlation(x[order], y), value, masks) for order in orders])
        return above_null(observed, null)


def _pooled(r: np.ndarray, value: np.ndarray, masks: np.ndarray) -> np.ndarray:
    explained = np.nan_to_num(r * np.abs(r))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (masks @ explained) / (masks @ np.nan_to_num(value))


def _side_by_side(
    prediction: xr.Dataset, measured: xr.Dataset, ceiling: Source
) -> tuple[np.ndarray, Measured]:
    """Return the prediction (stimulus, place) and the repeats."""
    check(measured, "response")
    check(prediction, "response")
    if prediction.attrs["space"] != measured.attrs["space"]:
        raise SpaceError(
            f"explained_variance: the prediction lies in {prediction.attrs['space']}, the "
            f"measurement in {measured.attrs['space']}"
        )
    require_repeats(measured, "explained_variance", ceiling)
    ids = prediction["stimulus"].values
    repeats = measured_of(measured, ids, "explained_variance", ceiling)
    return prediction["bold"].transpose("stimulus", place_of(measured)).values, repeats
