"""The phantom's text prior: from captions to the CLIP tokens of pictures of them.

What the caption leaves open (place, size, horizon, light, side) is told to it as a style, standard
normal over scenes, and drawn anew for a new picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.stats import norm
from transformers import CLIPModel

from insilico.course import Course, Draw, Losses
from insilico.decoders.text_prior import TextPrior, TextPriorConfig
from insilico.phantom.scenes import Scene, draw_scene
from insilico.phantom.training.data import WORLD, pictures
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.storage import finish
from insilico.phantom.training.unclip import Conditions, stored_conditions
from insilico.phantom.training.vocabulary import caption_tokens

BATCH = 96
FOLDER = Path("text_prior")


def styles(scenes: list[Scene], seed: int = 0) -> torch.Tensor:
    """Return what captions leave open, float32 (n, 6), each number standard normal over scenes."""
    ranges = {"shift": 0.04, "height": 0.055, "scale": 0.07, "horizon": 0.06, "light": 0.1}
    middles = {"shift": 0.0, "height": 0.595, "scale": 1.0, "horizon": 0.46, "light": 0.98}
    told = [[(getattr(s, k) - middles[k]) / ranges[k] for k in ranges] for s in scenes]
    side = np.array([-1.0 if scene.mirrored else 1.0 for scene in scenes])
    free = np.abs(np.random.default_rng(seed).standard_normal(len(scenes)))
    even = norm.ppf((1 + 0.999 * np.array(told)) / 2)
    return torch.from_numpy(np.column_stack([even, side * free]).astype(np.float32))


@torch.no_grad()
def text_states(clip: CLIPModel) -> torch.Tensor:
    """Return the last text states of all captions, float32 (3456, 12, 64)."""
    parts = caption_tokens().to(clip.device).split(512)
    return torch.cat([clip.text_model(input_ids=part).last_hidden_state for part in parts])


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 1800,
) -> None:
    """Train the text prior and write it to ``folder/text_prior``; CLIP and autoencoder exist.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of the training set and of checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 96 pictures.
    """
    folder, cache = Path(folder), Path(cache)
    torch.manual_seed(seed)
    known = stored_conditions(folder, cache, "train", None, device)
    unseen = stored_conditions(folder, cache, "unseen", 345, device)
    shown = torch.from_numpy(np.array(pictures(cache).combinations))
    held = torch.from_numpy(np.array(pictures(cache, "unseen", 345).combinations))
    words = text_states(CLIPModel.from_pretrained(folder / "clip").float().eval().to(device))
    style = styles([draw_scene(WORLD, "train", k) for k in range(len(known))])
    other = styles([draw_scene(WORLD, "unseen", k) for k in range(len(unseen))])
    model = TextPrior(TextPriorConfig()).to(device)

    def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
        return parameter.ndim == 2 and key.startswith("layers.")

    checkpoint = cache / "checkpoints" / "text_prior.pt"
    course = Course({"model": model}, optimizers_for([model], hidden), steps, checkpoint, seed)

    def error(scenes: Conditions, rows: np.ndarray, drawn: torch.Tensor, said: torch.Tensor):
        """Return the mean squared error, where the object is counted five times."""
        made = model(words[said], words.new_ones(said.shape + words.shape[1:2]), drawn.to(device))
        weight = scenes.weights[rows].flatten(1)[..., None].to(device)
        return (weight * (made - scenes.tokens[rows].to(device)) ** 2).mean() / weight.mean()

    def losses_of(draw: Draw) -> Losses:
        rows = draw.numbers().integers(len(known), size=BATCH)
        return {"tokens": error(known, rows, style[rows], shown[rows])}

    @torch.no_grad()
    def report() -> str:
        return f"unseen {float(error(unseen, np.arange(len(unseen)), other, held)):.4f}"

    course.run(losses_of, report)
    model.eval().save_pretrained(folder / FOLDER)
    finish(folder / FOLDER)
    print("done", report(), flush=True)
