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
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from insilico.errors import ParameterError, WeightsError

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
    vector : tuple of float, optional
        Vector condition of every item (class labels of the UNet).
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
    vector: tuple[float, ...] | None = None
    timesteps: str = "scheduler"

    @classmethod
    def from_json(cls, text: str) -> UnclipConfig:
        """Read a configuration; lists become tuples."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in json.loads(text).items()
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
    def from_pretrained(
        cls, folder: str | Path, *, dtype: torch.dtype = torch.float32
    ) -> UnclipDecoder:
        """Load from a folder with ``unet/``, ``vae/``, ``scheduler/`` and ``unclip.json``."""
        import diffusers

        folder = Path(folder)
        if not (folder / "unclip.json").exists():
            raise WeightsError(f"no unclip.json in {folder}: not the folder of an unCLIP decoder")
        config = UnclipConfig.from_json((folder / "unclip.json").read_text("utf-8"))
        how = {"torch_dtype": dtype, "low_cpu_mem_usage": False}
        unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet", **how)
        vae = diffusers.AutoencoderKL.from_pretrained(folder / "vae", **how)
        settings = json.loads((folder / "scheduler" / "scheduler_config.json").read_text("utf-8"))
        scheduler = getattr(diffusers, settings["_class_name"]).from_config(settings)
        return cls(unet, vae, scheduler, config)

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

    @torch.no_grad()
    def sample(
        self,
        tokens: torch.Tensor,
        noise: torch.Tensor,
        uncond: torch.Tensor | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> torch.Tensor:
        """Make one picture for each item of tokens.

        An item's picture depends on its own rows of `tokens`, `noise` and `uncond` alone, so it is
        the same in any batch (up to the rounding of the matrix products).

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

        Returns
        -------
        float32 (n, 3, height, width) in [0, 1]
        """
        guidance = self.config.guidance if guidance is None else guidance
        self._check(tokens, noise, uncond, guidance)
        latents = self._denoised(tokens, noise, uncond, steps or self.config.num_steps, guidance)
        return self._pictures(latents)

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

    def _timesteps(self, scheduler: SchedulerMixin, steps: int) -> torch.Tensor:
        with warnings.catch_warnings():  # diffusers hands tensors to np.array
            warnings.simplefilter("ignore", DeprecationWarning)
            if self.config.timesteps == "scheduler":
                scheduler.set_timesteps(steps)
            else:
                last = scheduler.config.num_train_timesteps - 1
                times = [int(last - k * last / steps) for k in range(steps)]
                scheduler.set_timesteps(timesteps=times)
        return scheduler.timesteps

    def _denoised(
        self,
        tokens: torch.Tensor,
        noise: torch.Tensor,
        uncond: torch.Tensor | None,
        steps: int,
        guidance: float,
    ) -> torch.Tensor:
        scheduler = type(self.scheduler).from_config(self.scheduler.config)
        timesteps = self._timesteps(scheduler, steps)
        latents = noise * scheduler.init_noise_sigma
        for timestep in timesteps:
            scaled = scheduler.scale_model_input(latents, timestep)
            output = self._network(scaled, timestep, tokens)
            if uncond is not None and guidance != 1:
                free = self._network(scaled, timestep, uncond)
                output = free + guidance * (output - free)
            latents = scheduler.step(output, timestep, latents).prev_sample
        return latents

    def _network(
        self, latents: torch.Tensor, timestep: torch.Tensor, tokens: torch.Tensor
    ) -> torch.Tensor:
        given = with_token_grid(latents, tokens) if self.config.token_grid else latents
        labels = None
        if self.config.vector is not None:
            labels = latents.new_tensor(self.config.vector).expand(len(latents), -1)
        return self.unet(given, timestep, tokens, class_labels=labels).sample

    def _pictures(self, latents: torch.Tensor) -> torch.Tensor:
        scale, shift = (
            torch.as_tensor(value, dtype=latents.dtype, device=latents.device).reshape(1, -1, 1, 1)
            for value in (self.config.latent_scale, self.config.latent_shift)
        )
        decoded = self.vae.decode(latents * scale + shift).sample.float()
        return (self.config.image_gain * decoded + self.config.image_offset).clamp(0, 1)
