"""Pictures of texts: the phantom's text prior and unCLIP, or any such pipeline of diffusers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from insilico.decoders.text_prior import TextPrior
from insilico.decoders.unclip import UnclipDecoder
from insilico.errors import WeightsError
from insilico.spaces.meanings import read_by
from insilico.step import batches, device, generator
from insilico.weights.folders import UNREADABLE, digest, folder, found
from insilico.weights.shelf import kept

PARTS = ("clip", "text_prior", "unclip")


def in_parts(weights: str) -> bool:
    """Return whether these weights paint in parts, as the phantom's do."""
    return weights == "phantom" or (Path(weights).expanduser() / PARTS[1]).is_dir()


def painting_digests(weights: str) -> dict[str, str]:
    """Return the digests of the networks that paint."""
    if in_parts(weights):
        return {name: digest(folder(weights, name)) for name in PARTS}
    return {"pictures": digest(found(weights, "pictures", "model_index.json"))}


def painted(
    texts: list[str], weights: str = "phantom", seed: int = 0, batch: int = 16
) -> np.ndarray:
    """Paint a picture of each text.

    Parameters
    ----------
    texts : list of n str
    weights : str
        ``"phantom"``, a folder with ``clip/``, ``text_prior/`` and ``unclip/``, or folder or hub id
        of a text-to-image pipeline of diffusers (SDXL, ...).
    seed : int
        A picture depends on seed and text alone.
    batch : int
        Pictures painted together.

    Returns
    -------
    uint8 (n, height, width, 3)

    Raises
    ------
    WeightsError
        If there are no such weights.
    SchemaError
        If a text is longer than CLIP reads.
    """
    paint = _by_parts if in_parts(weights) else _by_pipeline
    made = [paint(part, weights, seed) for part in batches(texts, batch, "paint")]
    return np.concatenate(made)


@torch.no_grad()
def _by_parts(texts: list[str], weights: str, seed: int) -> np.ndarray:
    clip, tokenizer, prior, unclip = _parts(weights, str(painting_digests(weights)), device())
    given = read_by(tokenizer, texts).to(device())
    mask = given["attention_mask"]
    words = clip.text_model(**given).last_hidden_state
    rngs = [generator(seed, "painting", text) for text in texts]
    style, noise = _normal(rngs, prior.config.style), _normal(rngs, *unclip.latent_shape)
    tokens = prior(words, mask, style)
    tokens = tokens + prior.config.noise * _normal(rngs, *tokens.shape[1:])
    made = unclip.sample(tokens, noise, _normal(rngs, *tokens.shape[1:]))
    return made.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def _normal(rngs: list[np.random.Generator], *shape: int) -> torch.Tensor:
    drawn = np.stack([rng.standard_normal(shape) for rng in rngs])
    return torch.from_numpy(drawn.astype(np.float32)).to(device())


def _by_pipeline(texts: list[str], weights: str, seed: int) -> np.ndarray:
    path = found(weights, "pictures", "model_index.json")
    pipe = _pipeline(path, digest(path), device())
    draws = [torch.Generator() for _ in texts]
    for text, draw in zip(texts, draws, strict=True):
        draw.manual_seed(int(generator(seed, "painting", text).integers(2**62)))
    made = pipe(prompt=texts, generator=draws, output_type="np").images
    return (np.clip(made, 0, 1) * 255).round().astype(np.uint8)


@kept("painting")
def _parts(weights: str, used: str, where: str) -> tuple[Any, Any, TextPrior, UnclipDecoder]:
    clip, tokenizer, _ = loaded_clip(folder(weights, "clip"), used, where)
    prior = TextPrior.from_pretrained(folder(weights, "text_prior")).to(where)
    return (
        clip,
        tokenizer,
        prior,
        UnclipDecoder.from_pretrained(folder(weights, "unclip")).to(where),
    )


@kept("painting")
def _pipeline(path: Path, used: str, where: str) -> Any:
    from diffusers import AutoPipelineForText2Image

    try:
        pipe = AutoPipelineForText2Image.from_pretrained(path, use_safetensors=True)
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be loaded as text-to-image: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(where)


@kept("clip", 2)
def loaded_clip(path: Path, used: str, where: str) -> tuple[Any, Any, Any]:
    """Load a CLIP of transformers with its tokenizer and image processor."""
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    try:
        model = CLIPModel.from_pretrained(path, use_safetensors=True).float().eval().to(where)
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        return model, tokenizer, CLIPImageProcessorPil.from_pretrained(path)
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be loaded as CLIP: {error}") from error
