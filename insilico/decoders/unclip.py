"""Pictures from CLIP image tokens by latent diffusion (unCLIP).

One class runs the phantom's tiny networks and the published SDXL unCLIP of MindEye2 [1]_: the
networks and the scheduler are unmodified classes of diffusers, `UnclipConfig` says what differs.

References
----------
.. [1] Scotti et al. (2024), MindEye2. https://arxiv.org/abs/2403.11207
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from insilico.decoders.precision import Precision, products_in, require_finite
from insilico.decoders.pretrained import network
from insilico.decoders.sampling import (
    decoded_by,
    denoised,
    numbered,
    paced,
    size_vector,
    truncated,
)
from insilico.errors import ParameterError, WeightsError
from insilico.weights.folders import UNREADABLE

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, SchedulerMixin, UNet2DConditionModel

Numbers = float | tuple[float, ...]


@dataclass(frozen=True)
class UnclipConfig:
    """What differs between unCLIP models.

    Attributes
    ----------
    token_grid : bool
        Whether the tokens also enter the UNet as extra channels on the grid of the latents, one
        token a place, beside the cross-attention.
    num_steps : int
        Default number of denoising steps.
    guidance : float
        Default classifier-free guidance; 1 is none.
    latent_scale, latent_shift : float or tuple of float
        The UNet's latents are ``(vae_latents - shift) / scale``; one number, or one a channel.
    image_gain, image_offset : float
        Pictures are ``gain * decoded + offset``, clipped to [0, 1].
    sizes : tuple of float
        Numbers whose `size_vector` conditions every item (class labels of the UNet): original
        size and crop as published; none for a UNet without labels.
    offset_noise : float, optional
        How much of one more normal number is added to all of an item's noise; the start is then
        ``z + (noise + offset_noise * number) * sigma``, `z` itself standard normal, as published.
        None starts from the scheduler's own scaled noise.
    timesteps : {"scheduler", "truncated"}
        Who spaces the timesteps: the scheduler's own setting, or the integer parts of
        ``999 - k * 999 / steps`` (the published SDXL unCLIP).
    """

    token_grid: bool = False
    num_steps: int = 38
    guidance: float = 5.0
    latent_scale: Numbers = 1.0
    latent_shift: Numbers = 0.0
    image_gain: float = 0.5
    image_offset: float = 0.5
    sizes: tuple[float, ...] = ()
    offset_noise: float | None = None
    timesteps: str = "scheduler"

    @classmethod
    def published(cls) -> UnclipConfig:
        """Return that of MindEye2's SDXL unCLIP."""
        return cls(
            latent_scale=1 / 0.13025,
            image_gain=0.8,
            image_offset=0.2,
            sizes=(768, 768, 0, 0),
            offset_noise=0.04,
            timesteps="truncated",
        )

    @classmethod
    def from_json(cls, text: str) -> UnclipConfig:
        """Read a configuration; lists become tuples, what is null is as by default."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in json.loads(text).items()
            if value is not None
        }
        return cls(**values)

    def to_json(self) -> str:
        """Write the configuration."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"


def with_token_grid(latents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Append tokens as channels on the latent grid.

    Parameters
    ----------
    latents : (n, c, h, w)
    tokens : (n, h * w, channels)
        In reading order: the first token is the upper left place.

    Returns
    -------
    (n, c + channels, h, w)
    """
    height, width = latents.shape[-2:]
    if tokens.shape[1] != height * width:
        raise ParameterError(f"{tokens.shape[1]} tokens do not fill a {height} x {width} grid")
    grid = tokens.mT.reshape(len(tokens), -1, height, width)
    return torch.cat([latents, grid.to(latents.dtype)], dim=1)


class UnclipDecoder(torch.nn.Module):
    """Latent diffusion steered by CLIP image tokens.

    Parameters
    ----------
    unet : diffusers.UNet2DConditionModel
    vae : diffusers.AutoencoderKL
    scheduler : diffusers scheduler
        Any with ``set_timesteps``, ``scale_model_input`` and ``step``; its own copy is made for
        every call.
    config : UnclipConfig
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        scheduler: SchedulerMixin,
        config: UnclipConfig | None = None,
    ) -> None:
        super().__init__()
        self.unet, self.vae, self.scheduler = unet, vae, scheduler
        self.config = config or UnclipConfig()
        self.eval()

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> UnclipDecoder:
        """Load from a folder with ``unet/``, ``vae/``, ``scheduler/`` and ``unclip.json``.

        Raises
        ------
        WeightsError
        """
        import diffusers

        folder = Path(folder)
        if not (folder / "unclip.json").exists():
            raise WeightsError(f"no unclip.json in {folder}: not the folder of an unCLIP decoder")
        try:
            config = UnclipConfig.from_json((folder / "unclip.json").read_text("utf-8"))
            settings = (folder / "scheduler" / "scheduler_config.json").read_text("utf-8")
            kind = getattr(diffusers, json.loads(settings)["_class_name"])
        except (*UNREADABLE, TypeError, AttributeError) as error:
            raise WeightsError(f"{folder} cannot be loaded as unCLIP: {error}") from error
        unet = network("diffusers:UNet2DConditionModel", folder / "unet")
        vae = network("diffusers:AutoencoderKL", folder / "vae")
        return cls(unet, vae, kind.from_config(json.loads(settings)), config)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `from_pretrained` reads."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("unet", "vae", "scheduler"):
            getattr(self, name).save_pretrained(folder / name)
        (folder / "unclip.json").write_text(self.config.to_json(), "utf-8")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Shape (channels, height, width) of one item's noise."""
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.unet.config.out_channels, height, width

    def drawn(
        self, draws: Sequence[np.random.Generator], tokens: Sequence[int]
    ) -> dict[str, torch.Tensor]:
        """Draw all noise of items, each from its own generator, in the authors' order.

        Parameters
        ----------
        draws : sequence of n generators
        tokens : (tokens, channels)

        Returns
        -------
        dict
            What `sample` takes beside the tokens.
        """
        each = [self._drawn(rng, tuple(tokens)) for rng in draws]
        return {
            name: torch.from_numpy(np.stack([item[name] for item in each]).astype(np.float32))
            for name in each[0]
        }

    def _drawn(self, rng: np.random.Generator, tokens: tuple[int, ...]) -> dict[str, np.ndarray]:
        if self.config.offset_noise is None:
            names = {"noise": self.latent_shape, "uncond": tokens}
        else:
            names = {"z": self.latent_shape, "uncond": tokens, "noise": self.latent_shape}
            names["offset"] = ()
        return {name: np.asarray(rng.standard_normal(shape)) for name, shape in names.items()}

    @torch.no_grad()
    def sample(
        self,
        tokens: torch.Tensor,
        noise: torch.Tensor,
        uncond: torch.Tensor | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        *,
        z: torch.Tensor | None = None,
        offset: torch.Tensor | None = None,
        precision: Precision = "fp32",
    ) -> torch.Tensor:
        """Make one picture for each item of tokens.

        An item's picture depends on its own rows of `tokens` and noise alone, so it is the same in
        any batch (up to the rounding of the matrix products).

        Parameters
        ----------
        tokens : (n, tokens, channels)
            CLIP image tokens after the last layer norm, without the class token.
        noise : (n, c, h, w)
            Standard normal start; see `latent_shape`.
        uncond : (n, tokens, channels), optional
            Unconditional tokens: standard normal noise. Needed unless `guidance` is 1.
        steps : int, optional
            Denoising steps.
        guidance : float, optional
            ``uncond + guidance * (cond - uncond)``.
        z : (n, c, h, w), offset : (n,), optional
            Standard normal; needed where the configuration has `offset_noise`.
        precision : {"fp32", "fp16", "bf16"}
            Of the UNet's matrix products. The autoencoder computes in its weights' own.

        Returns
        -------
        float32 (n, 3, height, width) in [0, 1]

        Raises
        ------
        ParameterError
            If shapes do not fit.
        SchemaError
            If tokens or decoded pictures hold NaN or infinite values.
        """
        guidance = self.config.guidance if guidance is None else guidance
        self._check(tokens, noise, uncond, guidance)
        steps = steps or self.config.num_steps
        times = truncated(steps) if self.config.timesteps == "truncated" else None
        scheduler = paced(self.scheduler, steps, times)
        start = self._start(scheduler, noise, z, offset)
        context = tokens if guidance == 1 or uncond is None else torch.cat([uncond, tokens])
        with products_in(precision):
            latents = denoised(scheduler, start, partial(self._network, context), guidance)
        return self.pictures(latents)

    def _check(
        self,
        tokens: torch.Tensor,
        noise: torch.Tensor,
        uncond: torch.Tensor | None,
        guidance: float,
    ) -> None:
        expected = (len(tokens), *self.latent_shape)
        if tuple(noise.shape) != expected:
            raise ParameterError(f"noise has shape {tuple(noise.shape)}, needed is {expected}")
        if guidance != 1 and (uncond is None or uncond.shape != tokens.shape):
            shape = None if uncond is None else tuple(uncond.shape)
            raise ParameterError(
                f"guidance {guidance} needs unconditional tokens of shape {tuple(tokens.shape)}, "
                f"got {shape}"
            )
        require_finite(tokens, numbered(tokens), "tokens to make pictures of")

    def _start(
        self,
        scheduler: Any,
        noise: torch.Tensor,
        z: torch.Tensor | None,
        offset: torch.Tensor | None,
    ) -> torch.Tensor:
        share = self.config.offset_noise
        if share is None:
            return noise * scheduler.init_noise_sigma
        if z is None or offset is None or z.shape != noise.shape or len(offset) != len(noise):
            raise ParameterError(
                f"offset noise {share} needs z of shape {tuple(noise.shape)} and one offset an item"
            )
        lifted = noise + share * offset.reshape(-1, 1, 1, 1)
        return z + lifted * scheduler.sigmas[0].to(noise.device)

    def _network(
        self, context: torch.Tensor, latents: torch.Tensor, timestep: torch.Tensor
    ) -> torch.Tensor:
        latents = torch.cat([latents] * (len(context) // len(latents)))
        given = with_token_grid(latents, context) if self.config.token_grid else latents
        labels = None
        if self.config.sizes:
            labels = size_vector(self.config.sizes).to(latents).expand(len(latents), -1)
        return self.unet(given, timestep, context, class_labels=labels).sample

    @torch.no_grad()
    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode latents as the UNet sees them, (n, c, h, w), to float32 (n, 3, height, width).

        Raises
        ------
        SchemaError
            If the autoencoder overflows, as SDXL's does in half precision.
        """
        scale, shift = (
            torch.as_tensor(value, dtype=latents.dtype, device=latents.device).reshape(1, -1, 1, 1)
            for value in (self.config.latent_scale, self.config.latent_shift)
        )
        decoded = decoded_by(self.vae, latents * scale + shift)
        return (self.config.image_gain * decoded + self.config.image_offset).clamp(0, 1)
