"""A region's optimal picture by gradient ascent through the encoder."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt
from torch.nn import functional

from insilico.decoders.mindeye2.pictures import resized
from insilico.decoders.optimal import Answer, Optimal, pictures_of
from insilico.step import device, progress

COARSEST = 4
START = 0.1
"""Spread of the numbers that a search starts from."""
SCENES = 500


class Ascend(Optimal):
    """Climb from the training's mean picture, as far as the limits let it.

    The change of the mean picture is a sum of pyramid levels, from 4 × 4 places to the encoder's
    pixels; coarse levels move faster. Adam climbs what the goal says of shifted copies, less the
    total variation.

    Parameters
    ----------
    steps : int
    rate : float
        Of Adam, at the coarsest level; ``rate (4 / side)^0.5`` at the others.
    contrast : float
        Largest standard deviation of the change, over pixels (0 to 1); pictures stay in [0, 1].
    smoothness : float
        Weight of the total variation: mean absolute difference of neighbours, in both directions.
    jitter : int
        Largest shift in pixels, drawn anew at each step.

    The other parameters are those of every search, see `Optimal`.
    """

    kind: ClassVar[str] = "ascend"
    takes: ClassVar[tuple[str, ...]] = ("pattern", "predicted", "scenes")
    steps: PositiveInt = 60
    rate: float = Field(0.1, gt=0, allow_inf_nan=False)
    contrast: float = Field(0.25, gt=0, le=1)
    smoothness: float = Field(20.0, ge=0, allow_inf_nan=False)
    jitter: NonNegativeInt = 3

    def found(
        self, value: Answer, beside: xr.Dataset, side: int, rngs: list[np.random.Generator]
    ) -> torch.Tensor:
        """Return the last picture of each restart."""
        start = resized(pictures_of(beside, SCENES).mean(0, keepdim=True), side)
        levels = [self._level(rngs, size) for size in _sizes(side)]
        climber = torch.optim.Adam(
            {"params": [level], "lr": self.rate * (COARSEST / level.shape[-1]) ** 0.5}
            for level in levels
        )
        for step in range(self.steps):
            picture = self._picture(levels, start)
            loss = self.smoothness * variation(picture) - value(self._moved(picture, rngs))
            for level, slope in zip(levels, torch.autograd.grad(loss.sum(), levels), strict=True):
                level.grad = slope
            climber.step()
            progress("ascend", step + 1, self.steps)
        return self._picture(levels, start).detach()

    def _level(self, rngs: list[np.random.Generator], size: int) -> torch.Tensor:
        drawn = np.stack([rng.standard_normal((3, size, size)) for rng in rngs])
        return torch.from_numpy(drawn).float().mul(START).to(device()).requires_grad_(True)

    def _picture(self, levels: list[torch.Tensor], start: torch.Tensor) -> torch.Tensor:
        side = start.shape[-1]
        parts = [functional.interpolate(one, (side, side), mode="bicubic") for one in levels]
        change = torch.stack(parts).sum(0)
        spread = change.std((1, 2, 3), keepdim=True).clamp(min=1)
        return (start + change * self.contrast / spread).clamp(0, 1)

    def _moved(self, picture: torch.Tensor, rngs: list[np.random.Generator]) -> torch.Tensor:
        """Return each picture shifted by a few pixels, its border repeated."""
        most, side = self.jitter, picture.shape[-1]
        wide = functional.pad(picture, (most,) * 4, mode="replicate")
        places = [rng.integers(0, 2 * most + 1, 2) for rng in rngs]
        cut = [one[:, y : y + side, x : x + side] for one, (y, x) in zip(wide, places, strict=True)]
        return torch.stack(cut)


def variation(picture: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute difference of neighbours, down plus across, (n,)."""
    down = (picture[:, :, 1:] - picture[:, :, :-1]).abs().mean((1, 2, 3))
    return down + (picture[..., 1:] - picture[..., :-1]).abs().mean((1, 2, 3))


def _sizes(side: int) -> list[int]:
    """Return the sides of the levels: doubled from the coarsest, the last is the picture's own."""
    found = [COARSEST * 2**k for k in range(16) if COARSEST * 2**k < side]
    return [*found, side]
