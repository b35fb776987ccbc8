"""The phantom's picture generator: a small UNet that turns CLIP tokens into latents.

The condition is corrupted during training in the way a brain decoder corrupts it: white noise and
differences to other pictures' tokens. One item in ten sees standard normal tokens, which stand for
no condition.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    UNet2DConditionModel,
)
from torch.nn import functional
from transformers import CLIPModel

from insilico.course import Course, Draw, Losses
from insilico.decoders.unclip import UnclipConfig, UnclipDecoder, with_token_grid
from insilico.phantom.training.autoencoder import encoded
from insilico.phantom.training.clip import patch_tokens
from insilico.phantom.training.data import Pictures, pictures
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.storage import finish

BATCH, LATENT, GRID, TOKEN = 48, 16, 8, 64
N_VALIDATION = 192
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
}


def build(widths: tuple[int, int] = (128, 128)) -> UNet2DConditionModel:
    """Return the untrained UNet: 8 x 8 latents and tokens, cross-attention at 4 x 4."""
    return UNet2DConditionModel(
        sample_size=GRID,
        in_channels=LATENT + TOKEN,
        out_channels=LATENT,
        layers_per_block=1,
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TOKEN,
        attention_head_dim=4,
        norm_num_groups=8,
    )


@dataclass(frozen=True)
class Conditions:
    """Latents and tokens of pictures, and their object masks on the latent grid.

    Attributes
    ----------
    latents : (n, 16, 8, 8)
        As the autoencoder gives them.
    tokens : (n, 64, 64)
    weights : (n, 1, 8, 8)
        Weight of each place in the loss: 1 without the object, 5 inside it.
    """

    latents: torch.Tensor
    tokens: torch.Tensor
    weights: torch.Tensor

    def __len__(self) -> int:
        return len(self.latents)


@torch.no_grad()
def conditions_of(
    shown: Pictures, vae: AutoencoderKL, clip: CLIPModel, device: str = "cpu"
) -> Conditions:
    """Encode pictures with the autoencoder and with CLIP."""
    latents, tokens, weights = [], [], []
    for start in range(0, len(shown), 128):
        rows = slice(start, start + 128)
        pixels = shown.pixels(rows).to(device)
        latents.append(encoded(vae, pixels).contiguous().cpu())
        tokens.append(patch_tokens(clip, pixels).cpu())
        weights.append(1 + 4 * functional.avg_pool2d(shown.objects(rows), 8))
    return Conditions(torch.cat(latents), torch.cat(tokens), torch.cat(weights))


def stored_conditions(
    folder: Path, cache: Path, split: str, n: int | None, device: str = "cpu"
) -> Conditions:
    """Return the conditions of a split, computed on first use and kept in the cache."""
    file = cache / "pictures" / f"{split}-conditions.pt"
    if not file.exists():
        vae = (
            AutoencoderKL.from_pretrained(folder / "unclip" / "vae", low_cpu_mem_usage=False)
            .eval()
            .to(device)
        )
        clip = CLIPModel.from_pretrained(folder / "clip").eval().to(device)
        made = conditions_of(pictures(cache, split, n), vae, clip, device)
        torch.save((made.latents, made.tokens, made.weights), file)
    return Conditions(*torch.load(file, weights_only=True, mmap=True))


def corrupted(tokens: torch.Tensor, others: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """Corrupt the tokens of half of the items and drop those of a tenth.

    A corrupted item keeps a cosine of .8 to 1 to its deviation from the mean tokens; what is added
    is a random mixture of white noise and of another picture's deviation. A dropped item gets
    standard normal tokens.

    Parameters
    ----------
    tokens, others : (n, 64, 64)
        Tokens of the items and of other pictures.
    noise : torch.Generator
        Source of all draws.

    Returns
    -------
    (n, 64, 64)
    """
    n = len(tokens)
    cosine = 1 - 0.2 * torch.rand(n, 1, 1, generator=noise)
    cosine = torch.where(torch.rand(n, 1, 1, generator=noise) < 0.5, cosine, 1.0)
    structured = torch.rand(n, 1, 1, generator=noise)
    white = torch.randn(tokens.shape, generator=noise)
    mean = others.mean(0, keepdim=True)
    deviation, foreign = tokens - mean, others - mean
    white = white * deviation.std()
    error = structured.sqrt() * foreign + (1 - structured).sqrt() * white
    mixed = mean + cosine * deviation + (1 - cosine**2).sqrt() * error
    dropped = torch.rand(n, 1, 1, generator=noise) < 0.1
    return torch.where(dropped, torch.randn(tokens.shape, generator=noise), mixed)


def averaged_copy(unet: UNet2DConditionModel, average: list[torch.Tensor]) -> UNet2DConditionModel:
    """Return a copy of the UNet with the averaged parameters."""
    copy = UNet2DConditionModel.from_config(unet.config)
    with torch.no_grad():
        for parameter, value in zip(copy.parameters(), average, strict=True):
            parameter.copy_(value)
    return copy.eval()


def velocity_losses(
    unet: UNet2DConditionModel, batch: tuple[torch.Tensor, ...], noise: torch.Generator
) -> torch.Tensor:
    """Return the squared error of the velocity, (n, 16, 8, 8); `batch` is latents and tokens."""
    schedule = DDPMScheduler(**SCHEDULE)
    latents, tokens = batch
    white = torch.randn(latents.shape, generator=noise)
    times = torch.randint(0, 1000, (len(latents),), generator=noise)
    given = with_token_grid(schedule.add_noise(latents, white, times), tokens)
    target = schedule.get_velocity(latents, white, times).to(unet.device)
    made = unet(given.to(unet.device), times.to(unet.device), tokens.to(unet.device)).sample
    return (made - target) ** 2


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 4000,
    rate: float = 0.02,
) -> None:
    """Train the UNet and write the whole decoder to ``folder/unclip``.

    The averaged weights are also written on the way, so that the folder can be used early.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights (CLIP and autoencoder exist); folder of training set and checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 48.
    rate : float
        Peak learning rate of Muon.
    """
    folder, cache = Path(folder), Path(cache)
    torch.manual_seed(seed)
    known = stored_conditions(folder, cache, "train", None, device)
    unseen = stored_conditions(folder, cache, "unseen", 345, device)
    shift = known.latents.mean((0, 2, 3), keepdim=True)
    scale = known.latents.std((0, 2, 3), keepdim=True)
    unet = build().to(device)

    def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
        return parameter.ndim >= 2 and not key.startswith(("conv_in", "conv_out", "time_embedding"))

    course = Course(
        {"unet": unet},
        optimizers_for([unet], hidden, lr=rate),
        steps,
        cache / "checkpoints" / "unclip.pt",
        seed,
        averaged="unet",
    )

    def losses_of(draw: Draw) -> Losses:
        rows = draw.numbers().integers(len(known), size=(2, BATCH))
        noise = draw.noise()
        tokens = corrupted(known.tokens[rows[0]], known.tokens[rows[1]], noise)
        latents = (known.latents[rows[0]] - shift) / scale
        error = velocity_losses(unet, (latents, tokens), noise)
        weight = known.weights[rows[0]].to(device)
        return {"velocity": (weight * error).mean() / weight.mean()}

    def report() -> str:
        model = averaged_copy(unet, course.average).to(device)
        latents = (unseen.latents[:N_VALIDATION] - shift) / scale
        with torch.no_grad():
            batch = (latents, unseen.tokens[:N_VALIDATION])
            error = velocity_losses(model, batch, torch.Generator().manual_seed(3))
        return f"unseen {float(error.mean()):.4f}"

    def save() -> None:
        vae = AutoencoderKL.from_pretrained(folder / "unclip" / "vae", low_cpu_mem_usage=False)
        scheduler = DPMSolverMultistepScheduler(**SCHEDULE, timestep_spacing="trailing")
        config = UnclipConfig(
            token_grid=True,
            num_steps=20,
            guidance=2.0,
            latent_scale=tuple(scale.flatten().tolist()),
            latent_shift=tuple(shift.flatten().tolist()),
        )
        model = averaged_copy(unet, course.average)
        UnclipDecoder(model, vae, scheduler, config).save_pretrained(folder / "unclip")
        finish(folder / "unclip")

    course.run(losses_of, report, every=200, save=save)
    save()
    print("done", report(), flush=True)
