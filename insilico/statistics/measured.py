"""Measured responses as statistics take them: the mean over real repeats, and its ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike

from insilico.errors import SchemaError, listed
from insilico.schema import place_of
from insilico.statistics.ceilings import ceiling, reliability

Source = Literal["noise", "ncsnr"]
"""Where a ceiling comes from: the repeats at hand (anova), or the recording's own maps."""


@dataclass(frozen=True)
class Measured:
    """Repeats of a response.

    Attributes
    ----------
    bold : float32 (repeat, stimulus, place)
    counts : int (stimulus,)
        How many of a stimulus's repeats are real; padding comes after them.
    trials : int (stimulus,)
        Trials behind the mean of each stimulus: as many, or those that were averaged before.
    ncsnr : (place,), optional
        The recording's own signal-to-noise ratio of one trial, where it is to give the ceiling.
    """

    bold: np.ndarray
    counts: np.ndarray
    trials: np.ndarray
    ncsnr: np.ndarray | None = None

    def mean(self, dtype: DTypeLike | None = None) -> np.ndarray:
        """Return the mean over real repeats, (stimulus, place)."""
        if self._even:
            return self.bold.mean(0, dtype=dtype)
        real = (np.arange(len(self.bold))[:, None] < self.counts)[..., None]
        return self.bold.mean(0, dtype=dtype, where=real)

    def ceiling(self) -> np.ndarray:
        """Return the noise ceiling of that mean, (place,), in R² units."""
        if self.ncsnr is not None:
            square = self.ncsnr.astype(np.float64) ** 2
            return ceiling(square, np.ones_like(square), self.trials)
        return reliability(self.bold, None if self._even else self.counts)

    def of(self, rows: np.ndarray) -> Measured:
        """Return some of the stimuli."""
        return Measured(self.bold[:, rows], self.counts[rows], self.trials[rows], self.ncsnr)

    def about(self) -> dict[str, Any]:
        """Return attributes that say where the ceiling comes from."""
        averaged = f"mean of 1/k = {np.mean(1 / self.trials):.4g}"
        source = "anova, these repeats" if self.ncsnr is None else "the recording's ncsnr maps"
        return {"ceiling_from": f"{source}; {averaged}"}

    @property
    def _even(self) -> bool:
        return bool((self.counts == len(self.bold)).all())


def measured_of(
    response: xr.Dataset, stimuli: Sequence[str] | np.ndarray, who: str, source: Source = "noise"
) -> Measured:
    """Return the repeats of some stimuli of a response, in their order.

    Parameters
    ----------
    response : response, ([repeat,] stimulus, place)
        A coordinate `n_repeats` (stimulus) says how many repeats are real, or were averaged.
    stimuli : sequence of str
    who : str
        For errors: the statistic.
    source : {"noise", "ncsnr"}

    Raises
    ------
    SchemaError
        If a stimulus was not measured, or the response has no `ncsnr` where it is asked for.
    """
    missing = sorted(set(stimuli) - set(response["stimulus"].values))
    if missing:
        raise SchemaError(f"{who}: not measured: {listed(missing, 3)}")
    own = response.sel(stimulus=np.asarray(stimuli))
    bold = own["bold"] if "repeat" in own["bold"].dims else own["bold"].expand_dims("repeat")
    repeats, shown = bold.sizes["repeat"], own.get("n_repeats", xr.DataArray(bold.sizes["repeat"]))
    trials = np.broadcast_to(shown.values, (bold.sizes["stimulus"],))
    counts = np.minimum(trials, repeats)
    return Measured(
        bold.transpose("repeat", "stimulus", place_of(response)).values,
        counts,
        counts if "repeat" in own["bold"].dims else trials,
        _ncsnr(own, who) if source == "ncsnr" else None,
    )


def _ncsnr(response: xr.Dataset, who: str) -> np.ndarray:
    if "ncsnr" not in response.coords:
        raise SchemaError(
            f"{who}: ceiling 'ncsnr' needs a response with the coordinate 'ncsnr'; recordings of "
            "NSD carry it where its maps are on the disk (insilico doctor). Else take ceiling "
            "'noise', from repeats"
        )
    return response["ncsnr"].values


def require_repeats(response: xr.Dataset, who: str, source: Source = "noise") -> None:
    """Raise if a ceiling is asked of repeats, and there are none."""
    if source == "noise" and response.sizes.get("repeat", 1) < 2:
        raise SchemaError(
            f"{who}: the noise ceiling needs repeats (repeats='keep'), or NSD's own maps "
            "(ceiling: ncsnr)"
        )
