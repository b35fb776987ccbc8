"""How far two draws of one generator agree: a property of the generator, not of a brain."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xarray as xr

from insilico.errors import SchemaError
from insilico.schema import check
from insilico.statistics import jackknife
from insilico.statistics.ceilings import variances
from insilico.statistics.repeats import summed
from insilico.step import Step


def agreement(values: np.ndarray) -> float:
    """Return the share of variance of one draw that its stimulus explains, ICC(1, 1).

    Parameters
    ----------
    values : (stimulus, draw)
    """
    stimuli, draws = values.shape
    trials = values.reshape(-1, 1)
    signal, noise = variances(summed([trials], np.repeat(np.arange(stimuli), draws)))
    total = float(signal[0] + noise[0])
    return float(signal[0]) / total if total > 0 else np.nan


class DrawReliability(Step):
    """Draw-to-draw reliability of a generator's scores, condition by condition.

    The draws are the generator's own noise. Their number can be made as large as one likes, and
    their agreement says nothing of a brain: it is no noise ceiling.
    """

    kind: ClassVar[str] = "draw_reliability"

    def require(self, *given: xr.Dataset) -> None:
        """Raise if there is one draw, or too few stimuli."""
        sizes = check(given[0], "score").sizes
        if sizes.get("draw", 1) < 2:
            raise SchemaError(
                "draw_reliability: one draw a stimulus; ask the decoder for two or more (draws: 2)"
            )
        if (stimuli := sizes["stimulus"]) < 3:
            raise SchemaError(f"draw_reliability: {stimuli} stimuli; at least 3 are needed")

    def __call__(self, scores: xr.Dataset) -> xr.Dataset:
        """Estimate the reliability of one draw.

        Parameters
        ----------
        scores : score, (condition, stimulus, draw, metric)

        Returns
        -------
        estimate, (contrast, metric)
            `effect` is ICC(1, 1) over stimuli; negative where draws of a stimulus differ more
            than stimuli do.
        """
        self.require(scores)
        values = scores["value"].transpose("condition", "metric", "stimulus", "draw").values
        stimuli = values.shape[2]
        effect = np.array([[agreement(one) for one in row] for row in values])
        rest = [~np.eye(stimuli, dtype=bool)[k] for k in range(stimuli)]
        without = [[[agreement(one[k]) for one in row] for row in values] for k in rest]
        low, high = jackknife.interval(effect, np.array(without))
        none = np.full(effect.shape, np.nan)
        rows = {"effect": effect, "ci_low": low, "ci_high": high, "p": none, "p_corrected": none}
        rows["n"] = np.full(effect.shape, stimuli)
        return xr.Dataset(
            {name: (("contrast", "metric"), value) for name, value in rows.items()},
            coords={
                "contrast": scores["condition"].values,
                "metric": scores["metric"].values,
                "direction": ("metric", scores["direction"].values),
            },
            attrs={
                "statistic": "share of one draw's variance that the stimulus explains, ICC(1, 1)",
                "test": "none",
                "null": "none; draws of a generator are not a sample of a population",
                "correction": "none",
                "interval": "95 %, jackknife over stimuli (t)",
                "unit_of_inference": "stimulus",
                "draws": values.shape[3],
                **{k: scores.attrs[k] for k in ("source", "note") if k in scores.attrs},
            },
        )
