"""What the searches for a region's optimal picture share: a goal, an encoder, restarts.

Both `Ascend` and `Evolve` take the place of a decoder: a pattern goes in, pictures come out. They
find pictures that an encoder answers as the pattern asks. The encoder is found in its room's
registry; any kind that can say `answering` will do.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt

from insilico.decoders.mindeye2.betas import carried
from insilico.decoders.mindeye2.pictures import resized
from insilico.errors import ParameterError, SchemaError, listed
from insilico.schema import check
from insilico.step import Step, device, generator

Answer = Callable[[torch.Tensor], torch.Tensor]
PIXELS = ("y_pixel", "x_pixel", "rgb")
PATTERN = "pattern"
"""The one stimulus of a pattern."""


def encoder_of(spec: dict[str, Any]) -> Any:
    """Return the encoder that a spec names, if it answers any picture.

    Raises
    ------
    ParameterError
    """
    kinds = importlib.import_module("insilico.encoders").KINDS
    step = kinds.build({key: value for key, value in spec.items() if key != "version"})
    if not hasattr(step, "answering"):
        able = [name for name in kinds if hasattr(kinds[name], "answering")]
        raise ParameterError(
            f"encoder '{step.kind}' answers the stimuli of its files, not any picture, and has no "
            f"gradient; allowed here: {listed(able)}. Name one (encoder: {{kind: mary_nano, "
            "weights: FOLDER}), or keep the conditions that decode the pattern alone"
        )
    return step


@dataclass(frozen=True)
class Goal:
    """What a pattern asks of a picture: a weighted sum of the encoder's vertices, to be large.

    Attributes
    ----------
    weight : float32, (20484,)
        The pattern less rest, over its sum of absolute values: the sum is the mean response of the
        vertices changed, weighted as they are changed.
    mean, spread : float
        Of the sum over training stimuli.
    """

    weight: np.ndarray
    mean: float
    spread: float


def goal_of(pattern: xr.Dataset, predicted: xr.Dataset) -> Goal:
    """Return the goal of a pattern, (1, vertex), given responses to training stimuli.

    Raises
    ------
    ParameterError
        If there are several patterns, the pattern is rest, or what it asks for never varies.
    SpaceError
        If either lies elsewhere than on fsaverage5.
    """
    if (many := check(pattern, "response", space="fsaverage5").sizes["stimulus"]) > 1:
        raise ParameterError(
            f"a search finds the picture of one pattern; met a response to {many} stimuli: raise a "
            "region of chain.rest(), or take one of them, response.isel(stimulus=[0])"
        )
    bold = check(predicted, "response", space="fsaverage5")["bold"].values
    asked = pattern["bold"].values[0]
    change = asked - bold.mean(0, dtype=np.float64).astype(np.float32)
    if not change.any():
        raise ParameterError("the pattern is the training mean itself: raise a region by a dose")
    weight = change / np.abs(change).sum()
    values = bold @ weight
    if not values.std():
        raise ParameterError("no training response differs in what the pattern asks for")
    return Goal(weight, float(values.mean()), float(values.std()))


class Optimal(Step):
    """Base of searches. A subclass fills `found`.

    Parameters
    ----------
    encoder : dict
        Kind and parameters of the encoder that is asked; a protocol gives the chain's.
    draws : int
        Restarts: searches of their own, from starts that depend on seed, pattern and number alone.
    seed : int
    size : int, optional
        Side in pixels at which pictures are stored; the encoder's own by default.
    """

    encoder: dict[str, Any] = Field(default={"kind": "mary_nano"})
    draws: PositiveInt = 4
    seed: NonNegativeInt = 0
    size: PositiveInt | None = None

    def digests(self) -> dict[str, str]:
        """Return the digests of the encoder's files."""
        found = encoder_of(self.encoder).digests()
        return {f"encoder {name}": value for name, value in found.items()}

    def found(
        self, value: Answer, beside: xr.Dataset, side: int, rngs: list[np.random.Generator]
    ) -> torch.Tensor:
        """Return one picture a restart, float (draw, 3, y, x) in [0, 1].

        Parameters
        ----------
        value : function
            Of pictures: what the goal says of them, in deviations among training stimuli.
        beside : Dataset
            The last input of the call.
        side : int
            Of the pictures that the encoder sees.
        rngs : list of Generator
            One a restart.
        """
        raise NotImplementedError(self.kind)

    def ready(self) -> None:
        """Raise if the encoder answers the stimuli of a file alone."""
        encoder_of(self.encoder)

    def __call__(
        self, pattern: xr.Dataset, predicted: xr.Dataset, beside: xr.Dataset
    ) -> xr.Dataset:
        """Return the best pictures found.

        Parameters
        ----------
        pattern : response on fsaverage5, (1, vertex)
            Rest with a region raised.
        predicted : response on fsaverage5
            The encoder's, to training stimuli: their mean is rest, their spread the unit.
        beside : Dataset
            Training stimuli, or for `Evolve` their latents.

        Returns
        -------
        reconstruction, (stimulus, draw)
            Its one stimulus is ``pattern``; `reached` is what the encoder says of each picture, in
            deviations among training stimuli.
        """
        encoder, goal = encoder_of(self.encoder), goal_of(pattern, predicted)
        answer = encoder.answering(goal.weight)

        def value(pictures: torch.Tensor) -> torch.Tensor:
            return (answer(pictures) - goal.mean) / goal.spread

        name = pattern.attrs.get("perturbed", "")
        rngs = [generator(self.seed, self.kind, name, draw) for draw in range(self.draws)]
        pictures = self.found(value, beside, encoder.side(), rngs)
        pictures = pictures if self.size is None else resized(pictures, self.size)
        image = pictures.mul(255).round().to(torch.uint8)
        with torch.no_grad():
            reached = value(image.float() / 255).cpu().numpy()
        parts = {
            "image": (("stimulus", "draw", *PIXELS), image.permute(0, 2, 3, 1).cpu().numpy()[None]),
            "reached": (("stimulus", "draw"), reached[None]),
        }
        attrs = {"decoder": self.kind, "seed": self.seed, **carried(pattern)}
        coords = {"stimulus": [PATTERN], "draw": np.arange(self.draws)}
        return check(xr.Dataset(parts, coords, attrs), "reconstruction")


def pictures_of(scenes: xr.Dataset, most: int) -> torch.Tensor:
    """Return the first pictures of stimuli, float (n, 3, y, x) in [0, 1], on the device."""
    if "image" not in check(scenes, "stimuli"):
        raise SchemaError(f"training pictures are needed; these stimuli hold {listed(scenes)}")
    images = np.ascontiguousarray(scenes["image"][:most].values)
    return torch.from_numpy(images).permute(0, 3, 1, 2).to(device()).float() / 255
