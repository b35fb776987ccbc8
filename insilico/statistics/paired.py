"""Paired effects across stimuli: a lesion against the intact chain, and against its controls."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import NonNegativeInt, PositiveInt

from insilico.errors import ParameterError, SchemaError, listed, not_one_of
from insilico.schema import check
from insilico.step import Step, generator


def t_values(differences: np.ndarray) -> np.ndarray:
    """Return one-sample t over the first axis; 0 where the differences are all zero."""
    n = len(differences)
    mean, spread = differences.mean(0), differences.std(0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = mean / (spread / np.sqrt(n))
    return np.where(np.abs(mean) < 1e-15, 0.0, t)


def signs(n: int, permutations: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Return sign flips, (flip, n), identity first: all 2^n if they are no more than asked for."""
    if 2**n <= permutations:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return 1.0 - 2.0 * bits, True
    drawn = rng.integers(0, 2, (permutations, n)) * 2.0 - 1.0
    return np.concatenate([np.ones((1, n)), drawn]), False


def smallest_p(stimuli: int, permutations: int) -> float:
    """Return the least two-sided p that so many stimuli and sign flips allow."""
    return 2.0 ** (1 - stimuli) if 2**stimuli <= permutations else 1 / (permutations + 1)


def sign_flip_test(
    differences: np.ndarray, permutations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Test mean differences against zero, two-sided, by flipping signs of whole stimuli.

    Parameters
    ----------
    differences : (stimulus, contrast)

    Returns
    -------
    p, p_corrected : (contrast,)
        Corrected by the maximum of abs(t) over contrasts. The smallest p that can be had is
        1 / 2^(n-1) if all flips are enumerated, else 1 / (permutations + 1).
    """
    flips, _ = signs(len(differences), permutations, rng)
    n, square = len(differences), (differences**2).mean(0)
    mean = flips @ differences / n
    with np.errstate(invalid="ignore", divide="ignore"):
        null = np.abs(mean) / np.sqrt(np.maximum(square - mean**2, 0) / (n - 1))
    null = np.where(np.abs(mean) < 1e-15, 0.0, null)
    observed, close = null[0], 1 - 1e-9  # equal up to rounding counts as equal
    p = (null >= observed * close).mean(0)
    return p, (null.max(1)[:, None] >= observed * close).mean(0)


def interval(differences: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % BCa bootstrap interval of a mean; a point if all values agree."""
    from scipy.stats import bootstrap

    if np.ptp(differences) < 1e-15:
        return float(differences[0]), float(differences[0])
    found = bootstrap((differences,), np.mean, n_resamples=9999, method="BCa", rng=rng)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def require_conditions(scores: xr.Dataset, names: tuple[str, ...], kind: str) -> None:
    """Raise unless scores hold these conditions, two stimuli or more, and no NaN."""
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


class Paired(Step):
    """Difference of two conditions' scores, stimulus by stimulus.

    Parameters
    ----------
    of, against : str
        Names of the conditions. `of` may stand for one condition per region.
    control : str, optional
        Name of the matched controls; each region's effect is also held against the mean effect
        of its controls.
    reference : str, optional
        Name of a condition drawn beside the effects, such as measured fMRI.
    over : {"stimulus"}
        Unit of inference; draws are averaged first.
    correct : {"max"}
        Maximum over regions of abs(t), per metric.
    n : int
        Sign flips; all 2^stimuli if they are fewer.
    seed : int
    """

    kind: ClassVar[str] = "paired"
    of: str
    against: str
    control: str | None = None
    reference: str | None = None
    over: Literal["stimulus"] = "stimulus"
    correct: Literal["max"] = "max"
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Estimate the effects.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)
            With the coordinates `name` and `region` on condition.

        Returns
        -------
        estimate, (contrast, metric). `effect` is negative where `of` scores worse, whatever the
        metric's direction; the variables of `*_control` hold the effect minus the controls'.
        """
        asked = (self.of, self.against, self.control, self.reference)
        require_conditions(check(scores, "score"), tuple(filter(None, asked)), self.kind)
        values = scores["value"].mean("draw").transpose("condition", "stimulus", "metric")
        worse = np.where(scores["direction"].values == "lower", -1.0, 1.0)
        names, regions = (scores[key].values.astype(str) for key in ("name", "region"))
        base = values.values[names == self.against]
        if len(base) != 1:
            raise SchemaError(f"paired: {len(base)} conditions are named '{self.against}', not one")
        effects = (values.values - base[0]) * worse
        order = list(dict.fromkeys(regions[names == self.of]))
        lesion = np.stack([effects[(names == self.of) & (regions == r)].mean(0) for r in order], 1)
        rows = self._tested(lesion, "effect")
        if self.control:
            kept = [effects[(names == self.control) & (regions == r)] for r in order]
            if any(len(part) == 0 for part in kept):
                raise SchemaError(f"paired: a region of '{self.of}' has no '{self.control}'")
            controls = np.stack([part.mean(0) for part in kept], 1)
            rows["control_effect"] = controls.mean(0)
            each = [part.mean(1) for part in kept]
            rows["control_low"] = np.stack([part.min(0) for part in each])
            rows["control_high"] = np.stack([part.max(0) for part in each])
            tested = self._tested(lesion - controls, "against control")
            rows |= {f"{key}_control": value for key, value in tested.items() if key != "n"}
        result = self._labelled(rows, order, scores, base[0])
        if "colour" in scores.coords:
            own = names == self.of
            colours = dict(zip(regions[own], scores["colour"].values[own], strict=True))
            result = result.assign_coords(colour=("contrast", [colours[r] for r in order]))
        if self.reference:
            aside = effects[names == self.reference].mean((0, 1))
            result = result.assign(reference_effect=("metric", aside))
            result.attrs["reference"] = f"{self.reference} minus {self.against}"
        return result

    def _tested(self, differences: np.ndarray, what: str) -> dict[str, np.ndarray]:
        """Test (stimulus, contrast, metric), one family of contrasts per metric."""
        stimuli, contrasts, metrics = differences.shape
        rows = {"effect": differences.mean(0), "n": np.full((contrasts, metrics), stimuli)}
        with np.errstate(invalid="ignore", divide="ignore"):
            rows["d_z"] = np.where(
                rows["effect"] == 0, 0.0, rows["effect"] / differences.std(0, ddof=1)
            )
        for name in ("ci_low", "ci_high", "p", "p_corrected"):
            rows[name] = np.empty((contrasts, metrics))
        for m in range(metrics):
            rng = generator(self.seed, "paired", self.of, what, m)
            rows["p"][:, m], rows["p_corrected"][:, m] = sign_flip_test(
                differences[..., m], self.n, rng
            )
            for c in range(contrasts):
                low, high = interval(differences[:, c, m], rng)
                rows["ci_low"][c, m], rows["ci_high"][c, m] = low, high
        return rows

    def _labelled(
        self, rows: dict[str, np.ndarray], order: list[str], scores: xr.Dataset, base: np.ndarray
    ) -> xr.Dataset:
        stimuli = scores.sizes["stimulus"]
        enumerated = 2**stimuli <= self.n
        return xr.Dataset(
            {name: (("contrast", "metric"), value) for name, value in rows.items()}
            | {"against": ("metric", base.mean(0))},
            coords={
                "contrast": [name or self.of for name in order],
                "metric": scores["metric"].values,
                **{key: ("metric", scores[key].values) for key in ("direction", "chance")},
            },
            attrs={
                "statistic": f"{self.of} minus {self.against}, mean over stimuli; negative is loss",
                "test": ("all" if enumerated else str(self.n))
                + " sign flips of stimuli, two-sided",
                "null": "differences symmetric about zero"
                + (
                    f"; against '{self.control}': no more than the matched patches"
                    if self.control
                    else ""
                ),
                "correction": f"maximum of |t| over {len(order)} contrasts, per metric",
                "interval": "95 % BCa, 9999 resamples of stimuli",
                "smallest_p": smallest_p(stimuli, self.n),
                "unit_of_inference": "stimulus",
                **{k: scores.attrs[k] for k in ("source", "note", "lesion") if k in scores.attrs},
            },
        )
