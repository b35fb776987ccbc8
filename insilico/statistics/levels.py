"""Levels: how well each condition does, against chance and against a reference of its own."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt, model_validator

from insilico.errors import counted
from insilico.statistics import intervals
from insilico.statistics.contrasts import chance_levels, labelled, require_conditions, tested
from insilico.statistics.flips import told
from insilico.step import Step, generator


class Levels(Step):
    """Mean score of conditions, stimulus by stimulus against chance.

    Parameters
    ----------
    of : list of str
        Conditions, one contrast each.
    against : list of str, optional
        As many conditions: the reference of each, such as measured responses to the same stimuli.
        The ratio to it is given with its interval.
    n : int
        Sign flips; all 2^stimuli if they are fewer.
    seed : int
    """

    kind: ClassVar[str] = "levels"
    version: ClassVar[int] = 4
    of: tuple[str, ...]
    against: tuple[str, ...] = ()
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _one_reference_each(self) -> Levels:
        if self.against and len(self.against) != len(self.of):
            raise ValueError(f"'against' must name {len(self.of)} conditions, one for each of 'of'")
        return self

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Estimate the levels.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)
            Draws are averaged; several conditions of one name (regions) are averaged.

        Returns
        -------
        estimate, (contrast, metric)
            `effect` is the mean score and `sd` its standard deviation over stimuli; `p` tests it
            against `chance_level`, the condition's own chance, by flipping signs of stimuli
            (two-sided), `p_corrected` by the maximum over conditions. With references `reference`
            is their mean, `reference_chance` their own
            chance, and `ratio` (effect - chance_level) / (reference - reference_chance), with
            `ratio_low` and `ratio_high`. `raw_ratio` is effect / reference, the percentage of a
            ceiling that papers print: pictures that have nothing to do with what was shown reach
            reference_chance / reference of it, and of a metric whose direction is lower less is
            better.
        """
        require_conditions(scores, (*self.of, *self.against), self.kind)
        level, chance = _means(scores, self.of)
        rows = tested((level - chance)[:, None], self.n, "bca", self.seed, "levels")
        for name in ("effect", "ci_low", "ci_high"):
            rows[name] = rows[name] + chance
        rows["sd"], rows["chance_level"] = level.std(0, ddof=1), chance
        if self.against:
            other, others_chance = _means(scores, self.against)
            rows["reference"], rows["reference_chance"] = other.mean(0), others_chance
            rows |= self._ratios(level - chance, other - others_chance, "ratio")
            rows |= self._ratios(level, other, "raw_ratio")
        result = labelled(
            rows,
            list(self.of),
            scores,
            statistic="mean score over stimuli",
            test=f"{told(len(level), self.n)}, score minus chance",
            null="scores symmetric about chance, the mean over mismatched pairs",
            correction=f"maximum of |t| over {counted(len(self.of), 'condition')}, per metric",
            interval=intervals.told("bca"),
            smallest_p=float(rows["smallest_p"].min()),
        ).drop_vars("chance")
        result = result.assign_coords(definition=("metric", scores["definition"].values))
        if not self.against:
            return result
        return result.assign_coords(against=("contrast", list(self.against)))

    def _ratios(self, above: np.ndarray, other: np.ndarray, name: str) -> dict[str, np.ndarray]:
        """Resample stimuli, the same for both; where the reference is nothing there is none."""
        n, rng = len(above), generator(self.seed, "levels", "ratio")
        rows = rng.integers(n, size=(2000, n))
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = above[rows].mean(1) / other[rows].mean(1)
            ratio = above.mean(0) / other.mean(0)
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        return {name: ratio, f"{name}_low": low, f"{name}_high": high}


def _means(scores: xr.Dataset, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the values (stimulus, contrast, metric), and the chance level (contrast, metric)."""
    values = scores["value"].mean("draw").transpose("condition", "stimulus", "metric").values
    chance = chance_levels(scores)
    known = scores["name"].values.astype(str)
    level = np.stack([values[known == name].mean(0) for name in names], axis=1)
    return level, np.stack([chance[known == name].mean(0) for name in names])
