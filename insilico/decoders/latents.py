"""Where training pictures lie in a generator's latents: the space that `Evolve` searches."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import PositiveInt

from insilico.decoders.mindeye2.pictures import resized
from insilico.decoders.mindeye2.stages import stage
from insilico.decoders.optimal import pictures_of
from insilico.decoders.unclip import UnclipDecoder
from insilico.errors import ParameterError
from insilico.step import Step, batches
from insilico.weights.folders import used

BATCH = 32


class Latents(Step):
    """Leading axes of training pictures in the latents of an unCLIP decoder's autoencoder.

    Attributes
    ----------
    weights : str
        ``"phantom"``, or a folder with ``unclip/``.
    axes : int
    scenes : int
        The first of the training stimuli.
    """

    kind: ClassVar[str] = "latents"
    weights: str = "phantom"
    axes: PositiveInt = 64
    scenes: PositiveInt = 500

    def digests(self) -> dict[str, str]:
        """Return the digest of the decoder."""
        return {"unclip": used(self.weights, "unclip")}

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return ``mean`` (latent), ``axes`` (axis, latent) and ``spread`` (axis).

        Parameters
        ----------
        stimuli : stimuli, with `image`
        """
        pictures = pictures_of(stimuli, self.scenes)
        if len(pictures) <= self.axes:
            raise ParameterError(
                f"{self.axes} axes of {len(pictures)} training pictures; allowed: fewer axes than "
                "pictures"
            )
        decoder = stage("unclip", self.weights)
        parts = [latents_of(decoder, torch.stack(some)) for some in batches(pictures, BATCH, "vae")]
        flat = torch.cat(parts).flatten(1).cpu().numpy().astype(np.float64)
        _, values, axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
        axes = axes[: self.axes] * np.sign(axes[: self.axes].sum(1, keepdims=True))
        found = {
            "mean": ("latent", flat.mean(0)),
            "axes": (("axis", "latent"), axes),
            "spread": ("axis", values[: self.axes] / np.sqrt(len(flat))),
        }
        return xr.Dataset({name: (dims, x.astype(np.float32)) for name, (dims, x) in found.items()})


@torch.no_grad()
def latents_of(decoder: UnclipDecoder, pictures: torch.Tensor) -> torch.Tensor:
    """Return latents as the UNet sees them of pictures in [0, 1]: what `pictures` takes back."""
    config, shape = decoder.config, (1, -1, 1, 1)
    side = decoder.latent_shape[-1] * 2 ** (len(decoder.vae.config.block_out_channels) - 1)
    given = (resized(pictures, side) - config.image_offset) / config.image_gain
    raw = decoder.vae.encode(given).latent_dist.mean
    scale, shift = (torch.as_tensor(x).to(raw) for x in (config.latent_scale, config.latent_shift))
    return (raw - shift.reshape(shape)) / scale.reshape(shape)
