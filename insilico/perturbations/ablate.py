"""Lesions of the read-out: a region, all but a region, or random places lose their information."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, NonNegativeInt

from insilico.perturbations import fills
from insilico.perturbations.perturbation import Perturbation
from insilico.schema import place_of, short_digest
from insilico.spaces import regions
from insilico.step import generator

Fill = Literal["mean", "zero", "noise", "resample", "conditional"]


class Ablate(Perturbation):
    """Take a region's information, and put something else in its place.

    Parameters
    ----------
    fill : {"mean", "zero", "noise", "resample", "conditional"}
        Each place's mean over the training stimuli; 0; Gaussian noise with the training mean and
        covariance of the region; the region's response to another stimulus shown (the same one
        for all regions of one seed); the region's mean given all other places, by ridge.
    penalty : float, optional
        Of the conditional fill's ridge, in units of the mean eigenvalue; by leave-one-out if left
        out.

    The other parameters are those of every perturbation, see `Perturbation`.
    """

    kind: ClassVar[str] = "ablate"
    version: ClassVar[int] = 2
    fill: Fill = "mean"
    penalty: float | None = Field(None, gt=0, allow_inf_nan=False)

    def told(self) -> str:
        """Say in a few words what is done."""
        return f"{self.kind} (fill {self.fill})"

    def changed(
        self, response: xr.Dataset, mask: np.ndarray, training: xr.Dataset | None
    ) -> np.ndarray:
        """Return new bold, float32 (..., stimulus, place)."""
        bold = response["bold"].values.copy()
        lost = self.acts_on(mask, response)
        if lost.any():
            bold[..., lost] = self._filled(response, lost, training)
        return bold

    def require(self, *given: xr.Dataset) -> None:
        """Raise if the fill is taken from other stimuli, and there are none."""
        if self.fill == "resample":
            fills.require_another(given[0].sizes.get("stimulus", 2))
        elif self.fill != "zero":
            self.require_training(given[1:], f"fill '{self.fill}'", "fill 'zero'")

    def _filled(
        self, response: xr.Dataset, lost: np.ndarray, training: xr.Dataset | None
    ) -> np.ndarray | float:
        bold = response["bold"].values
        if self.fill == "zero":
            return 0.0
        if self.fill == "resample":
            order = fills.derangement(bold.shape[-2], _deal(self.seed, response))
            return bold[..., order, :][..., lost]
        rows = self.rows(training, f"fill '{self.fill}'", "fill 'zero'")
        if self.fill == "mean":
            return fills.mean_of(rows[:, lost])
        if self.fill == "noise":
            return fills.noise(rows[:, lost], self._draws(response, lost, len(rows)))
        return fills.conditional(rows[:, ~lost], rows[:, lost], bold[..., ~lost], self.penalty)

    def _draws(self, response: xr.Dataset, lost: np.ndarray, n: int) -> np.ndarray:
        """Return standard normal numbers, (..., stimulus, n), of each stimulus by its name."""
        lead, where = response["bold"].shape[:-2], short_digest(lost.tobytes())
        names = [str(name) for name in response["stimulus"].values]
        draws = [
            generator(self.seed, "noise", where, name).standard_normal((*lead, n), np.float32)
            for name in names
        ]
        return np.stack(draws, axis=-2)

    def _account(self, before: str | None, places: int) -> dict[str, Any]:
        return {**super()._account(before, places), "fill": self.fill}


def _deal(seed: int, response: xr.Dataset) -> np.random.Generator:
    return generator(seed, "derangement", *response["stimulus"].values)


class KeepOnly(Ablate):
    """Take the information of everything but a region, to see what the region suffices for.

    Parameters are those of `Ablate`; with a control, only the control is kept.
    """

    kind: ClassVar[str] = "keep_only"
    version: ClassVar[int] = 2

    def acts_on(self, mask: np.ndarray, response: xr.Dataset) -> np.ndarray:
        """Return the places that lose their response: all cortex outside of the region."""
        return regions.mask(regions.CORTEX, of=response) & ~mask


class Mask(Ablate):
    """Take the information of random places, to see how much of the response can be missed.

    Parameters
    ----------
    fraction : float
        Share of the region's places, 0 to 1; a protocol takes a list. With one seed, a larger
        fraction holds all places of a smaller one.
    mask_index : int
        Number of the mask: each has an order of places of its own. In a protocol ``n: 5`` makes
        five, which statistics of curves average within a stimulus.
    region : str
        All cortex by default. The other parameters are those of `Ablate`.
    """

    kind: ClassVar[str] = "mask"
    version: ClassVar[int] = 3  # the places acted on are counted
    curve: ClassVar[str] = "fraction"
    repeats: ClassVar[str] = "mask_index"
    region: str = regions.CORTEX
    fraction: float = Field(ge=0, le=1)
    mask_index: NonNegativeInt = 0

    def told(self) -> str:
        """Say in a few words what is done."""
        return f"mask {self.fraction:g} (fill {self.fill})"

    def acts_on(self, mask: np.ndarray, response: xr.Dataset) -> np.ndarray:
        """Return the places that lose their response: the first of a random order."""
        places = np.flatnonzero(mask)
        within = short_digest(mask.tobytes())
        rng = generator(self.seed, "mask", place_of(response), within, self.mask_index)
        found = np.zeros_like(mask)
        found[rng.permutation(places)[: round(self.fraction * len(places))]] = True
        return found
