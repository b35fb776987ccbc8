"""The low-level head's latents -> blurry pictures (specification 1.3 and 4.3)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from insilico.decoders.pretrained import network
from insilico.decoders.sampling import decoded_by

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


class BlurryDecoder(nn.Module):
    """An autoencoder whose latents the low-level head predicts.

    Parameters
    ----------
    vae : diffusers.AutoencoderKL
        Its configuration's ``scaling_factor`` is that of the latents: 0.18215 as published.
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae.eval()

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> BlurryDecoder:
        """Load from the folder of an AutoencoderKL.

        Raises
        ------
        WeightsError
        """
        return cls(network("diffusers:AutoencoderKL", Path(folder)))

    @torch.no_grad()
    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents (n, c, h, w) to float32 pictures (n, 3, height, width) in [0, 1]."""
        decoded = decoded_by(self.vae, latents / self.vae.config.scaling_factor)
        return (decoded / 2 + 0.5).clamp(0, 1)
