"""Stimulation: a region's response is raised, scaled or set, with a spread along the cortex."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from insilico.errors import SpaceError
from insilico.perturbations.fills import mean_of
from insilico.perturbations.perturbation import CHANGE, Perturbation
from insilico.schema import LESION, place_of
from insilico.spaces import fsaverage5, regions
from insilico.spaces.distances import distance_from

REACH = 4.0
"""Spreads beyond which a stimulation is nothing."""
SILENCE, IN_SD = ("elsewhere 'silence'", "elsewhere 'keep'"), ("unit 'sd'", "unit 'response'")
"""What needs responses to training stimuli, and what does not."""


class Stimulate(Perturbation):
    """Change a region's response by a dose, less with distance from it.

    Parameters
    ----------
    dose : float
        A protocol takes a list.
    mode : {"add", "scale", "set"}
        With w = 1 in the region: x + w dose; x (1 + w dose); x + w (dose - x). A dose of 0 does
        nothing in the first two, and holds the region at 0 in the third.
    unit : {"response", "sd"}
        Of a dose that is added or set: the response's own, or each place's standard deviation
        over the training stimuli, set from their mean.
    spread_mm : float
        Outside of the region w is exp(-d² / (2 spread²)), with d the distance in mm from it along
        the cortex; 0 acts on the region alone.
    elsewhere : {"keep", "silence"}
        What becomes of all other cortex: it is kept, or (reverse masking) each place that gets no
        dose is set to its mean over the training stimuli, so that the region speaks alone.

    The other parameters are those of every perturbation, see `Perturbation`.
    """

    kind: ClassVar[str] = "stimulate"
    says: ClassVar[str] = CHANGE
    version: ClassVar[int] = 2
    curve: ClassVar[str] = "dose"
    dose: float = Field(allow_inf_nan=False)
    mode: Literal["add", "scale", "set"] = "add"
    unit: Literal["response", "sd"] = "response"
    spread_mm: float = Field(0.0, ge=0, allow_inf_nan=False)
    elsewhere: Literal["keep", "silence"] = "keep"

    def told(self) -> str:
        """Say in a few words what is done."""
        unit = " sd" if self.unit == "sd" and self.mode != "scale" else ""
        spread = f", spread {self.spread_mm:g} mm" if self.spread_mm else ""
        alone = ", all else silenced" if self.elsewhere == "silence" else ""
        return f"stimulate ({self.mode} {self.dose:g}{unit}{spread}{alone})"

    def changed(
        self, response: xr.Dataset, mask: np.ndarray, training: xr.Dataset | None
    ) -> np.ndarray:
        """Return new bold, float32 (..., stimulus, place)."""
        weight = self.weight(mask, response)
        bold = self._dosed(response["bold"].values, weight, training)
        if self.elsewhere == "silence":
            lost = (weight == 0) & regions.mask(regions.CORTEX, of=response)
            rows = self.rows(training, *SILENCE)
            bold[..., lost] = mean_of(rows[:, lost])
        return bold

    def require(self, *given: xr.Dataset) -> None:
        """Raise if places are silenced, or doses measured, by training responses that are not."""
        if self.elsewhere == "silence":
            self.require_training(given[1:], *SILENCE)
        if self.unit == "sd" and self.mode != "scale":
            self.require_training(given[1:], *IN_SD)

    def acts_on(self, mask: np.ndarray, response: xr.Dataset) -> np.ndarray:
        """Return the places that get some of the dose, or are silenced."""
        if self.elsewhere == "silence":
            return mask | regions.mask(regions.CORTEX, of=response)
        return self.weight(mask, response) > 0

    def _dosed(
        self, bold: np.ndarray, weight: np.ndarray, training: xr.Dataset | None
    ) -> np.ndarray:
        """Return bold with the dose, by its weight at each place."""
        if self.mode == "scale":
            return bold * (1 + weight * np.float32(self.dose))
        level, step = self._units(training, len(weight))
        dose = level + np.float32(self.dose) * step
        return bold + weight * (dose if self.mode == "add" else dose - bold)

    def _account(self, before: str | None, places: int) -> dict[str, Any]:
        found = super()._account(before, places)
        return {**found, "lesion": LESION if self.elsewhere == "silence" else self.says}

    def _units(
        self, training: xr.Dataset | None, places: int
    ) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Return where doses start from, and how large one is."""
        if self.unit == "response":
            return 0.0, 1.0
        rows = self.rows(training, *IN_SD)
        level = mean_of(rows) if self.mode == "set" else np.zeros(places, np.float32)
        return level, rows.std(0, dtype=np.float64).astype(np.float32)

    def weight(self, mask: np.ndarray, response: xr.Dataset) -> np.ndarray:
        """Return how much of the dose each place gets, float32 (place,)."""
        if not self.spread_mm:
            return mask.astype(np.float32)
        vertex = np.arange(fsaverage5.N_VERTICES)
        if place_of(response) != "vertex":
            if "vertex" not in response.coords:
                raise SpaceError(
                    "stimulate: a spread runs along the cortex, and this response does not know "
                    "the vertex of each voxel; stimulate before the adapter, or spread_mm: 0"
                )
            vertex = response["vertex"].values.astype(int)
        starts = np.zeros(fsaverage5.N_VERTICES, bool)
        starts[vertex[mask]] = True
        distance = distance_from(starts, REACH * self.spread_mm)[vertex]
        weight = np.exp(-((distance / self.spread_mm) ** 2) / 2)
        return np.where(mask, 1, weight).astype(np.float32)
