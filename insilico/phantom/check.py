"""The phantom's gates: what its networks must do on held-out scenes, measured with intervals.

Judges are the second CLIP and the second captioner, which have never made a decoder's tokens.
Pixels come only from the UNet. Beside each decoded score stand the same with tokens of another
scene (chance) and the training picture whose tokens lie nearest (look-up).
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from insilico.adapters.ridge import Ridge
from insilico.decoders.git import write_captions
from insilico.decoders.mindeye2.step import MindEye2
from insilico.decoders.weights import folder
from insilico.encoders.mary_nano import MaryNano
from insilico.phantom.recording import PhantomRecording
from insilico.phantom.stimuli import Scenes
from insilico.scores.embeddings import embed
from insilico.scores.score import top1
from insilico.scores.words import exact, same_object

SEEDS, PAIRS = 3, (500, 2000)


@dataclass(frozen=True)
class Row:
    """One measured share with its 95 % interval, and the gate it is held against."""

    what: str
    score: str
    value: float
    low: float
    high: float
    n: int
    minimum: float | None = None
    target: float | None = None

    @property
    def verdict(self) -> str:
        """Where the value stands: target, minimum, below, or nothing to reach."""
        if self.minimum is None:
            return ""
        if self.value >= (self.target if self.target is not None else self.minimum):
            return "target"
        return "minimum" if self.value >= self.minimum else "BELOW"


def share(what: str, score: str, hits: np.ndarray, *gate: float) -> Row:
    """Make a row from hits, with its Wilson interval; `gate` is minimum and target."""
    from statsmodels.stats.proportion import proportion_confint

    hits = np.asarray(hits, float)
    low, high = proportion_confint(hits.sum(), len(hits), method="wilson")
    return Row(what, score, float(hits.mean()), float(low), float(high), len(hits), *gate)


def judged(images: np.ndarray, stimuli: xr.Dataset) -> dict[str, np.ndarray]:
    """Return what the judges say of pictures (n, y, x, rgb): exact, object, top-1 among the n."""
    said = write_captions(images, folder("phantom", "judge_captioner"))
    truth = [str(text) for text in stimuli["caption"].values]
    judge = str(folder("phantom", "judge_clip"))
    alike = embed(stimuli["image"].values, judge) @ embed(images, judge).T
    return {
        "exact caption": np.array([exact(a, b) for a, b in zip(said, truth, strict=True)]),
        "object right": np.array([same_object(a, b) for a, b in zip(said, truth, strict=True)]),
        f"top-1 of {len(truth)}": top1(alike[None])[:, 0],
    }


def true_tokens(images: np.ndarray) -> np.ndarray:
    """Return the CLIP tokens of pictures, float32 (n, 64, 64)."""
    from transformers import CLIPModel

    from insilico.phantom.training.clip import patch_tokens
    from insilico.phantom.training.data import scaled

    clip = CLIPModel.from_pretrained(folder("phantom", "clip")).float().eval()
    with torch.no_grad():
        parts = [patch_tokens(clip, part) for part in scaled(images).split(128)]
    return torch.cat(parts).numpy()


@cache
def library(n: int = 6000) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures of training scenes and their tokens, for the look-up baseline."""
    images = Scenes(split="train", n=n)()["image"].values
    return images, true_tokens(images).reshape(n, -1)


def looked_up(tokens: np.ndarray) -> np.ndarray:
    """Return the training pictures whose tokens lie nearest."""
    images, known = library()
    flat = tokens.reshape(len(tokens), -1)
    distance = (known**2).sum(1) - 2 * flat @ known.T
    return images[distance.argmin(1)]


def caption_gates(stimuli: xr.Dataset) -> list[Row]:
    """Measure CLIP among all captions and the captioner, on true pictures."""
    from transformers import CLIPModel

    from insilico.phantom.scenes import CAPTIONS
    from insilico.phantom.training.clip import text_embeddings
    from insilico.phantom.training.vocabulary import caption_tokens

    images, truth = stimuli["image"].values, stimuli["caption"].values
    clip = CLIPModel.from_pretrained(folder("phantom", "clip")).float().eval()
    with torch.no_grad():
        words = text_embeddings(clip, caption_tokens()).numpy()
    nearest = (embed(images, str(folder("phantom", "clip"))) @ words.T).argmax(1)
    hits = np.array(CAPTIONS)[nearest] == truth
    said = np.array(write_captions(images, folder("phantom", "captioner")))
    return [
        share("CLIP, true picture", "top-1 of all 3,456 captions", hits, 0.90, 0.97),
        share("captioner, true picture", "exact caption", said == truth, 0.90, 0.97),
    ]


def regeneration_gates(stimuli: xr.Dataset) -> list[Row]:
    """Measure pictures made from true CLIP tokens, and from those of another scene."""
    tokens = true_tokens(stimuli["image"].values)[:, None]
    step, ids = MindEye2(), [str(name) for name in stimuli["stimulus"].values]
    made = judged(step._pictures(tokens, ids)[:, 0], stimuli)
    shuffled = judged(step._pictures(np.roll(tokens, 1, axis=0), ids)[:, 0], stimuli)
    gates = {"exact caption": (0.65, 0.85), "object right": (0.72, 0.92)}
    return [
        *(share("from true tokens", k, v, *gates.get(k, ())) for k, v in made.items()),
        *(share("from another scene's tokens", k, v) for k, v in shuffled.items()),
        *(
            share("nearest training picture, true tokens", k, v)
            for k, v in judged(looked_up(tokens[:, 0]), stimuli).items()
        ),
    ]


def decoding_gates(stimuli: xr.Dataset) -> list[Row]:
    """Measure decoding of measured betas (3 repeats) and of synthetic fMRI after the adapter."""
    decoder, n = MindEye2(captions=False), stimuli.sizes["stimulus"]
    measured = PhantomRecording(space="voxels", repeats="keep")(stimuli)
    tokens = decoder.tokens(measured)
    ids = [str(name) for name in stimuli["stimulus"].values]
    best = judged(decoder._pictures(tokens, ids)[:, 0], stimuli)
    gates = {"object right": (0.30, 0.60), f"top-1 of {n}": (0.30, 0.60)}
    rows = [share("measured betas", k, v, *gates.get(k, ())) for k, v in best.items()]
    other = judged(decoder._pictures(np.roll(tokens, 1, axis=0), ids)[:, 0], stimuli)
    rows += [share("measured betas of another scene", k, v) for k, v in other.items()]
    near = judged(looked_up(tokens[:, 0]), stimuli)
    rows += [share("nearest training picture, measured betas", k, v) for k, v in near.items()]
    return rows + synthetic_gates(stimuli, best)


def synthetic_gates(stimuli: xr.Dataset, best: dict[str, np.ndarray]) -> list[Row]:
    """Measure synthetic fMRI through adapters of 500 and 2,000 pairs, over disjoint sets."""
    encoder, decoder = MaryNano(), MindEye2(captions=False)
    response = encoder(stimuli)
    hits: dict[tuple[int, str], list[np.ndarray]] = {}
    for seed in range(SEEDS):
        shown = Scenes(split="train", n=max(PAIRS), start=seed * max(PAIRS))()
        source = encoder(shown)
        target = PhantomRecording(space="voxels", repeats="mean")(shown)
        for pairs in PAIRS:
            first = slice(pairs)
            ridge = Ridge()
            fitted = ridge.fit(source.isel(stimulus=first), target.isel(stimulus=first))
            made = decoder(ridge(response, fitted))["image"].values[:, 0]
            for name, values in judged(made, stimuli).items():
                hits.setdefault((pairs, name), []).append(values)
    rows = []
    for name, reference in best.items():
        few, many = (np.stack(hits[pairs, name]) for pairs in PAIRS)
        for pairs, values in zip(PAIRS, (few, many), strict=True):
            rows.append(share(f"synthetic fMRI, {pairs} pairs, {SEEDS} sets", name, values.mean(0)))
        rows.append(_difference(name, many - few))
        ratio = float(many.mean() / max(reference.mean(), 1e-9))
        rows.append(
            Row(
                "2,000 pairs / measured betas",
                name,
                ratio,
                *_ratio(many, reference),
                len(reference),
                0.0,
                0.85,
            )
        )
    return rows


def _resamples(n: int, seed: int = 0, draws: int = 2000) -> np.ndarray:
    return np.random.default_rng(seed).integers(n, size=(draws, n))


def _difference(name: str, gain: np.ndarray) -> Row:
    per_scene = gain.mean(0)
    low, high = np.percentile(per_scene[_resamples(len(per_scene))].mean(1), [2.5, 97.5])
    minimum = float(per_scene.mean()) if low > 0 else np.inf
    row = Row(
        "2,000 pairs minus 500",
        name,
        float(per_scene.mean()),
        float(low),
        float(high),
        len(per_scene),
    )
    return Row(**(asdict(row) | {"minimum": minimum}))


def _ratio(many: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    rows = _resamples(len(reference))
    ratio = many.mean(0)[rows].mean(1) / np.maximum(reference[rows].mean(1), 1e-9)
    low, high = np.percentile(ratio, [2.5, 97.5])
    return float(low), float(high)


def written(rows: list[Row]) -> str:
    """Write the rows as a Markdown table."""
    lines = ["| what | score | value [95 %] | n | gate |", "|---|---|---|---|---|"]
    for row in rows:
        value = f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}]"
        lines.append(f"| {row.what} | {row.score} | {value} | {row.n} | {row.verdict} |")
    return "\n".join(lines)


def check(n: int = 300) -> list[Row]:
    """Measure all gates on `n` scenes of held-out combinations.

    Returns
    -------
    list of Row
    """
    stimuli = Scenes(split="unseen", n=n)()
    rows: list[Row] = []
    for gates in (caption_gates, regeneration_gates, decoding_gates):
        rows += gates(stimuli)
        print(f"{gates.__name__.replace('_', ' ')} measured", flush=True)
    return rows


def main(n: int = 300, out: str | Path | None = None) -> int:
    """Print the gates; write them as CSV where asked for. 1 if one is below its minimum."""
    rows = check(n)
    print(written(rows))
    if out is not None:
        with Path(out).open("w", newline="") as file:
            table = csv.DictWriter(file, fieldnames=[*asdict(rows[0]), "verdict"])
            table.writeheader()
            table.writerows(asdict(row) | {"verdict": row.verdict} for row in rows)
    return int(any(row.verdict == "BELOW" for row in rows))
