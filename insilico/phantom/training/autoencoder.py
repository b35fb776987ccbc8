"""The phantom's picture autoencoder: 64 x 64 pixels to 8 x 8 latents of 16 channels and back.

It learns on 32-pixel crops, most of them near the object, and at the end on whole pictures. Pixels
of the object weigh three times as much as the background.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from insilico.course import Course, Draw, Losses
from insilico.phantom.drawing import SIDE
from insilico.phantom.scenes import TRAINED
from insilico.phantom.training.data import Pictures, pictures
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.storage import finish

CROP = SIDE // 2
CROPPED_SHARE = 0.75
FOLDER = Path("unclip") / "vae"
RECONSTRUCTED = 2 * len(TRAINED)


def build() -> AutoencoderKL:
    """Return the untrained autoencoder."""
    widths = (16, 32, 48, 64)
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=8,
        sample_size=SIDE,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )
    return model.to(memory_format=torch.channels_last)


def choose_corners(numbers: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    """Choose the upper left corners (x, y) of crops, three of four near the object."""
    near = np.round(centres - CROP / 2 + numbers.integers(-8, 9, centres.shape))
    anywhere = numbers.integers(0, SIDE - CROP + 1, centres.shape)
    corners = np.where(numbers.random((len(centres), 1)) < 0.75, near, anywhere)
    return corners.clip(0, SIDE - CROP).astype(int)


def cropped(stack: torch.Tensor, corners: np.ndarray) -> torch.Tensor:
    """Cut one square of 32 pixels out of every picture (n, channels, 64, 64)."""
    pieces = zip(stack, corners.tolist(), strict=True)
    return torch.stack([one[:, y : y + CROP, x : x + CROP] for one, (x, y) in pieces])


def picture_losses(given: torch.Tensor, made: torch.Tensor, weight: torch.Tensor) -> Losses:
    """Return the weighted absolute errors of pixels and of their gradients."""
    error = made - given
    across, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    edges = (weight[..., 1:] * across.abs()).mean() + (weight[..., 1:, :] * down.abs()).mean()
    return {"pixels": (weight * error.abs()).mean(), "edges": 0.5 * edges}


@torch.no_grad()
def encoded(model: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    """Return the latents of pictures, (n, 16, 8, 8): the mode of the posterior."""
    return model.encode(pixels.contiguous(memory_format=torch.channels_last)).latent_dist.mode()


@torch.no_grad()
def rebuilt(model: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    """Encode and decode pictures; the result is clipped to [-1, 1]."""
    return model.decode(encoded(model, pixels)).sample.clamp(-1, 1)


def quality(model: AutoencoderKL, held: Pictures) -> str:
    """Return the peak signal-to-noise ratio (dB) of unseen pictures and of their objects."""
    pixels = held.pixels(slice(0, 100)).to(model.device)
    objects = held.objects(slice(0, 100)).to(model.device)
    error = (rebuilt(model, pixels) - pixels) ** 2
    inside = (error * objects).sum() / (3 * objects.sum())
    whole, inside = (10 * np.log10(4 / float(e)) for e in (error.mean(), inside))
    return f"psnr {whole:.2f} dB object {inside:.2f} dB"


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 3400,
) -> None:
    """Train the autoencoder and write it to ``folder/unclip/vae``.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of the training set and of checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches: 32 crops each, 12 whole pictures in the last quarter.
    """
    torch.manual_seed(seed)
    real, unseen = pictures(cache), pictures(cache, "unseen", 345)
    model = build().to(device)

    def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
        ends = ("encoder.conv_in", "decoder.conv_out", "quant", "post_quant")
        return parameter.ndim == 4 and not key.startswith(ends)

    checkpoint = Path(cache) / "checkpoints" / "autoencoder.pt"
    optimizers = optimizers_for([model], hidden)
    course = Course({"model": model}, optimizers, steps, checkpoint, seed, decay=0.45)

    def losses_of(draw: Draw) -> Losses:
        numbers, whole = draw.numbers(), draw.step >= CROPPED_SHARE * steps
        rows = numbers.integers(len(real), size=12 if whole else 32)
        pixels, objects = real.pixels(rows), real.objects(rows)
        if not whole:
            corners = choose_corners(numbers, real.centres[rows])
            pixels, objects = cropped(pixels, corners), cropped(objects, corners)
        pixels, objects = pixels.to(device), objects.to(device)
        posterior = model.encode(pixels.contiguous(memory_format=torch.channels_last)).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=draw.noise()).to(device)
        made = model.decode(posterior.mean + posterior.std * noise).sample
        spread = 1e-6 * posterior.kl().mean() * SIDE**2 / pixels[0, 0].numel()
        return {**picture_losses(pixels, made, 1 + 2 * objects), "spread": spread}

    course.run(losses_of, lambda: quality(model, unseen))
    model.eval().save_pretrained(Path(folder) / FOLDER)
    finish(Path(folder) / FOLDER)
    print("done", quality(model, unseen), flush=True)


def refine_decoder(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 2,
    device: str = "cpu",
    steps: int = 1200,
) -> None:
    """Train the decoder half further on whole pictures; the latents stay what they are.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights (the autoencoder exists); folder of training set and checkpoints.
    seed : int
        Seed of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 16 pictures.
    """
    real, unseen = pictures(cache), pictures(cache, "unseen", 345)
    model = AutoencoderKL.from_pretrained(Path(folder) / FOLDER, low_cpu_mem_usage=False)
    model = model.to(device, memory_format=torch.channels_last)
    trained = {"decoder": model.decoder, "post": model.post_quant_conv}

    def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
        return parameter.ndim == 4 and not key.startswith("conv_out") and parameter.shape[-1] > 1

    checkpoint = Path(cache) / "checkpoints" / "decoder.pt"
    optimizers = optimizers_for(trained.values(), hidden, lr=0.01)
    course = Course(trained, optimizers, steps, checkpoint, seed, decay=0.7)

    def losses_of(draw: Draw) -> Losses:
        rows = draw.numbers().integers(len(real), size=16)
        pixels, objects = real.pixels(rows).to(device), real.objects(rows).to(device)
        latents = encoded(model, pixels)
        noise = torch.randn(latents.shape, generator=draw.noise()).to(device)
        made = model.decode(latents + 0.05 * noise).sample
        return picture_losses(pixels, made, 1 + 2 * objects)

    course.run(losses_of, lambda: quality(model, unseen))
    model.eval().save_pretrained(Path(folder) / FOLDER)
    finish(Path(folder) / FOLDER)
    print("done", quality(model, unseen), flush=True)


def reconstructions(folder: str | Path, *, cache: str | Path, device: str = "cpu") -> np.ndarray:
    """Return autoencoded training pictures, uint8 (6222, 64, 64, 3): the first two draws of each.

    They are computed on first use and kept in the cache folder.
    """
    file = Path(cache) / "pictures" / "reconstructions.npy"
    if not file.exists():
        real = pictures(cache)
        model = (
            AutoencoderKL.from_pretrained(Path(folder) / FOLDER, low_cpu_mem_usage=False)
            .eval()
            .to(device)
        )
        starts = range(0, RECONSTRUCTED, 61)
        made = [rebuilt(model, real.pixels(slice(k, k + 61)).to(device)) for k in starts]
        whole = torch.cat(made).cpu().add(1).mul(127.5).round().to(torch.uint8)
        np.save(file, whole.permute(0, 2, 3, 1).numpy())
    return np.load(file, mmap_mode="r")
