"""The phantom's sounds as latents: the autoencoder of spectrograms, of AudioLDM2's class.

104 x 64 log-mel values become 13 x 8 latents of 16 channels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch.nn import functional

from insilico.course import Course, Draw, Losses
from insilico.phantom.scenes import draw_scene, sound
from insilico.phantom.spectrograms import spectrograms
from insilico.phantom.training.data import WORLD
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.storage import finish

FOLDER = Path("audioldm2")
N_TRAIN, N_UNSEEN = 3111, 345
FRAMES, PADDED = 100, 104
LATENT = (16, 13, 8)


def sounds(cache: str | Path, split: str = "train", n: int = N_TRAIN, world: int = WORLD):
    """Return sounds of scenes, float16 (n, 16000), and their combinations, int64 (n,).

    They are made on first use and kept in the cache folder.
    """
    file = Path(cache) / "sounds" / f"{world}-{split}-{n}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        scenes = [draw_scene(world, split, k) for k in range(n)]
        waves = np.stack([sound(scene).astype(np.float16) for scene in scenes])
        part = file.with_suffix(".part.npz")
        np.savez(part, waves=waves, combinations=[scene.combination for scene in scenes])
        part.replace(file)
    with np.load(file) as kept:
        return kept["waves"], kept["combinations"]


def seen(waves: np.ndarray) -> torch.Tensor:
    """Return padded spectrograms, float32 (n, 1, 104, 64), of sounds of one second."""
    parts = [spectrograms(torch.from_numpy(w).float()) for w in np.array_split(waves, 16) if len(w)]
    return functional.pad(torch.cat(parts)[:, None], (0, 0, 0, PADDED - FRAMES), mode="replicate")


def build_vae() -> AutoencoderKL:
    """Return the untrained autoencoder of spectrograms."""
    widths = (16, 32, 48, 64)
    return AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=1,
        latent_channels=LATENT[0],
        norm_num_groups=8,
        sample_size=PADDED,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    ).to(memory_format=torch.channels_last)


@torch.no_grad()
def whiten(vae: AutoencoderKL, known: torch.Tensor) -> None:
    """Fold mean and deviation of every latent channel into the 1 x 1 convolutions of the latents.

    AudioLDM2 knows one scaling factor; after this it is 1 and the latents have unit variance.
    """
    latents = torch.cat([vae.encode(part).latent_dist.mode() for part in known.split(64)])
    shift, scale = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    into, back = vae.quant_conv, vae.post_quant_conv
    n = len(shift)
    into.bias[:n] = (into.bias[:n] - shift) / scale
    into.weight[:n] /= scale[:, None, None, None]
    into.bias[n:] -= 2 * scale.log()
    back.bias += back.weight[:, :, 0, 0] @ shift
    back.weight *= scale[None, :, None, None]


def _inner(key: str, parameter: torch.nn.Parameter) -> bool:
    ends = ("encoder.conv_in", "decoder.conv_out", "quant", "post_quant")
    return parameter.ndim == 4 and not key.startswith(ends)


def train_autoencoder(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 450,
) -> None:
    """Train the autoencoder of spectrograms and write it to ``folder/audioldm2/vae``.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of the sounds and of checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 16 spectrograms.
    """
    torch.manual_seed(seed)
    known, unseen = seen(sounds(cache)[0]), seen(sounds(cache, "unseen", N_UNSEEN)[0])
    model = build_vae().to(device)
    checkpoint = Path(cache) / "checkpoints" / "sound_autoencoder.pt"
    optimizers = optimizers_for([model], _inner)
    course = Course({"model": model}, optimizers, steps, checkpoint, seed, decay=0.6)

    def losses_of(draw: Draw) -> Losses:
        given = known[draw.numbers().integers(len(known), size=16)].to(device)
        posterior = model.encode(given).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=draw.noise()).to(device)
        made = model.decode(posterior.mean + posterior.std * noise).sample
        return {
            "bands": (made - given).abs().mean(),
            "spread": 1e-6 * posterior.kl().mean(),
        }

    @torch.no_grad()
    def report() -> str:
        given = unseen[:64].to(device)
        made = model.decode(model.encode(given).latent_dist.mode()).sample
        return f"unseen {float((made - given).abs().mean()):.4f}"

    course.run(losses_of, report)
    whiten(model, known[:1024].to(device))
    print("done", report(), flush=True)
    model.eval().save_pretrained(Path(folder) / FOLDER / "vae")
    finish(Path(folder) / FOLDER / "vae")
