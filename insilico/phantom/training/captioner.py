"""The phantom's captioner: GIT, whose vision tower starts as that of the phantom's CLIP.

Every second batch shows autoencoded pictures, so that it reads generated pictures as well.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import CLIPModel, GitConfig, GitForCausalLM

from insilico.course import Course, Draw, Losses
from insilico.phantom.scenes import ATTRIBUTES, CAPTIONS
from insilico.phantom.training.autoencoder import reconstructions
from insilico.phantom.training.data import pictures, scaled
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.storage import finish
from insilico.phantom.training.vocabulary import (
    BOS,
    EOS,
    PAD,
    WORDS,
    caption_tokens,
    save_processors,
    spelled,
)

BATCH = 64
WORD_OF = {"object": 3, "background": 9, "colour": 2, "position": 6, "size": 1}


def build(clip: CLIPModel) -> GitForCausalLM:
    """Return the untrained captioner with the vision tower of a CLIP."""
    vision = clip.config.vision_config
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    config = GitConfig(
        vision_config={
            **{key: getattr(vision, key) for key in keys},
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
        },
        vocab_size=len(WORDS),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=16,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.1,
    )
    model = GitForCausalLM(config)
    tower, given = model.git.image_encoder, clip.vision_model.state_dict()
    own = tower.state_dict()
    prefix = "" if next(iter(given)) in own else "vision_model."
    tower.load_state_dict({prefix + key: value for key, value in given.items()})
    return model


@torch.no_grad()
def captions_of(model: GitForCausalLM, pixels: torch.Tensor) -> list[str]:
    """Caption pictures, greedily."""
    start = torch.full((len(pixels), 1), BOS, device=pixels.device)
    written = model.generate(
        pixel_values=pixels,
        input_ids=start,
        attention_mask=torch.ones_like(start),
        max_new_tokens=11,
        do_sample=False,
        pad_token_id=PAD,
    )
    return [spelled(row[1:].cpu()) for row in written]


def caption_scores(written: list[str], combinations: np.ndarray) -> dict[str, float]:
    """Return the share of exact captions and of right words for each attribute."""
    truth = [CAPTIONS[k] for k in combinations]
    exact = np.mean([a == b for a, b in zip(written, truth, strict=True)])
    pairs = [((a.split() + [""] * 10)[:10], b.split()) for a, b in zip(written, truth, strict=True)]
    right = {
        key: np.mean([a[WORD_OF[key]] == b[WORD_OF[key]] for a, b in pairs]) for key in ATTRIBUTES
    }
    return {"exact": float(exact), **{key: float(value) for key, value in right.items()}}


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 1000,
    name: str = "captioner",
    clip: str = "clip",
) -> None:
    """Train a captioner and write it to ``folder/name``; the CLIP and the autoencoder exist.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of the training set and of checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 64 pictures.
    name, clip : str
        Subfolder of the weights; subfolder of the CLIP whose vision tower is the start.
    """
    torch.manual_seed(seed)
    real, unseen = pictures(cache), pictures(cache, "unseen", 345)
    again = reconstructions(folder, cache=cache, device=device)
    model = build(CLIPModel.from_pretrained(Path(folder) / clip)).to(device)
    tokens = caption_tokens()

    def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
        return parameter.ndim == 2 and (".layers." in key or ".layer." in key)

    checkpoint = Path(cache) / "checkpoints" / f"{name}.pt"
    course = Course({"model": model}, optimizers_for([model], hidden), steps, checkpoint, seed)

    def losses_of(draw: Draw) -> Losses:
        model.train()
        redone = draw.step % 2 == 1
        rows = draw.numbers().integers(len(again if redone else real), size=BATCH)
        pixels = scaled(again[rows]) if redone else real.pixels(rows)
        labels = tokens[real.combinations[rows]].to(device)
        attended = torch.ones_like(labels)
        out = model(
            input_ids=labels, pixel_values=pixels.to(device), attention_mask=attended, labels=labels
        )
        return {"words": out.loss}

    def report() -> str:
        written = captions_of(model.eval(), unseen.pixels(slice(0, 345)).to(device))
        scores = caption_scores(written, unseen.combinations)
        return " ".join(f"{key} {value:.3f}" for key, value in scores.items())

    course.run(losses_of, report)
    model.eval().save_pretrained(Path(folder) / name)
    save_processors(Path(folder) / name)
    finish(Path(folder) / name)
    print("done", report(), flush=True)


def train_judge(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 1,
    device: str = "cpu",
    steps: int = 1000,
) -> None:
    """Train the captioner that judges pictures, from the judges' CLIP."""
    train(
        folder,
        cache=cache,
        seed=seed,
        device=device,
        steps=steps,
        name="judge_captioner",
        clip="judge_clip",
    )
