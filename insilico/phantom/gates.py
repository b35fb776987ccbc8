"""What the phantom's networks must do on scenes of held-out combinations.

Judges are the second CLIP and the second captioner, which have never made a decoder's tokens.
Pixels come only from the UNet. Beside each decoded picture stand two honesty checks: the same from
tokens of another scene, which must fall to chance, and the training picture whose tokens lie
nearest (look-up).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from insilico.adapters.ridge import Ridge
from insilico.decoders.git import write_captions
from insilico.decoders.mindeye2.step import MindEye2
from insilico.encoders.mary_nano import MaryNano
from insilico.phantom.convergence import convergence
from insilico.phantom.hearing import sound_gates
from insilico.phantom.recording import PhantomRecording
from insilico.phantom.shares import Row, gain, mean, ratio, share
from insilico.phantom.stimuli import Scenes
from insilico.scores.embeddings import ClipCosine, ClipTwoWay, embedded
from insilico.scores.features import features
from insilico.scores.pixels import PixCorr, Ssim
from insilico.scores.readers import reader
from insilico.scores.score import top1
from insilico.scores.words import exact, same_object
from insilico.weights.folders import folder

SETS, PAIRS, KNOWN = 3, (500, 2000), 6000
GATES = {
    "true tokens": {"exact caption": (0.65, 0.85), "object right": (0.72, 0.92)},
    "measured betas": {"top-1": (0.30, 0.60), "object right": (0.30, 0.60)},
}
"""Minimum and target of what is decoded; those of true pictures are .90 and .97."""
CONTINUOUS = {"pixcorr": "PixCorr", "ssim": "SSIM", "clip_cosine": "CLIP cosine"}
GAINED = ("PixCorr", "SSIM")
"""Scores on which more pairs must help: what is said of the object saturates (docs/phantom.md)."""

if TYPE_CHECKING:
    from transformers import CLIPModel

Scored = dict[str, np.ndarray]


class Gates:
    """Measures the gates of one set of weights on the same scenes.

    Parameters
    ----------
    stimuli : stimuli
        Scenes of held-out combinations, with their captions.
    weights : str
        ``"phantom"``, or a folder of networks as `insilico phantom train` makes it.
    known : int
        Training pictures to look up.
    """

    def __init__(self, stimuli: xr.Dataset, weights: str = "phantom", known: int = KNOWN) -> None:
        self.stimuli, self.weights, self.known = stimuli, weights, known
        self.images = stimuli["image"].values
        self.truth = [str(text) for text in stimuli["caption"].values]
        self.ids = [str(name) for name in stimuli["stimulus"].values]
        self.decoder = MindEye2(weights=weights, captions="none")

    def _folder(self, network: str) -> str:
        return str(folder(self.weights, network))

    def true_pictures(self) -> list[Row]:
        """Measure CLIP among all captions and the captioner, on true pictures."""
        from insilico.phantom.scenes import CAPTIONS
        from insilico.phantom.training.clip import text_embeddings
        from insilico.phantom.training.vocabulary import caption_tokens

        with torch.no_grad():
            words = text_embeddings(_clip(self._folder("clip")), caption_tokens()).numpy()
        clip = reader(features("clip"), Path(self._folder("clip")), None)
        nearest = (embedded(self.images, clip) @ words.T).argmax(1)
        named = np.array(CAPTIONS)[nearest] == np.array(self.truth)
        said = write_captions(self.images, Path(self._folder("captioner")))
        right = np.array(said) == np.array(self.truth)
        ranked = f"top-1 of all {len(CAPTIONS):,} captions"
        return [
            share("CLIP, true picture", ranked, named, (0.90, 0.97)),
            share("captioner, true picture", "exact caption", right, (0.90, 0.97)),
        ]

    def true_tokens(self) -> list[Row]:
        """Measure pictures made from the true CLIP tokens."""
        what, tokens = "true tokens", tokens_of(self.images, self._folder("clip"))
        return self._rows(what, self.judged(self._pictures(tokens))) + self._honest(what, tokens)

    def measured(self) -> list[Row]:
        """Measure pictures from measured betas (3 repeats)."""
        what = "measured betas"
        return self._rows(what, self._best) + self._honest(what, self._measured)

    @cached_property
    def _measured(self) -> np.ndarray:
        betas = PhantomRecording(space="voxels", repeats="keep")(self.stimuli)
        return self.decoder.tokens(betas)[:, 0]

    @cached_property
    def _best(self) -> Scored:
        return self._scored(self._measured)

    def synthetic(self) -> list[Row]:
        """Measure synthetic fMRI through adapters fitted on several disjoint sets of pairs."""
        found: dict[int, list[Scored]] = {pairs: [] for pairs in PAIRS}
        honest: list[Row] = []
        for pairs, tokens in self._adapted():
            found[pairs].append(self._scored(tokens))
            if pairs == max(PAIRS) and not honest:
                honest = self._honest(f"synthetic fMRI, {pairs:,} pairs", tokens)
        means = {
            pairs: {name: np.mean([one[name] for one in sets], 0) for name in self._best}
            for pairs, sets in found.items()
        }
        return self._compared(means[min(PAIRS)], means[max(PAIRS)]) + honest

    def sounds(self) -> list[Row]:
        """Measure sounds made from captions; see `insilico.phantom.hearing`."""
        return sound_gates(self.stimuli, self.weights)

    def convergence(self) -> list[Row]:
        """Measure words and sounds among pictures; see `insilico.phantom.convergence`."""
        return convergence(len(self.truth), self._folder("mary_nano"))

    def _adapted(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield tokens from synthetic fMRI for each set and number of pairs."""
        encoder, ridge = MaryNano(weights=self._folder("mary_nano")), Ridge()
        response = encoder(self.stimuli)
        for k in range(SETS):
            shown = Scenes(split="train", n=max(PAIRS), start=k * max(PAIRS))()
            source = encoder(shown)
            target = PhantomRecording(space="voxels", repeats="mean")(shown)
            for pairs in PAIRS:
                first = {"stimulus": slice(pairs)}
                fitted = ridge.fit(source.isel(first), target.isel(first))
                yield pairs, self.decoder.tokens(ridge(response, fitted))[:, 0]

    def _compared(self, few: Scored, many: Scored) -> list[Row]:
        rows, best = [], self._best
        for pairs, values in zip(PAIRS, (few, many), strict=True):
            rows += self._rows(f"synthetic fMRI, {pairs:,} pairs, {SETS} sets", values)
        more, per = " minus ".join(f"{pairs:,}" for pairs in PAIRS[::-1]), f"{max(PAIRS):,} pairs"
        for name in best:
            gated = name in GAINED
            rows.append(gain(f"{more} pairs", name, many[name] - few[name], gated=gated))
        for name in best:
            rows.append(ratio(f"{per} / measured betas", name, many[name], best[name], 0.85))
        return rows

    def _rows(self, what: str, scored: Scored) -> list[Row]:
        gates = GATES.get(what, {})
        return [
            mean(what, name, values)
            if name in CONTINUOUS.values()
            else share(what, name, values, gates.get(name.partition(" of ")[0]))
            for name, values in scored.items()
        ]

    def _honest(self, what: str, tokens: np.ndarray) -> list[Row]:
        """Measure tokens of another scene, and the look-up among training pictures."""
        other = self.judged(self._pictures(np.roll(tokens, 1, axis=0)))
        near = self.judged(looked_up(tokens, self._folder("clip"), self.known))
        chance = self._chance()
        return [
            *(share(f"{what} of another scene", k, v, chance=chance[k]) for k, v in other.items()),
            *(share(f"{what}, nearest training picture", k, v) for k, v in near.items()),
        ]

    def _chance(self) -> dict[str, float]:
        """Return each score's expectation for the picture of another scene."""
        n, every = len(self.truth), range(len(self.truth))
        pairs = [(self.truth[a], self.truth[b]) for a in every for b in every if a != b]
        return {
            "exact caption": float(np.mean([a == b for a, b in pairs])),
            "object right": float(np.mean([same_object(a, b) for a, b in pairs])),
            f"top-1 of {n}": 1 / n,
        }

    def _pictures(self, tokens: np.ndarray) -> np.ndarray:
        """Return the pictures of tokens (n, tokens, width)."""
        return self.decoder.pictures(tokens[:, None], self.ids)[:, 0]

    def judged(self, images: np.ndarray) -> Scored:
        """Return the judges' hits for pictures (n, y, x, rgb): caption, object, top-1."""
        said = write_captions(images, Path(self._folder("judge_captioner")))
        pairs = list(zip(said, self.truth, strict=True))
        judge = ClipTwoWay(weights=self._folder("judge_clip"))
        alike = judge.similarity(self.stimuli, _as_drawn(images))
        return {
            "exact caption": np.array([exact(a, b) for a, b in pairs]),
            "object right": np.array([same_object(a, b) for a, b in pairs]),
            f"top-1 of {len(pairs)}": top1(alike)[:, 0],
        }

    def _scored(self, tokens: np.ndarray) -> Scored:
        """Return the judges' hits and the continuous scores of the pictures of tokens."""
        images = self._pictures(tokens)
        made = _as_drawn(images)
        measures = (PixCorr(), Ssim(), ClipCosine(weights=self._folder("judge_clip")))
        similar = {m.kind: m.scored(self.stimuli, made)[0][:, 0] for m in measures}
        return self.judged(images) | {CONTINUOUS[kind]: v for kind, v in similar.items()}


def _as_drawn(images: np.ndarray) -> xr.Dataset:
    """Return pictures (n, y, x, rgb) as one draw."""
    made = xr.Dataset({"image": (("stimulus", "y_pixel", "x_pixel", "rgb"), images)})
    return made.expand_dims("draw")


def tokens_of(images: np.ndarray, clip: str) -> np.ndarray:
    """Return the CLIP tokens of pictures, float32 (n, tokens, width)."""
    from insilico.phantom.training.clip import patch_tokens
    from insilico.phantom.training.data import scaled

    with torch.no_grad():
        parts = [patch_tokens(_clip(clip), part) for part in scaled(images).split(128)]
    return torch.cat(parts).numpy()


@lru_cache(maxsize=1)
def library(clip: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures of `n` training scenes and their flat tokens."""
    images = Scenes(split="train", n=n)()["image"].values
    return images, tokens_of(images, clip).reshape(n, -1)


def looked_up(tokens: np.ndarray, clip: str, n: int) -> np.ndarray:
    """Return, of `n` training pictures, those whose tokens lie nearest."""
    images, known = library(clip, n)
    distance = (known**2).sum(1) - 2 * tokens.reshape(len(tokens), -1) @ known.T
    return images[distance.argmin(1)]


@lru_cache(maxsize=2)
def _clip(path: str) -> CLIPModel:
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(path).float().eval()
