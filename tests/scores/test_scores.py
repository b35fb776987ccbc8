from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from insilico.errors import SchemaError, WeightsError
from insilico.phantom.scenes import ATTRIBUTES
from insilico.phantom.sounds import make_sound
from insilico.schema import check, sample
from insilico.scores import KINDS
from insilico.scores.embeddings import ClipTwoWay
from insilico.scores.pixels import PixCorr, Ssim
from insilico.scores.words import exact, same_object

OBJECTS = ("house", "dog", "face", "boat")
CAPTIONS = [f"a small red {name} on the left of a beach" for name in OBJECTS]
FAITHFUL = [
    "pixcorr",
    "ssim",
    "clip_cosine",
    "clip_two_way",
    "clip_top1",
    "bleu1",
    "bleu2",
    "bleu3",
    "bleu4",
    "rouge1",
    "rouge2",
    "rouge_l",
    "phantom_text_cosine",
    "caption_exact",
    "caption_object",
    "sound_object",
]
"""Scores that need no published weights and give 1 for the same again."""
PIXELS = ("y_pixel", "x_pixel", "rgb")


@pytest.fixture
def stimuli():
    kinds = [ATTRIBUTES["object"].index(name) for name in OBJECTS]
    waves = np.stack([make_sound(kind, 0, seed) for seed, kind in enumerate(kinds)])
    return (
        sample("stimuli", n=4)
        .assign(caption=("stimulus", CAPTIONS), sound=(("stimulus", "sample"), waves))
        .assign_coords(object=("stimulus", list(OBJECTS)))
    )


def perfect(stimuli, draws=2):
    image = np.repeat(stimuli["image"].values[:, None], draws, axis=1)
    words = np.repeat(stimuli["caption"].values[:, None], draws, axis=1)
    waves = np.repeat(stimuli["sound"].values[:, None], draws, axis=1)
    return xr.Dataset(
        {
            "image": (("stimulus", "draw", *PIXELS), image),
            "caption": (("stimulus", "draw"), words),
            "sound": (("stimulus", "draw", "sample"), waves),
        },
        coords={"stimulus": stimuli["stimulus"].values, "draw": range(draws)},
        attrs={"decoder": "none", "seed": 0},
    )


@pytest.mark.parametrize("kind", FAITHFUL)
def test_a_perfect_reconstruction_scores_one(kind, stimuli):
    score = check(KINDS.build(kind)(perfect(stimuli), stimuli), "score")
    assert score["value"].dims == ("stimulus", "draw", "metric")
    np.testing.assert_allclose(score["value"], 1, atol=1e-6)
    assert score["chance"].item() < 0.95
    assert str(score["definition"].item())


@pytest.mark.parametrize("kind", FAITHFUL)
def test_items_keep_their_own_value(kind, stimuli):
    made = perfect(stimuli).isel(stimulus=[1, 0, 2, 3])
    made = made.assign_coords(stimulus=stimuli["stimulus"].values)  # the first two swapped
    value = KINDS.build(kind)(made, stimuli)["value"].values[:, 0, 0]
    assert (value[2:] > 0.999).all()
    assert (value[:2] < 0.999).all()


def test_chance_is_the_mismatched_mean(stimuli):
    made = perfect(stimuli, 1)
    flat = stimuli["image"].values.reshape(4, -1).astype(float)
    pairs = np.corrcoef(flat)
    expected = pairs[~np.eye(4, dtype=bool)].mean()
    assert PixCorr()(made, stimuli)["chance"].item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("said", "meant", "value"),
    [
        ("a b c", "a b c", 1.0),
        ("a a a", "a b c", 1 / 3),
        ("a b", "a b c d", np.exp(1 - 4 / 2)),
        ("", "a b", 0.0),
        ("A B x", "a b c", 2 / 3),
    ],
)
def test_bleu1(stimuli, said, meant, value):
    made = perfect(stimuli, 1).assign(caption=(("stimulus", "draw"), [[said]] * 4))
    score = KINDS.build("bleu1")(made, stimuli.assign(caption=("stimulus", [meant] * 4)))
    assert score["value"].values[0, 0, 0] == pytest.approx(value)


def test_words():
    assert same_object(CAPTIONS[0], CAPTIONS[0].replace("red", "blue")) == 1
    assert same_object(CAPTIONS[0], CAPTIONS[1]) == 0
    assert same_object("a cup", CAPTIONS[0]) == 0
    assert exact(CAPTIONS[0] + " ", CAPTIONS[0]) == 1


def test_mistakes_are_answered(stimuli):
    with pytest.raises(SchemaError, match="ssim: the stimuli hold no image; they hold caption"):
        Ssim()(perfect(stimuli), stimuli.drop_vars("image"))
    with pytest.raises(SchemaError, match="no stimuli for sample-000003"):
        Ssim()(perfect(stimuli), stimuli.isel(stimulus=slice(3)))
    with pytest.raises(WeightsError, match="no weights of judge_clip in nowhere"):
        ClipTwoWay(weights="nowhere")(perfect(stimuli), stimuli)
