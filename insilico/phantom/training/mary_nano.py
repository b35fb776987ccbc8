"""The phantom's MARY-Nano: from pictures, captions and sounds to the average subject's cortex.

It is trained on what a scanner would give: training scenes that were seen, read or heard, and the
mean measured response (three repeats) of subjects 2 to 8. It knows no attribute and no other
network, and nothing tells it which picture, caption and sound belong to one scene.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from tokenizers import Regex, Tokenizer, models, normalizers

from insilico.course import Course
from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import Presentation
from insilico.encoders.slowfast import SlowFastConfig
from insilico.encoders.training import Lesson, features_of, learn
from insilico.phantom import anatomy
from insilico.phantom.cohort import Cohort
from insilico.phantom.scenes import ATTRIBUTES, SOURCE, TRAINED, draw_scene
from insilico.phantom.stimuli import Scenes
from insilico.phantom.training.data import WORLD, pictures
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.vocabulary import NUMBERS
from insilico.schema import short_digest

CHUNK, N_TESTED, N_HELD = 1000, 600, 345
BATCH = 48
N_TOLD = 2 * len(TRAINED)
"""Scenes that are read, and as many that are heard: two draws of every trained combination."""
SHARES = {"image": 1.0, "text": 0.5, "sound": 0.5}
VISION = SlowFastConfig(
    side=64, mean=0.5, deviation=0.5, frames=4, ratio=2, width=24, thinner=8, stem=5, pool=False,
    depths=(1, 3), strides=(2, 2), slow_times=(1, 1), fusion_time=3, placed=12,
)  # fmt: skip
SOUND = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
    "conv_dim": [48, 64, 64, 64], "conv_kernel": [64, 4, 4, 4], "conv_stride": [16, 4, 4, 2],
    "num_feat_extract_layers": 4, "feat_extract_norm": "layer", "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
TEXT = {
    "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": len(NUMBERS),
    "bos_token_id": NUMBERS["<bos>"], "eos_token_id": NUMBERS["<eos>"],
}  # fmt: skip
CONFIG = MaryNanoConfig(
    vision=VISION, sound=SOUND, text=TEXT, width=192, rank=112, directions=96,
    source=SOURCE,
)  # fmt: skip


def tokenizer() -> Tokenizer:
    """Return what turns the words of the phantom's captions into numbers; others are unknown.

    Capitals and punctuation, which those captions have none of, are not read.
    """
    made = Tokenizer(models.WordLevel(NUMBERS, unk_token="<unk>"))
    plain = normalizers.Replace(Regex(r"[^\w\s]"), "")
    made.normalizer = normalizers.Sequence([plain, normalizers.Strip(), normalizers.Lowercase()])
    return made


def scenes_shown(cache: str | Path, split: str, n: int, modality: str = "image") -> xr.Dataset:
    """Return the first scenes of a split as stimuli; pictures are rendered once and stay on disk.

    Parameters
    ----------
    cache : path
    split : str
    n : int
    modality : {"image", "text", "sound"}
    """
    if modality != "image":
        shown = Scenes(split=split, n=n, modality=modality, world=WORLD)().drop_vars("image")
        return shown.drop_vars("sound", errors="ignore") if modality == "text" else shown
    scenes = [draw_scene(WORLD, split, k) for k in range(n)]
    named = {key: ("stimulus", [scene.attributes[key] for scene in scenes]) for key in ATTRIBUTES}
    image = (("stimulus", "y_pixel", "x_pixel", "rgb"), pictures(cache, split, n).images)
    coords = {"stimulus": [scene.id for scene in scenes], "split": ("stimulus", [split] * n)}
    attrs = {"source": SOURCE, "modality": modality}
    return xr.Dataset({"image": image}, coords={**coords, **named}, attrs=attrs)


def average_responses(cache: str | Path, stimuli: xr.Dataset, *, noisy: bool = True) -> np.ndarray:
    """Return the average subject's responses on cortex, float16 (n, cortex).

    They are kept in the cache, under a name that changes with the cohort.

    Parameters
    ----------
    cache : path
    stimuli : stimuli
        Scenes of one split, from its first on.
    noisy : bool
        Whether responses are measured ones or the noise-free truth.
    """
    n, split = stimuli.sizes["stimulus"], stimuli["split"].values[0]
    first = np.round(_answer(stimuli, slice(2), noisy), 2)
    modality = stimuli.attrs["modality"]
    parts = [split, *([modality] if modality != "image" else []), str(n)]
    file = Path(cache) / "responses" / f"{'-'.join(parts)}-{short_digest(first.tobytes())[:12]}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part, shape = file.with_suffix(".part"), (n, first.shape[1])
        kept = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        for start in range(0, n, CHUNK):
            rows = slice(start, start + CHUNK)
            kept[rows] = _answer(stimuli, rows, noisy)
        kept.flush()
        part.rename(file)
    return np.load(file, mmap_mode="r")


def _answer(stimuli: xr.Dataset, rows: slice, noisy: bool) -> np.ndarray:
    some = stimuli.isel(stimulus=rows)
    return Cohort(WORLD).average_signal(some, noisy=noisy)[:, anatomy.cortex()]


def lesson(cache: str | Path, split: str, n: int, modality: str, *, noisy: bool = True) -> Lesson:
    """Return scenes of a split in one modality, with the average subject's responses."""
    stimuli = scenes_shown(cache, split, n, modality)
    shown = Presentation(stimuli, CONFIG, tokenizer())
    responses = average_responses(cache, stimuli, noisy=noisy)
    return Lesson.of_means(shown, responses, SHARES[modality])


def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
    """Say which parameters are matrices inside the network."""
    outer = ("blocks.0.multipathway_blocks", "conv_layers.0.", "wte", "wpe", "parametrizations")
    return (
        parameter.ndim >= 2
        and key.startswith(("vision", "sound", "text", "fusion"))
        and not any(name in key for name in (*outer, "absent"))
    )


@torch.no_grad()
def accuracy(model: MaryNanoModel, tested: Lesson, subject: int = 0) -> np.ndarray:
    """Return the correlation over scenes with the responses of a lesson, (cortex,)."""
    fused = torch.from_numpy(features_of(model, tested)).to(next(model.parameters()).device)
    made = model.predict(fused, subject)[:, model.head.cortex].cpu().numpy()
    true = tested.responses.astype(np.float32)
    made, true = made - made.mean(0), true - true.mean(0)
    norm = np.sqrt((made**2).sum(0) * (true**2).sum(0))
    return (made * true).sum(0) / np.maximum(norm, 1e-12)


def fresh(seed: int = 0) -> MaryNanoModel:
    """Return a model with random weights that knows which vertices are cortex."""
    torch.manual_seed(seed)
    cortex = anatomy.cortex()
    model = MaryNanoModel(replace(CONFIG, n_cortex=int(cortex.sum())), tokenizer())
    model.head.cortex.copy_(torch.from_numpy(cortex))
    return model


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 2400,
    log: Path | None = None,
) -> None:
    """Train MARY-Nano and write it to ``folder/mary_nano``.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of the training set, responses and checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 48 pictures, 24 captions and 24 sounds; all of them are trained.
    log : path, optional
        File that gets one line of JSON for each report.
    """
    n_seen = len(pictures(cache))
    lessons = [lesson(cache, "train", n_seen if m == "image" else N_TOLD, m) for m in SHARES]
    held = [
        lesson(cache, "seen" if m == "image" else "unseen", N_HELD if m != "image" else N_TESTED, m)
        for m in SHARES
    ]
    model = fresh(seed).to(device)
    checkpoint = Path(cache) / "checkpoints" / "mary_nano.pt"
    optimizers = optimizers_for([model], hidden, weight_decay=0.1)
    course = Course({"model": model}, optimizers, steps, checkpoint, seed, log=log)
    learn(model, lessons, course, held_out=held, batch=BATCH, every=100)
    model.save_pretrained(Path(folder) / "mary_nano", half=True)
    for modality in SHARES:
        tested = lesson(cache, "test", N_TESTED, modality, noisy=False)
        r = np.median(accuracy(model, tested))
        print(f"{modality}: r with the true average response, median {r:.3f}", flush=True)
