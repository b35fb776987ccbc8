"""The phantom's convolutional judge: it learns to name object and colour.

Its scenes are those of another world: none that a decoder, its CLIP or a test has met. Half of each
batch is spoiled (blurred, noisy, of other contrast), as decoded pictures are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from insilico.course import Course, Draw, Losses
from insilico.phantom.scenes import ATTRIBUTES, attribute_indices, draw_scene, render
from insilico.phantom.training.data import scaled
from insilico.phantom.training.storage import finish
from insilico.scores.networks.convnet import PhantomConvnet

FOLDER = Path("judge_convnet")
JUDGES_WORLD = 3
N_SCENES, N_HELD, BATCH = 6000, 345, 64
READ = [list(ATTRIBUTES).index(name) for name in ("object", "colour")]


def scenes(split: str, n: int) -> tuple[np.ndarray, torch.Tensor]:
    """Return pictures, uint8 (n, 64, 64, 3), and their objects and colours, (n, 2)."""
    drawn = [draw_scene(JUDGES_WORLD, split, k) for k in range(n)]
    truth = attribute_indices()[[scene.combination for scene in drawn]][:, READ]
    return np.stack([render(scene) for scene in drawn]), torch.from_numpy(truth)


def spoiled(pixels: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """Return pictures (n, 3, 64, 64), every second one blurred, noisy and of other contrast."""
    some = pixels[::2]
    coarse = functional.avg_pool2d(some, 2)
    blurred = functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    share, contrast, spread = torch.rand((3, len(some), 1, 1, 1), generator=noise)
    mixed = (share * blurred + (1 - share) * some) * (0.6 + 0.6 * contrast)
    return pixels.index_copy(
        0,
        torch.arange(0, len(pixels), 2),
        mixed + 0.2 * spread * torch.randn(some.shape, generator=noise),
    )


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 700,
) -> None:
    """Train the net and write it to ``folder/judge_convnet``.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 64 pictures.
    """
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    model = PhantomConvnet().to(device)
    (images, truth), (other, held) = scenes("train", N_SCENES), scenes("unseen", N_HELD)
    checkpoint = Path(cache) / "checkpoints" / "judge_convnet.pt"
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3, weight_decay=0.02)
    course = Course({"model": model}, [optimizer], steps, checkpoint, seed)

    def named(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        late = model(pixels.to(device), "late")
        return model.object(late), model.colour(late)

    def losses_of(draw: Draw) -> Losses:
        model.train()
        rows = draw.numbers().choice(len(images), BATCH, replace=False)
        said = named(spoiled(scaled(images[rows]), draw.noise()))
        meant = truth[rows].to(device).T
        pairs = zip(("object", "colour"), said, meant, strict=True)
        return {name: functional.cross_entropy(logits, true) for name, logits, true in pairs}

    @torch.no_grad()
    def report() -> str:
        model.eval()
        said = torch.stack([logits.argmax(1) for logits in named(scaled(other))], 1).cpu()
        right = (said == held).double().mean(0)
        return f"object {right[0]:.3f} colour {right[1]:.3f}"

    course.run(losses_of, report)
    (Path(folder) / FOLDER).mkdir(parents=True, exist_ok=True)
    state = {k: v.cpu() for k, v in model.state_dict().items() if not k.endswith("tracked")}
    save_file(state, Path(folder) / FOLDER / "model.safetensors")
    finish(Path(folder) / FOLDER)
    print("done", report(), flush=True)
