"""Known truth: lesions through the whole chain, planted ones, and decoders that know nothing."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import xarray as xr

from insilico.adapters.ridge import Ridge
from insilico.decoders.mindeye2.step import MindEye2
from insilico.encoders.mary_nano import MaryNano
from insilico.perturbations.ablate import Ablate
from insilico.phantom.recording import PhantomRecording
from insilico.phantom.stimuli import Scenes
from insilico.phantom.validation.check import Check, Experiments
from insilico.phantom.validation.effects import LEVEL
from insilico.phantom.validation.planted import (
    ALIKE,
    DISSOCIATED,
    FAR,
    at_the_boundary,
    dissociated,
    in_order,
)
from insilico.scores import KINDS
from insilico.statistics.flips import sign_flip_test
from insilico.statistics.power import needed, power_of_t

PAIRS, SHOWN = 150, 12
POWER = 0.7
"""With which all three planted lesions are found, and in order."""
FILLS = ("mean", "zero", "noise", "resample")
METRICS: tuple[dict[str, Any] | str, ...] = (
    "pixcorr",
    "ssim",
    *({"kind": kind, "features": "clip"} for kind in ("two_way", "distance", "cosine")),
    {"kind": "n_way", "features": "clip", "n": 5},
    "clip_cosine",
    "clip_two_way",
    "clip_top1",
    *(f"bleu{k}" for k in (1, 2, 3, 4)),
    {"kind": "meteor", "wordnet": None},
    "rouge1",
    "rouge2",
    "rouge_l",
    "phantom_text_cosine",
    "caption_exact",
    "caption_object",
    "phantom_clap",
    "sound_object",
    {"kind": "retrieval_image_from_brain", "pool": 20},
    {"kind": "retrieval_brain_from_image", "pool": 20},
)
"""Scores that the phantom has the networks for."""
WITHOUT = {
    "fid": "has no chance level",
    "kid": "has no chance level",
    "sentence_cosine": "published weights",
    "clip_text_cosine": "published weights; phantom_text_cosine is the same",
    "clap_score": "published weights; phantom_clap is the same",
    "brain_correlation": "published weights",
    "caption_pairings": "is four of the others",
    "caption_names": "compares with no stimulus: one output says the words always or never",
    "to_partner": "is another score, of the partner that a changed response has",
}
"""Scores that are left out, and why."""


@cache
def _fitted() -> tuple[xr.Dataset, xr.Dataset]:
    """Return the encoder's responses to training scenes, and the adapter fitted on them."""
    scenes = Scenes(split="train", n=PAIRS)()
    source = MaryNano()(scenes)
    return source, Ridge().fit(source, PhantomRecording(space="voxels")(scenes))


def _decoded(shown: xr.Dataset, lesion: Ablate | None) -> xr.Dataset:
    """Return the pictures of scenes through encoder, lesion, adapter and decoder."""
    source, adapter = _fitted()
    response = MaryNano()(shown)
    if lesion is not None:
        response = lesion(response, source)
    decoder = MindEye2(captions="none", keep=("clip_voxels",))
    return decoder(Ridge()(response, adapter))


def _scenes(rng: np.random.Generator, n: int = SHOWN) -> xr.Dataset:
    return Scenes(n=n, start=int(rng.integers(FAR)))()


def wall(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return whether a lesion of the medial wall leaves every pixel and token as it was."""
    found = []
    for k in range(count):
        shown = _scenes(rng, 4)
        lesion = Ablate(region="medial wall", fill=FILLS[k % len(FILLS)])  # type: ignore[arg-type]
        found.append(_decoded(shown, None).equals(_decoded(shown, lesion)))
    return np.array(found)


def everything(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return whether nothing is left of the stimulus after a lesion of all cortex.

    What the brain says of the picture is exactly at chance. The pictures, whose noise differs,
    have pixels that agree with the stimulus no more than with others: p > .001, where 12 scenes
    could give .0005.
    """
    found = []
    for _ in range(count):
        shown = _scenes(rng)
        made = _decoded(shown, Ablate(region="cortex"))
        top = KINDS.build({"kind": "retrieval_image_from_brain", "pool": SHOWN})(made, shown)
        pixels = KINDS.build("pixcorr")(made, shown)
        above = (pixels["value"] - pixels["chance"]).values[:, :, 0]
        blind = abs(top["value"].values.mean() - 1 / SHOWN) < 1e-9
        found.append(blind and sign_flip_test(above, 2**SHOWN, rng)[0].item() > 0.001)
    return np.array(found)


def collapsed(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return whether a metric is at chance where every stimulus is given the same output.

    Experiment k is metric k, of 20 scenes; one of these is what the decoder always makes.
    """
    shown = Scenes(n=20, start=int(rng.integers(FAR)), sounds=True)()
    made = stuck(shown, int(rng.integers(20)))
    return np.array([at_chance(METRICS[k % len(METRICS)], made, shown) for k in range(count)])


def stuck(shown: xr.Dataset, at: int) -> xr.Dataset:
    """Return a reconstruction that holds one stimulus in the place of all."""
    from insilico.spaces.tokens import ImageTokens

    n, one = shown.sizes["stimulus"], shown.isel(stimulus=[at])
    tokens = np.repeat(ImageTokens()(one)["tokens"].values, n, 0)
    same = {name: np.repeat(one[name].values, n, 0)[:, None] for name in ("image", "caption")}
    sound = np.repeat(one["sound"].values, n, 0)[:, None]
    return xr.Dataset(
        {
            "image": (("stimulus", "draw", "y_pixel", "x_pixel", "rgb"), same["image"]),
            "caption": (("stimulus", "draw"), same["caption"]),
            "sound": (("stimulus", "draw", "sample"), sound),
            "tokens_voxels": (("stimulus", "token", "channel"), tokens),
        },
        coords={"stimulus": shown["stimulus"].values, "draw": [0]},
        attrs={
            "decoder": "stuck",
            "seed": 0,
            "source": shown.attrs["source"],
            "sampling_rate_hz": shown.attrs["sampling_rate_hz"],
        },
    )


def at_chance(metric: dict[str, Any] | str, made: xr.Dataset, shown: xr.Dataset) -> bool:
    """Return whether the mean of a score is its chance level, up to rounding."""
    score = KINDS.build(metric)(made, shown)
    apart = score["value"].mean(("stimulus", "draw")).values - score["chance"].values
    return bool((np.abs(apart) < 1e-6).all())


def power(count: int, rng: np.random.Generator, n: int = 20) -> np.ndarray:
    """Return p of studies of an effect that `insilico power` says 20 stimuli find in 80 %."""
    return sign_flip_test(of_power(0.8, n) + rng.standard_normal((n, count)), 999, rng)[0]


@cache
def of_power(goal: float, n: int) -> float:
    """Return the d_z that has such a power with n stimuli."""
    from scipy.optimize import brentq

    d = float(brentq(lambda one: float(power_of_t(one, n)) - goal, 0.01, 3))
    assert needed(d * (1 + 1e-9), goal) == n
    return d


def _truth(
    name: str,
    what: str,
    run: Experiments,
    n: int,
    rate: float = 1.0,
    stated: tuple[float, float] | None = None,
) -> Check:
    return Check(name, what, run, n, "known truth", rate, stated, batch=min(n, 100))


CHECKS = (
    _truth("medial wall", "chain with and without its lesion: alike to the bit", wall, 8),
    _truth("everything", "lesion of all cortex: at chance", everything, 8),
    _truth("collapsed decoder", "one output for all: every metric at chance", collapsed, 24),
    _truth(
        "planted lesions",
        "3 of 7 networks: sign, order, others 0",
        in_order,
        300,
        POWER,
        (0.6, 0.75),
    ),
    _truth(
        "double dissociation",
        "planted: said to be there",
        partial(dissociated, readouts=DISSOCIATED),
        300,
        1,
        (0.95, 1),
    ),
    _truth(
        "no dissociation",
        "both networks in both read-outs: said to be there",
        partial(dissociated, readouts=ALIKE),
        300,
        0,
        (0, 0.01),
    ),
    _truth(
        "no dissociation, boundary",
        "one simple effect strong, the other zero: said to be there",
        at_the_boundary,
        1000,
        LEVEL / 2,
    ),
    _truth("power, 0.8", "20 stimuli, by the noncentral t", power, 1000, 0.8, (0.78, 0.8)),
)
FULL = tuple(_truth(c.name, c.what, c.run, 600, c.rate, c.stated) for c in CHECKS[3:6])
