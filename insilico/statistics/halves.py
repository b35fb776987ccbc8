"""Split-half reliability: correlation between averages of half the repeats each."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt

from insilico.errors import SchemaError
from insilico.schema import check, place_of
from insilico.spaces import regions
from insilico.statistics import jackknife
from insilico.statistics.ceilings import at_trials
from insilico.step import Step, generator


def half_correlation(
    bold: np.ndarray, splits: int, group: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean correlation, over stimuli, between random halves of the repeats.

    The average of Fisher's z of each split, turned back into r. Of an odd number of repeats one
    is left out of each split, so that the halves are equal: halves of 1 and 2 trials would have
    another expectation, which Spearman and Brown's formula does not mend.

    Parameters
    ----------
    bold : (repeat, stimulus, place)
    splits : int
        Random splits.
    group : int (stimulus,)
        Of each stimulus.

    Returns
    -------
    r : (place,)
    without : (group, place)
        The same without the stimuli of each group.
    """
    half = len(bold) // 2
    whole, rest = np.zeros(bold.shape[-1]), np.zeros((group.max() + 1, bold.shape[-1]))
    for _ in range(splits):
        order = rng.permutation(len(bold))
        first, second = bold[order[:half]].mean(0), bold[order[half : 2 * half]].mean(0)
        r, without = _columns(first, second, group)
        whole, rest = whole + _fisher(r), rest + _fisher(without)
    return np.tanh(whole / splits), np.tanh(rest / splits)


def _fisher(r: np.ndarray) -> np.ndarray:
    return np.arctanh(np.clip(r, -1 + 1e-9, 1 - 1e-9))


def _columns(a: np.ndarray, b: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns' correlations, and those without each group; of constant ones NaN."""
    a, b = (x - x.mean(0, dtype=np.float64) for x in (a, b))
    of_group = np.eye(group.max() + 1)[group].T
    count, each = len(a), of_group.sum(1, keepdims=True)
    sums = [of_group @ x for x in (a, b, a * a, b * b, a * b)]
    whole = [part.sum(0) for part in sums]
    rest = [total - part for total, part in zip(whole, sums, strict=True)]
    return _correlation(whole, count), _correlation(rest, count - each)


def _correlation(sums: list[np.ndarray], n: np.ndarray | int) -> np.ndarray:
    a, b, aa, bb, ab = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ab - a * b / n) / np.sqrt((aa - a * a / n) * (bb - b * b / n))


class SplitHalf(Step):
    """Split-half reliability of each place, brought to all repeats by Spearman and Brown.

    Splits are averaged first and corrected after: a correction of each split diverges where a
    half correlation is negative.

    Parameters
    ----------
    splits : int
        Random splits of the repeats.
    trials : int, optional
        The reliability of averages of so many trials; by default of all repeats.
    n : int
        The most groups of stimuli that the interval's jackknife leaves out one by one.
    seed : int
    """

    kind: ClassVar[str] = "split_half"
    spaces: ClassVar[tuple[str, ...]] = ("fsaverage5", "voxels")
    splits: PositiveInt = 10
    trials: PositiveInt | None = None
    n: PositiveInt = 200
    seed: NonNegativeInt = 0

    def __call__(self, measured: xr.Dataset) -> xr.Dataset:
        """Estimate the reliability.

        Parameters
        ----------
        measured : response, (repeat, stimulus, place)

        Returns
        -------
        estimate: `effect` is the mean over cortical places. By place: `half_correlation`, and
        `reliability`, a fraction of variance as a noise ceiling is (its root bounds r).
        """
        place = place_of(check(measured, "response"))
        repeats = measured.sizes.get("repeat", 1)
        if repeats < 2:
            raise SchemaError("split_half: at least two repeats are needed (repeats='keep')")
        if (measured.get("n_repeats", xr.DataArray(repeats)) < repeats).any():
            raise SchemaError(
                "split_half: stimuli have different numbers of repeats; take those with "
                f"{repeats}, or noise_ceiling, whose variant 'anova' takes them all"
            )
        bold = measured["bold"].transpose("repeat", "stimulus", place).values
        cortex = regions.mask(regions.CORTEX, of=measured)
        rng = generator(self.seed, "split half")
        group = jackknife.groups(bold.shape[1], self.n, rng)
        half, rest = half_correlation(bold, self.splits, group, rng)
        value = at_trials(half, repeats // 2, self.trials or repeats)
        without = at_trials(rest[:, cortex], repeats // 2, self.trials or repeats)
        low, high = jackknife.interval(np.nanmean(value[cortex]), np.nanmean(without, axis=1))
        maps = {"half_correlation": half, "reliability": value}
        rows = {"effect": np.nanmean(value[cortex]), "ci_low": low, "ci_high": high}
        rows |= {"p": np.nan, "p_corrected": np.nan, "n": bold.shape[1]}
        return xr.Dataset(
            {name: ("contrast", np.atleast_1d(number)) for name, number in rows.items()}
            | {
                name: (place, np.where(cortex, values, np.nan).astype(np.float32))
                for name, values in maps.items()
            },
            coords={
                "contrast": ["cortex"],
                **{k: v for k, v in measured.coords.items() if v.dims == (place,)},
            },
            attrs={
                "statistic": "mean over places of the split-half reliability",
                "test": f"{self.splits} random splits into halves of {repeats // 2}, Fisher z "
                f"averaged, Spearman-Brown to {self.trials or repeats} trials",
                "null": "none",
                "correction": "none",
                "interval": "95 %, jackknife over stimuli (t)",
                "unit_of_inference": "stimulus",
                **{k: measured.attrs[k] for k in ("source", "note") if k in measured.attrs},
            },
        )
