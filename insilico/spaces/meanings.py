"""Texts and sounds as unit vectors: a CLAP's, a CLIP's texts, a sentence encoder's.

Whatever is compared by cosine meets here; pictures have tokens and embeddings of their own.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import torch

from insilico.errors import SchemaError, WeightsError
from insilico.step import batches, device, generator
from insilico.weights.alone import need, taken
from insilico.weights.folders import UNREADABLE, digest, found
from insilico.weights.memory import Need
from insilico.weights.shelf import kept

BATCH = 32
LONGEST = 512
"""Tokens of a text that are counted on, where a model reads more."""


def room(folder: Path, kind: str) -> int | None:
    """Return how many texts of their full length a model of transformers reads together.

    Other networks are let go; None where no memory is set.

    Raises
    ------
    WeightsError
    ParameterError
        If the memory is too little.
    """
    return taken(HELD.get(kind, "score"), lambda: needed(folder, kind))


def needed(folder: Path, kind: str) -> Need:
    """Return what a text model needs: all of it is loaded."""
    return _needed(folder, kind, digest(folder))


@lru_cache(maxsize=8)
def _needed(folder: Path, kind: str, weights: str) -> Need:
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            model = _empty(kind, config).eval()
    except UNREADABLE as error:
        raise WeightsError(f"{folder} cannot be loaded as {kind}: {error}") from error
    longest = getattr(config, "text_config", config).max_position_embeddings
    words = min(longest - 2, LONGEST)  # RoBERTa's positions begin at 2

    def call(n: int) -> object:
        if kind == "CLIPModel":
            return model.get_text_features(torch.zeros(n, words, dtype=torch.long))
        text = getattr(model, "text_model", model)
        return text.encoder(torch.empty(n, words, text.config.hidden_size))

    return need(HELD.get(kind, "score"), model, call, BATCH)


def _empty(kind: str, config: Any) -> Any:
    import transformers

    if kind == "AutoModel":
        return transformers.AutoModel.from_config(config)
    return getattr(transformers, kind)(config)


HELD = {"ClapModel": "clap"}


@kept("clap")
def _clap(path: Path, weights: str, where: str) -> tuple[Any, Any, Any]:
    from transformers import AutoFeatureExtractor, AutoTokenizer, ClapModel

    try:
        model = ClapModel.from_pretrained(path, use_safetensors=True).float().eval().to(where)
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        return model, tokenizer, AutoFeatureExtractor.from_pretrained(path)
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be loaded as CLAP: {error}") from error


def unit(vectors: torch.Tensor) -> np.ndarray:
    """Return vectors of length one, float64."""
    found = vectors.cpu().numpy().astype(np.float64)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


@torch.inference_mode()
def clap_texts(texts: list[str], folder: Path) -> np.ndarray:
    """Return CLAP's unit embeddings of texts, float64 (n, width)."""
    most = room(folder, "ClapModel")
    model, tokenizer, _ = _clap(folder, digest(folder), device())
    parts = [read_by(tokenizer, part) for part in batches(texts, most or BATCH, "texts", most)]
    made = [model.get_text_features(**part.to(device())).pooler_output for part in parts]
    return unit(torch.cat(made))


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
    room(folder, "ClapModel")  # other networks are let go
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
    each = unit(model.get_audio_features(**given.to(device())).pooler_output)
    return unit(torch.from_numpy(each.mean(0)))


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


def read_by(tokenizer: Any, texts: list[str]) -> Any:
    """Return texts as a model's numbers; one that it cannot read to the end is an error."""
    longest = min(tokenizer.model_max_length, 10_000)
    for text in texts:
        length = len(tokenizer(text, verbose=False)["input_ids"])
        if length > longest:
            raise SchemaError(
                f"a text of {len(text.split())} words ('{text[:40]}…') makes {length} tokens; this "
                f"model reads {longest}: shorten it"
            )
    return tokenizer(texts, padding=True, return_tensors="pt")


@kept("score", 2)
def _reader(path: Path, weights: str, where: str, kind: str) -> tuple[Any, Any]:
    import transformers

    try:
        model = getattr(transformers, kind).from_pretrained(path, use_safetensors=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be loaded as {kind}: {error}") from error
    return model.float().eval().to(where), tokenizer


@torch.inference_mode()
def clip_texts(texts: list[str], folder: Path) -> np.ndarray:
    """Return a CLIP's unit embeddings of texts (projected), float64 (n, width)."""
    most = room(folder, "CLIPModel")
    model, tokenizer = _reader(folder, digest(folder), device(), "CLIPModel")
    each = batches(texts, most or BATCH, "texts", most)
    parts = [read_by(tokenizer, part).to(device()) for part in each]
    return unit(torch.cat([model.get_text_features(**part).pooler_output for part in parts]))


def clip_judge(weights: str) -> Path:
    """Return the folder of the CLIP that judges: the phantom's second, or one that is named."""
    return found(weights, "judge_clip" if weights == "phantom" else "clip")


@torch.inference_mode()
def clip_pictures(images: np.ndarray, folder: Path) -> np.ndarray:
    """Return a CLIP's unit embeddings of pictures (projected), float64 (n, width).

    Parameters
    ----------
    images : uint8 (n, height, width, 3)
    folder : path
        Of the CLIP; pictures are prepared as its own ``preprocessor_config.json`` says.
    """
    from transformers import CLIPImageProcessorPil

    model, _ = _reader(folder, digest(folder), device(), "CLIPModel")
    try:
        prepare = CLIPImageProcessorPil.from_pretrained(folder)
    except UNREADABLE as error:
        raise WeightsError(f"{folder} says not how pictures are prepared: {error}") from error
    made = []
    for part in batches(images, BATCH, "pictures"):
        pixels = prepare(list(part), return_tensors="pt")["pixel_values"].to(device())
        made.append(model.get_image_features(pixel_values=pixels).pooler_output)
    return unit(torch.cat(made))


@torch.inference_mode()
def sentences(texts: list[str], folder: Path) -> np.ndarray:
    """Return unit embeddings of sentences, float64 (n, width): a BERT's states, averaged.

    As sentence-transformers makes them of all-MiniLM-L6-v2: the mean of the last hidden states
    over the words that are there, normalised.
    """
    most = room(folder, "AutoModel")
    model, tokenizer = _reader(folder, digest(folder), device(), "AutoModel")
    found = []
    for part in batches(texts, most or BATCH, "texts", most):
        given = read_by(tokenizer, part).to(device())
        there = given["attention_mask"][..., None].float()
        states = model(**given).last_hidden_state
        found.append((states * there).sum(1) / there.sum(1))
    return unit(torch.cat(found))
