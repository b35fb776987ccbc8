"""Refinement: SDXL img2img of decoded pictures, steered by their captions (specification 4.2)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from insilico.decoders.precision import Precision, in_full, products_in, require_finite
from insilico.decoders.pretrained import network
from insilico.decoders.sampling import decoded_by, denoised, numbered, paced, truncated
from insilico.errors import ParameterError, WeightsError
from insilico.step import device
from insilico.weights.folders import UNREADABLE

NEGATIVE = (
    "painting, extra fingers, mutated hands, poorly drawn hands, poorly drawn face, deformed, "
    "ugly, blurry, bad anatomy, bad proportions, extra limbs, cloned face, skinny, glitchy, "
    "double torso, extra arms, extra hands, mangled fingers, missing lips, ugly face, "
    "distorted face, extra legs, anime"
)
SDXL = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
PARTS = {
    "unet": "diffusers:UNet2DConditionModel",
    "vae": "diffusers:AutoencoderKL",
    "text_encoder": "transformers:CLIPTextModel",
    "text_encoder_2": "transformers:CLIPTextModelWithProjection",
}


@dataclass(frozen=True)
class RefinerConfig:
    """How pictures are refined; the defaults are the published ones.

    Attributes
    ----------
    size, target : int
        Side of the pictures worked on, and of those that the UNet is told to aim at.
    steps, last : int
        The schedule has so many steps, of which the last ones are taken.
    guidance : float
    negative : str
        Prompt of the unconditional pass.
    """

    size: int = 768
    target: int = 1024
    steps: int = 25
    last: int = 12
    guidance: float = 5.0
    negative: str = NEGATIVE

    @property
    def times(self) -> list[int]:
        """Timesteps of the network's calls: 479, 439, ... 39 as published."""
        return truncated(self.steps)[-self.last :]


class Refiner(nn.Module):
    """SDXL's networks, and the authors' way through them.

    Parameters
    ----------
    unet, vae : of diffusers
    text_encoder, text_encoder_2 : of transformers
        CLIP L, and bigG with its projection.
    tokenizers : pair
    config : RefinerConfig
    """

    def __init__(
        self,
        unet: Any,
        vae: Any,
        text_encoder: Any,
        text_encoder_2: Any,
        tokenizers: Sequence[Any],
        config: RefinerConfig | None = None,
    ) -> None:
        super().__init__()
        self.unet, self.vae = unet, vae
        self.text_encoder, self.text_encoder_2 = text_encoder, text_encoder_2
        self.tokenizers, self.config = tuple(tokenizers), config or RefinerConfig()
        self.eval()

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Refiner:
        """Load from the folder of an SDXL pipeline of diffusers.

        ``refiner.json`` beside the networks may change `RefinerConfig`. The scheduler is not read:
        the authors' is SDXL's own.

        Raises
        ------
        WeightsError
        """
        from transformers import AutoTokenizer

        folder = Path(folder)
        try:
            given = folder / "refiner.json"
            config = RefinerConfig(
                **(json.loads(given.read_text("utf-8")) if given.exists() else {})
            )
            tokenizers = [
                AutoTokenizer.from_pretrained(folder / name, trust_remote_code=False)
                for name in ("tokenizer", "tokenizer_2")
            ]
        except (*UNREADABLE, TypeError) as error:
            raise WeightsError(f"{folder} cannot be loaded as SDXL: {error}") from error
        parts = {name: network(where, folder / name) for name, where in PARTS.items()}
        return cls(**parts, tokenizers=tokenizers, config=config)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `from_pretrained` reads."""
        folder = Path(folder)
        for name in PARTS:
            getattr(self, name).save_pretrained(folder / name)
        for name, tokenizer in zip(("tokenizer", "tokenizer_2"), self.tokenizers, strict=True):
            tokenizer.save_pretrained(folder / name)
        about = json.dumps(dataclasses.asdict(self.config), indent=2) + "\n"
        (folder / "refiner.json").write_text(about, "utf-8")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of one item's noise."""
        side = self.config.size // 2 ** (len(self.vae.config.block_out_channels) - 1)
        return self.vae.config.latent_channels, side, side

    def drawn(self, draws: Sequence[np.random.Generator]) -> dict[str, torch.Tensor]:
        """Draw the noise of items, each from its own generator: what `refined` takes."""
        each = np.stack([rng.standard_normal((2, *self.latent_shape)) for rng in draws])
        posterior, noise = torch.from_numpy(each.astype(np.float32)).unbind(1)
        return {"posterior": posterior, "noise": noise}

    @torch.no_grad()
    def refined(
        self,
        pictures: torch.Tensor,
        captions: Sequence[str],
        posterior: torch.Tensor,
        noise: torch.Tensor,
        precision: Precision = "fp32",
    ) -> torch.Tensor:
        """Refine pictures.

        Parameters
        ----------
        pictures : float (n, 3, height, width) in [0, 1]
            Resized to the working size, bilinear without antialiasing.
        captions : sequence of n str
        posterior, noise : (n, c, h, w)
            Standard normal: of the autoencoder's posterior, and of the start.
        precision : {"fp32", "fp16", "bf16"}
            Of text encoders' and UNet's matrix products.

        Returns
        -------
        float32 (n, 3, size, size) in [0, 1]

        Raises
        ------
        ParameterError, SchemaError
        """
        expected = (len(pictures), *self.latent_shape)
        if tuple(noise.shape) != expected or tuple(posterior.shape) != expected:
            raise ParameterError(
                f"the refiner takes posterior and noise of shape {expected}, got "
                f"{tuple(posterior.shape)} and {tuple(noise.shape)}"
            )
        latents = self._encoded(pictures, posterior)
        with products_in(precision):
            made = self._denoised(latents, captions, noise)
        return (decoded_by(self.vae, made / self.vae.config.scaling_factor) / 2 + 0.5).clamp(0, 1)

    def _denoised(
        self, latents: torch.Tensor, captions: Sequence[str], noise: torch.Tensor
    ) -> torch.Tensor:
        from diffusers import EulerDiscreteScheduler

        scheduler = paced(EulerDiscreteScheduler(**SDXL), 0, self.config.times)
        words = self.words([*[self.config.negative] * len(captions), *captions])
        start = latents + noise * scheduler.sigmas[0].to(noise.device)
        return denoised(scheduler, start, partial(self._network, *words), self.config.guidance)

    def _encoded(self, pictures: torch.Tensor, posterior: torch.Tensor) -> torch.Tensor:
        require_finite(pictures, numbered(pictures), "pictures to refine")
        size = (self.config.size, self.config.size)
        larger = F.interpolate(pictures, size, mode="bilinear", align_corners=False)
        with in_full():
            found = self.vae.encode((2 * larger - 1).to(self.vae.dtype)).latent_dist
        latents = found.mean.float() + found.std.float() * posterior
        return latents * self.vae.config.scaling_factor

    def words(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the UNet is told of texts.

        Parameters
        ----------
        texts : sequence of n str

        Returns
        -------
        words : (n, words, channels)
            CLIP L's and bigG's states before their last layers, side by side (768 + 1280).
        pooled : (n, width)
            bigG's projection (1280).
        """
        once = list(dict.fromkeys(texts))
        rows = [once.index(text) for text in texts]
        encoders = (self.text_encoder, self.text_encoder_2)
        made = [_read(*pair, once) for pair in zip(self.tokenizers, encoders, strict=True)]
        words = torch.cat([each.hidden_states[-2] for each in made], dim=-1)
        return words[rows], made[1].text_embeds[rows]

    def _network(
        self,
        words: torch.Tensor,
        pooled: torch.Tensor,
        latents: torch.Tensor,
        timestep: torch.Tensor,
    ) -> torch.Tensor:
        side, aim = self.config.size, self.config.target
        latents = torch.cat([latents, latents])
        sizes = latents.new_tensor([side, side, 0, 0, aim, aim]).expand(len(latents), -1)
        told = {"text_embeds": pooled, "time_ids": sizes}
        return self.unet(latents, timestep, words, added_cond_kwargs=told).sample


def _read(tokenizer: Any, encoder: Any, texts: list[str]) -> Any:
    longest = encoder.config.max_position_embeddings
    how = {"padding": "max_length", "max_length": longest, "truncation": True}
    given = tokenizer(texts, return_tensors="pt", **how)["input_ids"]
    return encoder(given.to(device()), output_hidden_states=True)
