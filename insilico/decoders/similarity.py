"""How alike a text is to a sound (CLAP) and to a picture (CLIP): cosines of embeddings."""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch

from insilico.decoders.painting import loaded_clip, read_by
from insilico.errors import SchemaError, WeightsError
from insilico.step import batches, device, generator
from insilico.weights.folders import UNREADABLE, digest

BATCH = 32


@lru_cache(maxsize=1)
def _clap(path: Path, weights: str, where: str) -> tuple[Any, Any, Any]:
    from transformers import AutoFeatureExtractor, AutoTokenizer, ClapModel

    try:
        model = ClapModel.from_pretrained(path, use_safetensors=True).float().eval().to(where)
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        return model, tokenizer, AutoFeatureExtractor.from_pretrained(path)
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be loaded as CLAP: {error}") from error


def _unit(vectors: torch.Tensor) -> np.ndarray:
    found = vectors.cpu().numpy().astype(np.float64)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


@torch.inference_mode()
def clap_texts(texts: list[str], folder: Path) -> np.ndarray:
    """Return CLAP's unit embeddings of texts, float64 (n, width)."""
    model, tokenizer, _ = _clap(folder, digest(folder), device())
    parts = [read_by(tokenizer, part) for part in batches(texts, BATCH, "texts")]
    made = [model.get_text_features(**part.to(device())).pooler_output for part in parts]
    return _unit(torch.cat(made))


@torch.inference_mode()
def clap_sound(wave: np.ndarray, rate: int, folder: Path, chunks: int, rng: np.random.Generator):
    """Return CLAP's unit embedding of one sound, float64 (width,).

    A sound longer than CLAP hears at once (10 s as published) is cut into `chunks` pieces of that
    length, whose starts `rng` draws; their unit embeddings are averaged.

    Parameters
    ----------
    wave : float (samples,)
    rate : int
        Sampling rate in Hz; the sound is brought to CLAP's own.

    Raises
    ------
    SchemaError
        If the sound is empty, silent or not finite.
    """
    from scipy.signal import resample_poly

    if not (wave.size and np.isfinite(wave).all() and np.abs(wave).max() > 0):
        raise SchemaError("a sound is empty, silent or not finite: CLAP has nothing to hear")
    model, _, extractor = _clap(folder, digest(folder), device())
    own = int(extractor.sampling_rate)
    shared = gcd(rate, own)
    heard = resample_poly(wave.astype(np.float64), own // shared, rate // shared)
    given = extractor(
        pieces(heard.astype(np.float32), int(extractor.nb_max_samples), chunks, rng),
        sampling_rate=own,
        return_tensors="pt",
    )
    given["is_longer"] = torch.zeros_like(given["is_longer"], dtype=torch.bool)  # drawn, elsewise
    each = _unit(model.get_audio_features(**given.to(device())).pooler_output)
    return _unit(torch.from_numpy(each.mean(0)))


def pieces(
    wave: np.ndarray, length: int, chunks: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return the sound, or `chunks` pieces of `length` samples where it is longer than that."""
    if len(wave) <= length:
        return [wave]
    starts = np.sort(rng.integers(0, len(wave) - length + 1, chunks))
    return [wave[start : start + length] for start in starts]


def clap_rng(seed: int, stimulus: str) -> np.random.Generator:
    """Return the generator of the pieces of one sound."""
    return generator(seed, "clap", stimulus)


@torch.inference_mode()
def clip_pairs(texts: list[str], images: np.ndarray, folder: Path) -> np.ndarray:
    """Return CLIP's cosine of each text and its own picture, float64 (n,).

    Parameters
    ----------
    texts : list of n str
    images : uint8 (n, height, width, 3)
    """
    model, tokenizer, processor = loaded_clip(folder, digest(folder), device())
    found = []
    for rows in batches(range(len(texts)), BATCH, "pictures"):
        words = read_by(tokenizer, [texts[k] for k in rows]).to(device())
        pixels = processor(list(images[rows]), return_tensors="pt")["pixel_values"].to(device())
        said = _unit(model.get_text_features(**words).pooler_output)
        shown = _unit(model.get_image_features(pixel_values=pixels).pooler_output)
        found.append((said * shown).sum(1))
    return np.concatenate(found)
