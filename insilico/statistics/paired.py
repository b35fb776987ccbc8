"""Paired effects across stimuli: a lesion against the intact chain, and against its controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from insilico.errors import SchemaError, counted
from insilico.statistics import intervals
from insilico.statistics.contrasts import (
    effects,
    effects_of_rows,
    labelled,
    regions_of,
    require_conditions,
    require_metrics,
    tested,
)
from insilico.statistics.effects import d_z, d_z_interval, equivalence, verdict
from insilico.statistics.flips import told
from insilico.step import Step

Bound = Annotated[float, Field(gt=0, allow_inf_nan=False)]


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
    interval : {"bca", "studentised", "two_way"}
        Of the mean over stimuli; `two_way` resamples draws as well as stimuli.
    equivalent_within : float, or dict of metric to float, optional
        Largest difference, in units of the score, that counts as none: tests equivalence too.
    n : int
        Sign flips; all 2^stimuli if they are fewer.
    seed : int
    """

    kind: ClassVar[str] = "paired"
    version: ClassVar[int] = 5
    of: str
    against: str
    control: str | None = None
    reference: str | None = None
    over: Literal["stimulus"] = "stimulus"
    correct: Literal["max"] = "max"
    interval: Literal["bca", "studentised", "two_way"] = "bca"
    equivalent_within: Bound | dict[str, Bound] | None = None
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _equivalence_has_a_bound(self) -> Paired:
        named = "equivalent_within" in self.model_fields_set
        if named and not self.equivalent_within:
            raise ValueError(
                "equivalence needs a bound, set before the scores are seen: equivalent_within: "
                "0.02, or one for each metric, equivalent_within: {ssim: 0.02}"
            )
        return self

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
        With `equivalent_within` also `bound` (metric), `p_equivalent`, `ci90_low`, `ci90_high`
        and `verdict`.
        """
        self.require(scores)
        order = regions_of(scores, self.of)
        lesion, bound = effects(scores, self.of, self.against, self.kind), self._bound(scores)
        rows = self._tested(lesion, "effect", bound)
        if self.control:
            rows |= self._controlled(scores, lesion, order, bound)
        result = self._labelled(rows, order, scores)
        if "colour" in scores.coords:
            own = scores["name"].values.astype(str) == self.of
            pairs = zip(scores["region"].values[own], scores["colour"].values[own], strict=True)
            colours = dict(pairs)
            result = result.assign_coords(colour=("contrast", [colours[r] for r in order]))
        if self.reference:
            result.attrs["reference"] = f"{self.reference} minus {self.against}"
        return result

    def require(self, *given: xr.Dataset) -> None:
        """Raise if conditions or metrics are not there, or draws to resample."""
        (scores,) = given
        asked = (self.of, self.against, self.control, self.reference)
        require_conditions(scores, filter(None, asked), self.kind)
        if isinstance(self.equivalent_within, Mapping):
            require_metrics(scores, self.equivalent_within)
        if self.interval == "two_way" and scores.sizes["draw"] < 2:
            raise SchemaError(
                "paired: interval two_way resamples draws, and there is one: "
                "let the decoder draw more, or set interval: studentised"
            )

    def _bound(self, scores: xr.Dataset) -> np.ndarray:
        """Return the bound of equivalence of each metric; NaN for none."""
        within = self.equivalent_within
        metrics = scores["metric"].values.astype(str)
        given = within if isinstance(within, Mapping) else dict.fromkeys(metrics, within or np.nan)
        return np.array([given.get(metric, np.nan) for metric in metrics])

    def _controlled(
        self, scores: xr.Dataset, lesion: np.ndarray, order: list[str], bound: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the effects of the controls, their range, and the tests against them."""
        control = str(self.control)
        controls = effects(scores, control, self.against, self.kind, order)
        each = [effects_of_rows(scores, control, self.against, region) for region in order]
        rows = {
            "control_effect": controls.mean((0, 1)),
            "control_low": np.stack([part.min(0) for part in each]),
            "control_high": np.stack([part.max(0) for part in each]),
        }
        beyond = self._tested(lesion - controls, "against control", bound)
        return rows | {f"{key}_control": value for key, value in beyond.items() if key != "n"}

    def _tested(
        self, differences: np.ndarray, what: str, bound: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Test (stimulus, draw, contrast, metric), one family of contrasts per metric."""
        mean = differences.mean(1)
        rows = tested(differences, self.n, self.interval, self.seed, "paired", self.of, what)
        rows["d_z"] = d_z(mean)
        rows["d_z_low"], rows["d_z_high"] = d_z_interval(rows["d_z"], len(mean))
        if self.equivalent_within:
            names = ("p_equivalent", "ci90_low", "ci90_high")
            rows |= dict(zip(names, equivalence(mean, bound), strict=True))
            rows["verdict"] = verdict(rows["p"], rows["p_equivalent"])
        return rows

    def _labelled(
        self, rows: dict[str, np.ndarray], order: list[str], scores: xr.Dataset
    ) -> xr.Dataset:
        stimuli, names = scores.sizes["stimulus"], scores["name"].values.astype(str)
        means = scores["value"].mean(("stimulus", "draw")).transpose("condition", "metric").values
        aside = {"against": means[names == self.against][0]}
        if self.equivalent_within:
            aside["bound"] = self._bound(scores)
        if self.reference:
            own = effects_of_rows(scores, self.reference, self.against)
            aside["reference_effect"] = own.mean(0)
        held = f"; against '{self.control}': no more than the matched controls"
        more = {"equivalence": self._equivalence()} if self.equivalent_within else {}
        return labelled(
            rows | aside,
            [name or self.of for name in order],
            scores,
            statistic=f"{self.of} minus {self.against}, mean over stimuli; negative is worse",
            test=told(stimuli, self.n),
            null="differences symmetric about zero" + (held if self.control else ""),
            correction=f"maximum of |t| over {counted(len(order), 'contrast')}, per metric",
            interval=intervals.told(self.interval),
            smallest_p=float(rows["smallest_p"].min()),
            **more,
        )

    def _equivalence(self) -> str:
        within = self.equivalent_within
        named = within.items() if isinstance(within, Mapping) else [("each metric", within)]
        bounds = ", ".join(f"{metric} ±{bound:g}" for metric, bound in named)
        return f"two one-sided t tests within {bounds}; one contrast at a time, alpha .05"
