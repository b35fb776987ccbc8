"""From scores of conditions to differences, stimulus by stimulus, and back to labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, listed, not_one_of
from insilico.schema import check
from insilico.statistics import intervals
from insilico.statistics.attainable import of_differences, of_flips
from insilico.statistics.flips import sign_flip_test
from insilico.step import generator

ORDER = ("condition", "stimulus", "draw", "metric")
ENOUGH = 6
"""Stimuli from which on a p below .05, and an interval of 95 % by resampling, can be had."""


def require_conditions(scores: xr.Dataset, names: Iterable[str], kind: str) -> None:
    """Raise unless these are scores with these conditions, two stimuli or more, and no NaN."""
    check(scores, "score")
    if "condition" not in scores.dims:
        raise SchemaError(f"{kind}: scores of several conditions are needed (condition)")
    if "stimulus" not in scores.dims:
        raise SchemaError(
            f"{kind}: {listed(scores['metric'].values)} score sets, not stimuli; add a score of "
            "single pictures, such as pixcorr"
        )
    known = list(dict.fromkeys(scores["name"].values.astype(str)))
    for asked in names:
        if asked not in known:
            raise ParameterError(not_one_of("condition", asked, known))
    if scores.sizes["stimulus"] < 2:
        raise SchemaError(f"{kind}: at least two stimuli are needed")
    finite = xr.apply_ufunc(np.isfinite, scores["value"]).all(("condition", "stimulus", "draw"))
    if not finite.all():
        bad = scores["metric"].values[~finite.values]
        raise SchemaError(f"{kind}: NaN in the scores {listed(bad)}")


def require_metrics(scores: xr.Dataset, names: Iterable[str]) -> None:
    """Raise unless scores hold these metrics."""
    known = scores["metric"].values.astype(str)
    for asked in names:
        if asked not in known:
            raise ParameterError(not_one_of("metric", asked, known))


def upward(scores: xr.Dataset) -> np.ndarray:
    """Return values (condition, stimulus, draw, metric), turned so that higher is better."""
    sign = np.where(scores["direction"].values == "lower", -1.0, 1.0)
    return scores["value"].transpose(*ORDER).values * sign


def regions_of(scores: xr.Dataset, name: str) -> list[str]:
    """Return the regions that a name of conditions stands for, in order; ``[""]`` for none."""
    own = scores["name"].values.astype(str) == name
    return list(dict.fromkeys(scores["region"].values[own].astype(str)))


def effects(
    scores: xr.Dataset, of: str, against: str, kind: str, regions: Sequence[str] | None = None
) -> np.ndarray:
    """Return how much better `of` scores than `against`; negative is loss in every metric.

    Parameters
    ----------
    scores : score, (condition, stimulus, draw, metric)
    of : str
        May stand for one condition per region, or for several (controls): those are averaged.
    against : str
        One condition.
    regions : list of str, optional
        In this order; those of `of`, in theirs, by default.

    Returns
    -------
    (stimulus, draw, region, metric)
    """
    values, found = upward(scores), []
    names, places = (scores[key].values.astype(str) for key in ("name", "region"))
    base = values[names == against]
    if len(base) != 1:
        raise SchemaError(f"{kind}: {len(base)} conditions are named '{against}', not one")
    for region in regions_of(scores, of) if regions is None else regions:
        rows = (names == of) & (places == region)
        if not rows.any():
            raise SchemaError(f"{kind}: the region '{region}' has no '{of}'")
        found.append(values[rows].mean(0) - base[0])
    return np.stack(found, axis=2)


def chance_levels(scores: xr.Dataset) -> np.ndarray:
    """Return chance, (condition, metric): each condition's own, or else the metric's."""
    if "chance_of_condition" in scores.coords:
        return scores["chance_of_condition"].transpose("condition", "metric").values
    shape = (scores.sizes["condition"], scores.sizes["metric"])
    return np.broadcast_to(scores["chance"].values, shape)


def averaged(many: int) -> str:
    """Say of how many conditions (masks, controls) levels are means; nothing of one."""
    return f"; levels are means of {many} conditions" if many > 1 else ""


def spread_over(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation over the first axis, repeats of one thing; NaN for one."""
    return values.std(0, ddof=1) if len(values) > 1 else np.full(values.shape[1:], np.nan)


def effects_of_rows(
    scores: xr.Dataset, of: str, against: str, region: str | None = None
) -> np.ndarray:
    """Return the mean effect of every condition of a name (and region), (condition, metric)."""
    values = upward(scores).mean((1, 2))
    names = scores["name"].values.astype(str)
    own = names == of
    if region is not None:
        own &= scores["region"].values.astype(str) == region
    return values[own] - values[names == against][0]


def tested(
    differences: np.ndarray, flips: int, interval: str, *names: object
) -> dict[str, np.ndarray]:
    """Test means against zero, one family of contrasts per metric.

    Parameters
    ----------
    differences : (stimulus, draw, contrast, metric)
    flips : int
        Of signs.
    interval : str
        One of `insilico.statistics.intervals.KINDS`.
    *names
        Seed and names of the random generator, to which the metric's number is added.

    Returns
    -------
    dict of effect, ci_low, ci_high, p, p_corrected, smallest_p and n, (contrast, metric)
    """
    mean = differences.mean(1)
    stimuli, *shape = mean.shape
    rows = {"effect": mean.mean(0), "n": np.full(shape, stimuli)}
    rows["smallest_p"] = of_differences(mean, flips)
    rows |= {name: np.empty(shape) for name in ("ci_low", "ci_high", "p", "p_corrected")}
    for m in range(shape[1]):
        rng = generator(*names, m)  # type: ignore[arg-type]
        rows["p"][:, m], rows["p_corrected"][:, m] = sign_flip_test(mean[..., m], flips, rng)
        given = differences if interval == "two_way" else mean
        ends = getattr(intervals, interval)(given[..., m], rng)
        rows["ci_low"][:, m], rows["ci_high"][:, m] = ends
    return rows


def few_stimuli(stimuli: int, interval: str) -> str:
    """Say what so few stimuli cannot give; nothing where they are enough."""
    least = of_flips(stimuli, 2**stimuli)
    if least <= 0.05:
        return ""
    said = f"{stimuli} stimuli: sign flips have no p below {least:.3g}: nothing is significant"
    if "bootstrap-t" not in interval:
        said += f", and an interval by resampling covers {1 - least:.3g} of the time at most"
    return f"{said}; show {ENOUGH} or more"


def labelled(
    rows: Mapping[str, Any],
    contrasts: Sequence[str],
    scores: xr.Dataset,
    unit: str = "stimulus",
    **attrs: Any,
) -> xr.Dataset:
    """Return an estimate of rows, (contrast, metric), or (contrast) or (metric).

    Parameters
    ----------
    rows : dict of arrays
        Of shape (contrast, metric), with some of (metric,); or all of (contrast,).
    contrasts : list of str
    scores : score
        Metrics, source and notes are taken over.
    unit : str
        Of inference.
    **attrs
    """
    by_metric = any(np.ndim(values) == 2 for values in rows.values())
    coords: dict[str, Any] = {"contrast": list(contrasts)}
    if by_metric:
        coords["metric"] = scores["metric"].values
        coords |= {key: ("metric", scores[key].values) for key in ("direction", "chance")}
    short = ("metric",) if by_metric else ("contrast",)
    dims = {2: ("contrast", "metric"), 1: short}
    variables = {name: (dims[np.ndim(values)], values) for name, values in rows.items()}
    kept = {k: scores.attrs[k] for k in ("source", "note", "lesion") if k in scores.attrs}
    about = {**attrs, "unit_of_inference": unit, **kept}
    if "smallest_p" in rows and (said := few_stimuli(scores.sizes["stimulus"], attrs["interval"])):
        about["caution"] = "; ".join(filter(None, (attrs.get("caution"), said)))
    return xr.Dataset(variables, coords=coords, attrs=about)
