"""Double dissociations: one lesion costs one score, another lesion another score."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt, ValidationInfo, field_validator

from insilico.errors import ParameterError, not_one_of
from insilico.statistics import intervals
from insilico.statistics.attainable import of_differences
from insilico.statistics.contrasts import (
    effects,
    labelled,
    regions_of,
    require_conditions,
    require_metrics,
    upward,
)
from insilico.statistics.flips import sign_flip_test, told
from insilico.step import Step, generator

Sides = dict[str, tuple[str, ...]]
SUCH_AS: dict[str | None, str] = {
    "regions": "[V1, FFA] or {early: [V1, V2], late: [FFA]}",
    "scores": "[pixcorr, clip_cosine] or {picture: [pixcorr, ssim], meaning: [clip_cosine]}",
}


class Interaction(Step):
    """Region by score: the difference of differences, and both simple effects.

    Parameters
    ----------
    of, against : str
        Names of the conditions; `of` stands for one per region.
    regions : list of two, or dict of two lists
        ``[V1, FFA]``, or ``{early: [V1, V2], ventral: [FFA, PPA]}``: losses are averaged.
    scores : list of two, or dict of two lists
        Metrics, in the order that is expected: the first region is thought to matter for the
        first score, the second for the second.
    alpha : float
        Of the verdict.
    n : int
        Sign flips; all 2^stimuli if they are fewer.
    seed : int

    Notes
    -----
    A score's losses are divided by its standard deviation over all stimuli, intact and after both
    lesions: sign flips, which exchange the regions within a stimulus, leave that scale as it is.
    """

    kind: ClassVar[str] = "interaction"
    version: ClassVar[int] = 2
    of: str
    against: str
    regions: Sides
    scores: Sides
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    n: PositiveInt = 10_000
    seed: NonNegativeInt = 0

    @field_validator("regions", "scores", mode="before")
    @classmethod
    def _two_sides(cls, given: Any, info: ValidationInfo) -> Any:
        if isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
            given = {name: (name,) for name in given}
        if isinstance(given, dict):
            given = {k: (v,) if isinstance(v, str) else tuple(v) for k, v in given.items()}
        if not isinstance(given, dict) or len(given) != 2 or not all(given.values()):
            raise ValueError(f"two different ones are compared, such as {SUCH_AS[info.field_name]}")
        return given

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Test the interaction.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)

        Returns
        -------
        estimate, (contrast,)
            Losses are positive here, in standard deviations of the score. Contrasts:
            ``interaction``, the loss of the first score by the first region beyond the second's,
            plus the same of the second score; ``A > B: s`` for each score; and the four losses.
            The attribute `dissociation` says ``double`` only where the interaction and both simple
            effects are positive with p < alpha: all must hold, so none is corrected.
        """
        cells = self._cells(scores)
        simple = np.stack([cells[:, 0, 0] - cells[:, 1, 0], cells[:, 1, 1] - cells[:, 0, 1]], 1)
        tested = np.column_stack([simple.sum(1), simple, cells.reshape(len(cells), 4)])
        rng = generator(self.seed, "interaction", self.of)
        rows: dict[str, Any] = {"effect": tested.mean(0), "n": np.full(7, len(tested))}
        rows["p"] = np.array([sign_flip_test(c[:, None], self.n, rng)[0][0] for c in tested.T])
        rows["p_corrected"], rows["smallest_p"] = rows["p"], of_differences(tested, self.n)
        rows["ci_low"], rows["ci_high"] = intervals.bca(tested, rng)
        (a, b), (one, two) = self.regions, self.scores
        names = ["interaction", f"{a} > {b}: {one}", f"{b} > {a}: {two}"]
        names += [f"loss of {score} by {region}" for region in (a, b) for score in (one, two)]
        return labelled(
            rows,
            names,
            scores,
            statistic=f"standardised loss of {self.of} against {self.against}; positive is loss",
            test=told(len(tested), self.n),
            null="regions can be exchanged within stimuli",
            correction="none: a dissociation needs the interaction and both simple effects",
            interval=intervals.told("bca"),
            smallest_p=float(rows["smallest_p"].min()),
            dissociation=self._verdict(rows["effect"], rows["p"]),
        )

    def _verdict(self, effect: np.ndarray, p: np.ndarray) -> str:
        interaction, *both = (effect[:3] > 0) & (p[:3] < self.alpha)
        if interaction and all(both):
            return "double"
        return "single" if interaction and any(both) else "none"

    def _cells(self, scores: xr.Dataset) -> np.ndarray:
        """Return standardised losses, (stimulus, region, score)."""
        require_conditions(scores, (self.of, self.against), self.kind)
        require_metrics(scores, [m for side in self.scores.values() for m in side])
        known = regions_of(scores, self.of)
        for name in (r for side in self.regions.values() for r in side):
            if name not in known:
                raise ParameterError(not_one_of(f"region of '{self.of}'", name, known))
        losses = [
            -effects(scores, self.of, self.against, self.kind, side).mean((1, 2))
            for side in self.regions.values()
        ]
        cells = np.stack(losses, 1)
        intact = upward(scores)[scores["name"].values.astype(str) == self.against].mean(2)
        levels = np.concatenate([intact, intact - cells.transpose(1, 0, 2)])
        scale = levels.std((0, 1))
        cells = np.divide(cells, scale, out=np.zeros_like(cells), where=scale > 1e-15)
        metrics = scores["metric"].values.astype(str)
        return np.stack([cells[..., np.isin(metrics, s)].mean(-1) for s in self.scores.values()], 2)
