"""Curves: scores over doses, fractions or weights, against no change and against controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt

from insilico.errors import ParameterError, SchemaError, counted
from insilico.statistics import intervals
from insilico.statistics.contrasts import (
    ORDER,
    averaged,
    chance_levels,
    labelled,
    regions_of,
    require_conditions,
    require_metrics,
    spread_over,
    tested,
    upward,
)
from insilico.statistics.flips import told
from insilico.step import Step, generator


class DoseResponse(Step):
    """How scores change along a curve, stimulus by stimulus: level by level, and as a trend.

    Parameters
    ----------
    of : str
        Name of the conditions of a curve: a perturbation whose dose, fraction or weight is a list,
        of one region or of several.
    against : str, optional
        One condition, such as the intact one: level zero of every curve. Left out, it is the
        lowest level of each curve itself.
    control : str, optional
        Name of matched controls with the same regions and levels.
    scores : dict of str to str, optional
        Region to the metric that is read for it, such as ``{face: faces}``; every region of the
        curve must have one. Left out, all metrics are read for all regions.
    n : int
        Sign flips; all 2^stimuli if they are fewer.
    seed : int
    """

    kind: ClassVar[str] = "dose_response"
    version: ClassVar[int] = 5  # smallest_p of every row
    of: str
    against: str | None = None
    control: str | None = None
    scores: dict[str, str] | None = None
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Estimate the changes.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)
            With `level` on condition; draws are averaged.

        Returns
        -------
        estimate, (contrast, metric)
            One contrast for each region and level, with the coordinates `area` and `level`.
            `effect` is the change from level zero (positive is better, whatever the metric's
            direction), `value` the mean score, `base` that of level zero, `spread` the standard
            deviation of `value` over masks (NaN where there is one). `trend` is the slope
            over the ranks of the levels, level zero included: the change for each step, repeated
            over the levels of a region and corrected over regions. With a control the same stand
            beside as `*_control`, of the change beyond that of the controls; `control_value`,
            `control_base` and `control_ci_low`, `control_ci_high` are of the controls' own change.
            `chance_level` holds chance, `least` and `most` (metric) the lowest and highest score of
            one stimulus. With `scores` the metric is ``preferred``, and the coordinate `score` says
            which one each contrast's is.

        Raises
        ------
        SchemaError, ParameterError
        """
        self.require(scores)
        scores = own_metric(scores, self._metrics(scores)) if self.scores else scores
        curves = along(scores, self.of)
        zero = self._zero(scores, curves)
        change = curves.values - zero
        rows = self._rows(change, "own")
        rows |= {"value": _flat(curves.values.mean(0)), "base": _flat(zero.mean(0))}
        rows["spread"] = _flat(curves.spread)
        if self.control:
            controls = along(scores, self.control, curves)
            theirs = self._zero(scores, controls)
            beyond = self._rows(change - (controls.values - theirs), "against control")
            rows |= {f"{k}_control": v for k, v in beyond.items() if k != "n"}
            rows["control_value"] = _flat(controls.values.mean(0))
            rows["control_base"] = _flat(theirs.mean(0))
            rows |= self._interval_of(controls.values - theirs)
        rows["chance_level"] = _flat(curves.chance)
        rows = _without_zero(rows, curves, self.against)
        every = upward(scores)
        rows |= {"least": every.min((0, 1, 2)), "most": every.max((0, 1, 2))}
        return self._labelled(rows, curves, scores)

    def require(self, *given: xr.Dataset) -> None:
        """Raise unless conditions are curves, and have the metrics asked for."""
        (scores,) = given
        names = [name for name in (self.of, self.against, self.control) if name]
        require_conditions(scores, names, self.kind)
        self._metrics(scores)
        curves = along(scores, self.of)
        if len(curves.levels) < 2 and self.against is None:
            raise SchemaError(
                f"dose_response: '{self.of}' has one level, {curves.levels[0]:g}, which is level "
                "zero of its curve: give it two or more, or name a condition without change "
                "(against: intact)"
            )
        if self.control:
            along(scores, self.control, curves)

    def _metrics(self, scores: xr.Dataset) -> dict[str, str]:
        if not self.scores:
            return {}
        asked = dict(self.scores)
        require_metrics(scores, asked.values())
        known = sorted({_area(label) for label in regions_of(scores, self.of)})
        for area in known:
            if area not in asked:
                raise ParameterError(
                    f"dose_response: scores name no metric for '{area}': "
                    f"write one for each of {', '.join(known)}"
                )
        return asked

    def _zero(self, scores: xr.Dataset, curves: Curves) -> np.ndarray:
        """Return level zero of every curve, (stimulus, area, level, metric), the same at all."""
        lowest = curves.values[:, :, :1]
        if self.against is not None and self.scores:
            lowest = _of_area(scores, self.against, curves.areas)
        elif self.against is not None:
            own = scores["name"].values.astype(str) == self.against
            lowest = upward(scores)[own].mean((0, 2))[:, None, None]
        return np.broadcast_to(lowest, curves.values.shape)

    def _rows(self, change: np.ndarray, what: str) -> dict[str, Any]:
        """Return tests of changes and of trends, (area * level, metric)."""
        stimuli, areas, levels, metrics = change.shape
        new = change if self.against else change[:, :, 1:]
        flat = new.reshape(stimuli, 1, -1, metrics)
        rows = tested(flat, self.n, "bca", self.seed, self.kind, self.of, what)
        if not self.against:
            rows = {k: _with_zero(v, areas) for k, v in rows.items()}
        steps = change if not self.against else np.concatenate([0 * change[:, :, :1], change], 2)
        slope = np.einsum("salm,l->sam", steps, _slope(steps.shape[2]))
        found = tested(slope[:, None], self.n, "bca", self.seed, self.kind, self.of, what, "trend")
        named = {"effect": "trend", "ci_low": "trend_low", "ci_high": "trend_high"}
        named |= {"p": "trend_p", "p_corrected": "trend_p_corrected"}
        each = {new: np.repeat(found[old], levels, axis=0) for old, new in named.items()}
        return rows | each

    def _interval_of(self, change: np.ndarray) -> dict[str, np.ndarray]:
        """Return the ends of the intervals of the controls' change, (area * level, metric)."""
        rng = generator(self.seed, self.kind, self.of, "controls", "interval")
        ends = intervals.bca(change.reshape(len(change), -1), rng)
        names = ("control_ci_low", "control_ci_high")
        return {k: _flat(e.reshape(change.shape[1:])) for k, e in zip(names, ends, strict=True)}

    def _labelled(self, rows: dict[str, Any], curves: Curves, scores: xr.Dataset) -> xr.Dataset:
        kept = slice(None) if self.against else slice(1, None)
        levels, stimuli = curves.levels[kept], scores.sizes["stimulus"]
        own = scores["region"].values[scores["name"].values == self.of]
        masks = int(np.unique(own, return_counts=True)[1].max())
        names = [f"{area}, {level:g}" if area else f"{level:g}" for area in curves.areas
                 for level in levels]  # fmt: skip
        held = (
            f"; against '{self.control}': no more than the matched places" if self.control else ""
        )
        zero = self.against or f"level {curves.levels[0]:g}"
        over = f"{len(names)} regions and levels"
        trends = f"; trends over {len(curves.areas)} regions"
        if len(curves.areas) == 1:
            over, trends = counted(len(names), "level"), ""
        made = labelled(
            rows,
            names,
            scores,
            statistic=f"{self.of} minus {zero}, mean over stimuli; positive is more",
            test=told(stimuli, self.n) + averaged(masks),
            null="differences symmetric about zero" + held,
            correction=f"maximum of |t| over {over}, per metric{trends}",
            interval=intervals.told("bca"),
            smallest_p=float(rows["smallest_p"].min()),
        )
        if self.scores:
            own = np.repeat([self.scores[area] for area in curves.areas], len(levels))
            made = made.assign_coords(score=("contrast", own))
        return made.assign_coords(
            area=("contrast", np.repeat(curves.areas, len(levels))),
            level=("contrast", np.tile(levels, len(curves.areas))),
            curve=curves.curve,
        )


@dataclass(frozen=True)
class Curves:
    """Scores along curves.

    Attributes
    ----------
    areas : list of str
        Regions; one empty name where the curve is of one thing.
    levels : (level,)
        Ascending.
    curve : str
        What the levels are: dose, fraction or weight.
    values : (stimulus, area, level, metric)
        Higher is better; draws are averaged, and several conditions of one place (controls, masks).
    chance : (area, level, metric)
    spread : (area, level, metric)
        Standard deviation of the mean score over conditions of one place; NaN where there is one.
    """

    areas: list[str]
    levels: np.ndarray
    curve: str
    values: np.ndarray
    chance: np.ndarray
    spread: np.ndarray


def along(scores: xr.Dataset, name: str, like: Curves | None = None) -> Curves:
    """Return the curves of a name of conditions.

    Parameters
    ----------
    scores : score, (condition, stimulus, draw, metric)
    name : str
    like : Curves, optional
        Whose areas and levels they must have.

    Raises
    ------
    SchemaError
        No levels, or other areas and levels than `like`.
    """
    own = scores.isel(condition=np.flatnonzero(scores["name"].values.astype(str) == name))
    if "level" not in own.coords or not np.isfinite(own["level"].values).all():
        raise SchemaError(
            f"'{name}' is no curve: give its perturbation a list, such as dose: [1, 2, 4] or "
            "fraction: [0.2, 0.5, 0.8]"
        )
    labels, level = own["region"].values.astype(str), own["level"].values
    areas = list(dict.fromkeys(map(_area, labels))) if like is None else like.areas
    levels = np.unique(level) if like is None else like.levels
    value, chance = upward(own).mean(2), chance_levels(own)
    place = np.array([_area(label) for label in labels])
    found = [[(place == area) & (level == one) for one in levels] for area in areas]
    if not all(cell.any() for row in found for cell in row):
        raise SchemaError(f"'{name}' lacks some of the regions {areas} at the levels {levels}")
    values = np.stack([np.stack([value[cell].mean(0) for cell in row], 1) for row in found], 1)
    chances = np.stack([np.stack([chance[cell].mean(0) for cell in row]) for row in found])
    spread = [np.stack([spread_over(value[cell].mean(1)) for cell in row]) for row in found]
    curve = labels[0].rpartition(", ")[2].rpartition(" ")[0]
    return Curves(areas, levels, curve, values, chances, np.stack(spread))


def own_metric(scores: xr.Dataset, of_area: Mapping[str, str]) -> xr.Dataset:
    """Return scores with one metric, `preferred`: for each region the one that is its own.

    Conditions without a region of their own, such as the intact one, have a value for each region:
    `of_region`, (condition, stimulus, draw, area).
    """
    known, labels = list(scores["metric"].values.astype(str)), scores["region"].values.astype(str)
    at = np.array([known.index(of_area.get(_area(label), known[0])) for label in labels])
    values, rows = scores["value"].transpose(*ORDER), np.arange(len(at))
    every = values.values[..., [known.index(metric) for metric in of_area.values()]]
    definition = "; ".join(f"{area}: {metric}" for area, metric in of_area.items())
    chance = chance_levels(scores)[rows, at]
    own = scores.isel(metric=[0]).assign_coords(
        metric=["preferred"],
        definition=("metric", [definition]),
        direction=("metric", ["higher"]),
        chance=("metric", [float(chance.mean())]),
        chance_of_condition=(("condition", "metric"), chance[:, None]),
        area=list(of_area),
    )
    own["value"] = (ORDER, values.values[rows, :, :, at][..., None])
    own["of_region"] = ((*ORDER[:3], "area"), every)
    return own


def _of_area(scores: xr.Dataset, name: str, areas: list[str]) -> np.ndarray:
    """Return one condition's own metric of each area, (stimulus, area, 1, 1)."""
    own = scores["of_region"].sel(area=areas).values[scores["name"].values.astype(str) == name]
    return own.mean((0, 2))[:, :, None, None]


def _area(label: str) -> str:
    """Return the region in the label of one level: ``face`` of ``face, dose 4``."""
    return label.rpartition(", ")[0]


def _slope(n: int) -> np.ndarray:
    """Return weights that give the least-squares slope over n ranks."""
    ranks = np.arange(n) - (n - 1) / 2
    return ranks / (ranks**2).sum()


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1])


def _with_zero(rows: np.ndarray, areas: int) -> np.ndarray:
    """Return rows (area * level, metric) with a first level of NaN or 0 for each area."""
    split = rows.reshape(areas, -1, rows.shape[-1])
    return _flat(np.concatenate([split[:, :1], split], 1))


def _without_zero(rows: dict[str, Any], curves: Curves, against: str | None) -> dict[str, Any]:
    """Return rows without the lowest level of each area, where that is level zero."""
    if against:
        return rows
    areas = len(curves.areas)
    return {k: _flat(v.reshape(areas, -1, v.shape[-1])[:, 1:]) for k, v in rows.items()}
