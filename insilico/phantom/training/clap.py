"""The phantom's CLAP: sounds and captions of the world in one space.

What sounds is told by object and background alone; every batch holds each of their 72 pairs once,
with captions whose other words differ.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

from insilico.course import Course, Draw, Losses
from insilico.phantom.scenes import CAPTIONS, HELD_OUT, attribute_indices
from insilico.phantom.sounds import SAMPLE_RATE_HZ
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.prompts import LONGEST, PROMPTS, clap_tokenizer
from insilico.phantom.training.sound import N_UNSEEN, sounds
from insilico.phantom.training.storage import finish

FOLDER = Path("clap")
WIDTH = 64


def build(n_words: int) -> ClapModel:
    """Return the untrained CLAP: 51 frames of 64 bands, a Swin of two stages, a short RoBERTa."""
    calm = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    text = {
        "vocab_size": n_words,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": LONGEST + 4,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
    }
    audio = {
        "spec_size": 64,
        "num_mel_bins": 64,
        "patch_size": 4,
        "patch_stride": [4, 4],
        "depths": [2, 2],
        "num_hidden_layers": 2,
        "num_attention_heads": [2, 4],
        "patch_embeds_hidden_size": WIDTH // 2,
        "hidden_size": WIDTH,
        "window_size": 8,
    }
    return ClapModel(
        ClapConfig(text_config=text | calm, audio_config=audio | calm, projection_dim=WIDTH)
    )


def extractor() -> ClapFeatureExtractor:
    """Return what turns a second of sound into the spectrogram that this CLAP hears."""
    return ClapFeatureExtractor(
        feature_size=64,
        sampling_rate=SAMPLE_RATE_HZ,
        hop_length=320,
        max_length_s=1,
        fft_window_size=1024,
        frequency_min=0,
        frequency_max=SAMPLE_RATE_HZ // 2,
        truncation="rand_trunc",
        padding="repeatpad",
    )


def heard(waves: np.ndarray) -> torch.Tensor:
    """Return what CLAP hears of sounds of one second, float32 (n, 1, 51, 64)."""
    listen = extractor()
    given = [wave.astype(np.float32) for wave in waves]
    return listen(given, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")["input_features"]


def pair_of(combinations: np.ndarray) -> np.ndarray:
    """Return the number of object and background of each combination, 0 to 71."""
    return attribute_indices()[combinations, 0] * 6 + attribute_indices()[combinations, 1]


def choose(numbers: np.random.Generator, pairs: np.ndarray) -> np.ndarray:
    """Choose one row of each of the 72 pairs of object and background."""
    shuffled = numbers.permutation(len(pairs))
    return shuffled[np.unique(pairs[shuffled], return_index=True)[1]]


def contrasted(words: torch.Tensor, sound: torch.Tensor, scale: torch.Tensor) -> Losses:
    """Return the cross-entropy of finding each row of one (n, width) by the other, both ways."""
    alike = functional.normalize(words, dim=-1) @ functional.normalize(sound, dim=-1).T
    logits, own = scale * alike, torch.arange(len(words), device=words.device)
    entropy = functional.cross_entropy
    return {"words": entropy(logits, own), "sounds": entropy(logits.T, own)}


def _hidden(key: str, parameter: torch.nn.Parameter) -> bool:
    return parameter.ndim == 2 and (".layers." in key or ".layer." in key)


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 200,
) -> None:
    """Train CLAP and write it to ``folder/clap``.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of the sounds and of checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 72 sounds.
    """
    torch.manual_seed(seed)
    tokenizer = clap_tokenizer()
    model = build(len(tokenizer)).to(device)
    waves, combinations = sounds(cache)
    other, held = sounds(cache, "unseen", N_UNSEEN)
    known, unseen = heard(waves), heard(other)
    pairs = pair_of(combinations)
    trained = np.array([k for k in range(len(CAPTIONS)) if k not in HELD_OUT])

    def text(rows: np.ndarray, form: tuple[str, ...]) -> torch.Tensor:
        words = tokenizer([form[k] for k in rows], padding="max_length", return_tensors="pt")
        return model.get_text_features(**words.to(device)).pooler_output

    checkpoint = Path(cache) / "checkpoints" / "clap.pt"
    course = Course({"model": model}, optimizers_for([model], _hidden), steps, checkpoint, seed)

    def losses_of(draw: Draw) -> Losses:
        model.train()
        numbers = draw.numbers()
        rows = choose(numbers, pairs)
        said = trained[choose(numbers, pair_of(trained))]
        sound = model.get_audio_features(input_features=known[rows].to(device)).pooler_output
        words = text(said, PROMPTS if draw.step % 2 else CAPTIONS)
        return contrasted(words, sound, model.logit_scale_t.exp())

    @torch.no_grad()
    def report() -> str:
        model.eval()
        sound = model.get_audio_features(input_features=unseen.to(device)).pooler_output
        nearest = (sound @ functional.normalize(text(held, CAPTIONS), dim=-1).T).argmax(1)
        named, true = attribute_indices()[held[nearest.cpu().numpy()]], attribute_indices()[held]
        right = (named == true)[:, :2].mean(0)
        return f"object {right[0]:.3f} background {right[1]:.3f}"

    course.run(losses_of, report)
    for part in (model.eval(), tokenizer, extractor()):
        part.save_pretrained(Path(folder) / FOLDER)
    finish(Path(folder) / FOLDER)
    print("done", report(), flush=True)
