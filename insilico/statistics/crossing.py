"""From one end to another: where along a curve decoded pictures change sides, and how abruptly."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt

from insilico.errors import SchemaError, counted
from insilico.statistics import intervals
from insilico.statistics.contrasts import labelled, require_conditions, require_metrics, tested
from insilico.statistics.curves import along
from insilico.statistics.flips import told
from insilico.step import Step, generator


class Crossing(Step):
    """Scores against both ends of an interpolation: crossing point, abruptness, monotonicity.

    Parameters
    ----------
    of : str
        Name of the conditions of a curve, such as an interpolation over weights.
    scores : dict of str to str
        Metric against the stimulus itself to the one against its partner.
    n : int
        Sign flips; all 2^stimuli if they are fewer.
    seed : int
    """

    kind: ClassVar[str] = "crossing"
    version: ClassVar[int] = 2
    of: str
    scores: dict[str, str] = Field(min_length=1)
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Estimate where pictures change sides.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)
            With `level` on condition.

        Returns
        -------
        estimate, (contrast, metric)
            A contrast for each level; metrics are those of `scores`. `effect` is the score against
            the stimulus itself minus that against its partner, `own` and `partner` are the two. For
            each metric, repeated over levels: `crossing`, the weight at which the mean of `effect`
            passes zero (between levels by a straight line; NaN where it does not); `width`, the
            span of weights over which it falls from half of its value at the one end to half of
            that at the other (.5 for a straight line between them, 0 for a jump); and `falling`,
            the mean over stimuli of the rank correlation of `effect` with the level (-1: falls at
            every step), with `falling_p`. Intervals are over stimuli: BCa, percentile for crossing
            and width (NaN where more than a twentieth of the resamples do not cross).

        Raises
        ------
        SchemaError, ParameterError
        """
        self.require(scores)
        curves = along(scores, self.of)
        known = list(scores["metric"].values.astype(str))
        values = curves.values[:, 0]
        own, partner = (
            values[..., [known.index(name) for name in names]]
            for names in (self.scores, self.scores.values())
        )
        rows = self._rows(own - partner, curves.levels)
        for name, side in (("own", own), ("partner", partner)):
            rng = generator(self.seed, self.kind, name)
            ends = intervals.bca(side.reshape(len(side), -1), rng)
            low, high = (end.reshape(side.shape[1:]) for end in ends)
            rows |= {name: side.mean(0), f"{name}_low": low, f"{name}_high": high}
        return self._labelled(rows, curves.levels, scores)

    def require(self, *given: xr.Dataset) -> None:
        """Raise unless there is one curve of three levels or more, with these metrics."""
        (scores,) = given
        require_conditions(scores, [self.of], self.kind)
        require_metrics(scores, [*self.scores, *self.scores.values()])
        curves = along(scores, self.of)
        if len(curves.areas) > 1 or len(curves.levels) < 3:
            raise SchemaError(
                f"crossing: '{self.of}' has {len(curves.areas)} regions and {len(curves.levels)} "
                "levels; it goes along one curve of three levels or more"
            )

    def _rows(self, difference: np.ndarray, levels: np.ndarray) -> dict[str, Any]:
        """Return the rows of differences (stimulus, level, metric)."""
        shape = difference.shape[1:]
        rows: dict[str, Any] = tested(difference[:, None], self.n, "bca", self.seed, self.kind)
        rng = generator(self.seed, self.kind, "interval")
        weights = intervals.weights(len(difference), intervals.RESAMPLES, rng)
        for name, ends in passed(difference, levels, weights).items():
            for key, one in zip((name, f"{name}_low", f"{name}_high"), ends, strict=True):
                rows[key] = np.broadcast_to(one, shape)
        falling = tested(
            rank_correlations(difference)[:, None, None], self.n, "bca", self.seed, "falling"
        )
        told_as = {"effect": "falling", "ci_low": "falling_low", "ci_high": "falling_high"}
        for old, new in {**told_as, "p": "falling_p"}.items():
            rows[new] = np.broadcast_to(falling[old][0], shape)
        return rows

    def _labelled(self, rows: dict[str, Any], levels: np.ndarray, scores: xr.Dataset) -> xr.Dataset:
        stimuli = scores.sizes["stimulus"]
        made = labelled(
            rows,
            [f"{level:g}" for level in levels],
            scores.sel(metric=list(self.scores)),
            statistic="score against the stimulus minus score against its partner",
            test=told(stimuli, self.n),
            null="pictures are as near to one end as to the other",
            correction=f"maximum of |t| over {counted(len(levels), 'level')}, per metric",
            interval=intervals.told("bca"),
            smallest_p=float(rows["smallest_p"].min()),
        )
        return made.assign_coords(level=("contrast", levels), curve="weight")


def passed(
    difference: np.ndarray, levels: np.ndarray, weights: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return `crossing` and `width` of the mean curve, with percentile intervals, (metric,).

    Parameters
    ----------
    difference : (stimulus, level, metric)
    levels : (level,)
    weights : (resample, stimulus)
    """
    mean = difference.mean(0)
    drawn = np.einsum("bs,slm->blm", weights, difference, optimize=True)
    found = {"crossing": (passing(mean, levels), passing(drawn, levels))}
    found["width"] = _width(mean, levels), _width(drawn, levels)
    return {name: (value, *_ends(each)) for name, (value, each) in found.items()}


def passing(values: np.ndarray, levels: np.ndarray, height: Any = 0.0) -> np.ndarray:
    """Return where curves first fall through a height, by straight lines between levels.

    Parameters
    ----------
    values : (..., level, metric)
    levels : (level,)
        Ascending.
    height : float, or (..., metric)

    Returns
    -------
    (..., metric); NaN where a curve does not fall through it
    """
    above = values - np.asarray(height)[..., None, :] if np.ndim(height) else values - height
    falls = (above[..., :-1, :] >= 0) & (above[..., 1:, :] < 0)
    first = falls.argmax(-2)
    a, b = (
        np.take_along_axis(part, first[..., None, :], -2)[..., 0, :]
        for part in (above[..., :-1, :], above[..., 1:, :])
    )
    step = np.divide(a, a - b, out=np.zeros_like(a), where=a != b)
    found = levels[first] + step * (levels[first + 1] - levels[first])
    return np.where(falls.any(-2), found, np.nan)


def _ends(drawn: np.ndarray) -> np.ndarray:
    """Return 2.5 and 97.5 percentiles, (2, metric); NaN where over a twentieth has no value."""
    found = np.full((2, drawn.shape[-1]), np.nan)
    for m, column in enumerate(drawn.T):
        there = column[np.isfinite(column)]
        if len(there) > 0.95 * len(column):
            found[:, m] = np.percentile(there, [2.5, 97.5])
    return found


def _width(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the span between half of the first value and half of the last, over the whole."""
    start, end = (passing(values, levels, values[..., k, :] / 2) for k in (0, -1))
    return (end - start) / (levels[-1] - levels[0])


def rank_correlations(difference: np.ndarray) -> np.ndarray:
    """Return each stimulus' rank correlation with the level, (stimulus, metric); 0 if constant."""
    from scipy.stats import rankdata

    ranks = rankdata(difference, axis=1) - (difference.shape[1] + 1) / 2
    steps = np.arange(difference.shape[1]) - (difference.shape[1] - 1) / 2
    size = np.sqrt((ranks**2).sum(1) * (steps**2).sum())
    top = np.einsum("slm,l->sm", ranks, steps)
    return np.divide(top, size, out=np.zeros_like(top), where=size > 0)
