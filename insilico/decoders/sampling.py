"""Latent diffusion as MindEye2's authors ran it: timesteps, size vectors, steps and decoding."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from insilico.decoders.precision import Precision, in_full, require_finite


def size_vector(sizes: Sequence[float], width: int = 256) -> torch.Tensor:
    """Return the sinusoidal embeddings of numbers, one after the other, (1, len(sizes) * width).

    Each is ``width / 2`` cosines, then as many sines, of frequencies ``10000^(-2k / width)``.
    """
    frequencies = torch.exp(-math.log(10000) * torch.arange(width // 2) / (width // 2))
    angles = torch.tensor(sizes, dtype=torch.float32)[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1).reshape(1, -1)


def truncated(steps: int, last: int = 999) -> list[int]:
    """Return the integer parts of ``last - k * last / steps``: the authors' timesteps."""
    return [int(last - k * last / steps) for k in range(steps)]


def paced(scheduler: Any, steps: int, times: list[int] | None = None) -> Any:
    """Return a fresh copy of a scheduler of diffusers, set to a number of steps or to timesteps."""
    own = type(scheduler).from_config(scheduler.config)
    with warnings.catch_warnings():  # diffusers hands tensors to np.array
        warnings.simplefilter("ignore", DeprecationWarning)
        if times is None:
            own.set_timesteps(steps)
        else:
            own.set_timesteps(timesteps=times)
    return own


def denoised(
    scheduler: Any, latents: torch.Tensor, network: Callable[..., torch.Tensor], guidance: float
) -> torch.Tensor:
    """Follow a scheduler from noise to latents.

    Parameters
    ----------
    scheduler : of diffusers
        Set to its timesteps, see `paced`.
    latents : (n, c, h, w)
        The start.
    network : function
        Of scaled latents and timestep, to predictions: (2n, ...), the unconditional ones first, or
        (n, ...) where `guidance` is 1.
    guidance : float
        ``uncond + guidance * (cond - uncond)``.
    """
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(latents, timestep)
        output = network(scaled, timestep).float()
        if guidance != 1:
            free, given = output.chunk(2)
            output = free + guidance * (given - free)
        latents = scheduler.step(output, timestep, latents).prev_sample
    return latents


def decoded_by(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Decode an autoencoder's latents, float32 (n, 3, height, width).

    Raises
    ------
    SchemaError
        If a picture is not finite: the latents are not, or the autoencoder overflows.
    """
    require_finite(latents, numbered(latents), "latents")
    with in_full():
        pictures = vae.decode(latents.to(vae.dtype)).sample.float()
    kept: Precision = "fp16" if vae.dtype == torch.float16 else "fp32"
    require_finite(pictures, numbered(pictures), "pictures of the autoencoder", kept)
    return pictures


def numbered(values: torch.Tensor) -> list[str]:
    """Name the items of a batch, for errors."""
    return [f"item {k}" for k in range(len(values))]
