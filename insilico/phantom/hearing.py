"""The gate of the phantom's sounds: a listener names what sounds.

The listener has heard true sounds of another world alone: no sound that the generator was trained
on, and none that it made. It hears loudness in sixths of an octave, not the generator's bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from insilico.decoders.audioldm2 import AudioLdm2
from insilico.phantom.scenes import draw_scene, sound
from insilico.phantom.shares import Row, share
from insilico.phantom.sounds import SAMPLE_RATE_HZ
from insilico.scores.score import Score

OTHER_WORLD, N_HEARD = 1, 720
GATE = (0.80, 0.95)
WINDOW, HOP, PER_OCTAVE, LOWEST_HZ, FRAMES = 2048, 512, 6, 90.0, 28
NAMED = ("object", "background")


def loudness(waves: np.ndarray) -> np.ndarray:
    """Return loudness in dB below the loudest, float64 (n, bands * 28), of sounds (n, samples).

    Bands are sixths of an octave from 90 Hz up, frames 32 ms; nothing below -50 dB is heard.
    """
    from scipy.signal import stft

    waves = np.asarray(waves, np.float32)[:, :SAMPLE_RATE_HZ]
    waves = np.pad(waves, ((0, 0), (0, SAMPLE_RATE_HZ - waves.shape[1])))
    overlap = WINDOW - HOP
    frequencies, _, bins = stft(
        waves, SAMPLE_RATE_HZ, nperseg=WINDOW, noverlap=overlap, padded=False
    )
    band = np.floor(PER_OCTAVE * np.log2(np.maximum(frequencies, 1) / LOWEST_HZ)).astype(int)
    power = np.abs(bins[..., :FRAMES]) ** 2
    heard = np.stack([power[:, band == k].sum(1) for k in range(band.max() + 1)], axis=1)
    loudest = heard.max((1, 2), keepdims=True) + 1e-12
    return np.maximum(10 * np.log10(heard / loudest + 1e-12), -50).reshape(len(waves), -1)


@dataclass(frozen=True)
class Listener:
    """Names object and background of a sound.

    Attributes
    ----------
    models : dict
        A fitted classifier for each attribute that sounds.
    """

    models: dict[str, Any]

    def names(self, waves: np.ndarray) -> dict[str, np.ndarray]:
        """Return the names of objects and backgrounds heard, str (n,), of sounds (n, samples)."""
        heard = loudness(waves)
        return {key: model.predict(heard) for key, model in self.models.items()}


@cache
def listener(n: int = N_HEARD) -> Listener:
    """Return a listener that has heard `n` sounds of another world."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    waves, truth = _heard_elsewhere("train", n)
    heard, models = loudness(waves), {}
    for key, names in truth.items():
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        models[key] = model.fit(heard, names)
    return Listener(models)


def _heard_elsewhere(split: str, n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return sounds of the listener's world, (n, 16000), and what sounds in them."""
    scenes = [draw_scene(OTHER_WORLD, split, k) for k in range(n)]
    truth = {key: np.array([scene.attributes[key] for scene in scenes]) for key in NAMED}
    return np.stack([sound(scene) for scene in scenes]), truth


def sound_gates(stimuli: xr.Dataset, weights: str = "phantom", seed: int = 0) -> list[Row]:
    """Measure whether sounds made from captions are heard as what the captions name.

    Parameters
    ----------
    stimuli : stimuli
        Scenes of held-out combinations, with captions and the attributes as coordinates.
    weights : str
        ``"phantom"``, or a folder of networks as `insilico phantom train` makes it.
    seed : int
        Of the generator.

    Returns
    -------
    list of Row
        Shares of objects and backgrounds named rightly: of new true sounds, of sounds made from
        the captions (objects: the gate), and of those made from other scenes' captions (chance).
    """
    ids = [str(name) for name in stimuli["stimulus"].values]
    captions = [str(text) for text in stimuli["caption"].values]
    made, _ = AudioLdm2(weights=weights, seed=seed).sounds(captions, [(name, 0) for name in ids])
    named = listener().names(made)
    waves, true = _heard_elsewhere("unseen", len(ids))
    right = {key: names == true[key] for key, names in listener().names(waves).items()}
    other = np.random.default_rng(seed).permutation(len(ids))
    rows = []
    for key in NAMED:
        truth, score = stimuli[key].values.astype(str), f"{key} heard"
        chance = float((truth[:, None] == truth).mean())
        gate = GATE if key == "object" else None
        rows += [
            share("true sounds", score, right[key]),
            share("sounds from captions", score, named[key] == truth, gate),
            share("from another scene's caption", score, named[key][other] == truth, None, chance),
        ]
    return rows


class SoundObject(Score):
    """Whether the listener hears the object of the scene in a decoded sound."""

    kind: ClassVar[str] = "sound_object"
    definition: ClassVar[str] = (
        "1 if a listener trained on true sounds of another world names the object, else 0"
    )
    needs: ClassVar[tuple[str, str]] = ("object", "sound")

    def similarity(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> np.ndarray:
        """Return whether reconstruction j sounds as the object of stimulus i, (draw, i, j)."""
        waves = reconstruction["sound"].transpose("draw", "stimulus", "sample").values
        heard = np.stack([listener().names(draw)["object"] for draw in waves])
        return (stimuli["object"].values.astype(str)[:, None] == heard[:, None]).astype(float)
