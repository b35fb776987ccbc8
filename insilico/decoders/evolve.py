"""A region's optimal picture by evolution in the latents of a generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveInt

from insilico.decoders.latents import Latents
from insilico.decoders.mindeye2.pictures import resized
from insilico.decoders.mindeye2.stages import stage
from insilico.decoders.optimal import Answer, Optimal
from insilico.step import device, progress
from insilico.weights.folders import used

Grown = Callable[[np.ndarray], torch.Tensor]
"""From points of the search to pictures."""


class Evolve(Optimal):
    """Search with a (μ/μ_w, λ) evolution strategy; nothing but values of pictures is asked for.

    Individuals are points along the leading axes of training pictures in the latents of the
    decoder's autoencoder. The better half is recombined by log-linear weights; the step length
    follows cumulative adaptation. The best picture met is kept.

    Parameters
    ----------
    weights : str
        Of the generator, see `Latents`.
    axes : int
        Dimensions of the search.
    population, generations : int
    step : float
        First step length, in deviations among training pictures.
    reach : float
        Largest distance from their mean, over that of a typical one.

    The other parameters are those of every search, see `Optimal`.

    References
    ----------
    .. [1] Hansen (2016), The CMA evolution strategy: a tutorial. https://arxiv.org/abs/1604.00772
    """

    kind: ClassVar[str] = "evolve"
    takes: ClassVar[tuple[str, ...]] = ("pattern", "predicted", "latents")
    weights: str = "phantom"
    axes: PositiveInt = 64
    population: int = Field(12, ge=4)
    generations: PositiveInt = 16
    step: float = Field(0.8, gt=0, allow_inf_nan=False)
    reach: float = Field(1.5, gt=0, allow_inf_nan=False)

    def digests(self) -> dict[str, str]:
        """Return the digests of encoder and generator."""
        return {**super().digests(), "unclip": used(self.weights, "unclip")}

    def latents(self) -> Latents:
        """Return the step that finds the space of the search."""
        return Latents(weights=self.weights, axes=self.axes)

    def found(
        self, value: Answer, beside: xr.Dataset, side: int, rngs: list[np.random.Generator]
    ) -> torch.Tensor:
        """Return the best picture of each restart."""
        decoder = stage("unclip", self.weights)
        mean, axes, spread = (beside[name].values for name in ("mean", "axes", "spread"))

        def grown(points: np.ndarray) -> torch.Tensor:
            latents = (mean + (points * spread) @ axes).astype(np.float32)
            shaped = torch.from_numpy(latents).to(device()).unflatten(1, decoder.latent_shape)
            return resized(decoder.pictures(shaped), side)

        best = []
        for done, rng in enumerate(rngs, 1):
            best.append(self._evolved(value, grown, len(spread), rng))
            progress("evolve", done, len(rngs))
        return torch.stack(best)

    @torch.no_grad()
    def _evolved(
        self, value: Answer, grown: Grown, size: int, rng: np.random.Generator
    ) -> torch.Tensor:
        weights, strategy = recombination(self.population), Strategy(size, self.population)
        centre, path, length = np.zeros(size), np.zeros(size), self.step
        most, highest = self.reach * math.sqrt(size), -math.inf
        for _ in range(self.generations):
            drawn = rng.standard_normal((self.population, size))
            points = within(centre + length * drawn, most)
            pictures = grown(points)
            worth = value(pictures).double().cpu().numpy()
            order = np.argsort(-worth, kind="stable")
            if worth[order[0]] > highest:
                highest, best = worth[order[0]], pictures[order[0]]
            move = weights @ drawn[order[: len(weights)]]
            centre = within((centre + length * move)[None], most)[0]
            path, length = strategy.adapted(path, length, move)
        return best


class Strategy:
    """Constants of cumulative step-size adaptation [1]_, for so many dimensions and individuals."""

    def __init__(self, size: int, population: int) -> None:
        self.effective = 1 / float((recombination(population) ** 2).sum())
        self.rate = (self.effective + 2) / (size + self.effective + 5)
        excess = math.sqrt((self.effective - 1) / (size + 1)) - 1
        self.damping = 1 + self.rate + 2 * max(0.0, excess)
        self.usual = math.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2))

    def adapted(
        self, path: np.ndarray, length: float, move: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return the path after a move, and the step length that follows from it."""
        gain = math.sqrt(self.rate * (2 - self.rate) * self.effective)
        path = (1 - self.rate) * path + gain * move
        excess = float(np.linalg.norm(path)) / self.usual - 1
        return path, length * math.exp(self.rate / self.damping * excess)


def recombination(population: int) -> np.ndarray:
    """Return the weights of the better half, best first; they sum to 1."""
    half = population // 2
    weights = math.log(half + 0.5) - np.log(np.arange(1, half + 1))
    return weights / weights.sum()


def within(points: np.ndarray, most: float) -> np.ndarray:
    """Return points (n, size), those beyond a distance drawn back to it."""
    distance = np.linalg.norm(points, axis=1, keepdims=True)
    return points * np.minimum(1, most / np.maximum(distance, 1e-12))
