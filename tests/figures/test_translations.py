from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PathCollection

from insilico.errors import SchemaError
from insilico.figures.translations import spectrogram_db, translation_examples, translation_levels

RATE = 16_000
ATTRS = {"source": "phantom (simulated)", "sampling_rate_hz": RATE}


def tone(hz):
    return np.sin(2 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32)


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text)).replace("\n", " ")


@pytest.fixture
def levels():
    effect = np.array([[0.9, 0.7], [0.5, 0.4]])
    rows = {"effect": effect, "ci_low": effect - 0.1, "ci_high": effect + 0.05}
    rows |= {"chance_level": effect * 0 + 0.1, "reference": effect + 0.08}
    rows |= {"p_corrected": np.array([[0.01, 0.01], [0.2, 0.01]]), "n": np.full((2, 2), 20)}
    return xr.Dataset(
        {name: (("contrast", "metric"), values) for name, values in rows.items()},
        coords={"contrast": ["seen", "heard"], "metric": ["clip_cosine", "sound_object"]},
        attrs={"source": "phantom (simulated)"},
    )


@pytest.fixture
def made():
    image = np.random.default_rng(0).integers(0, 255, (2, 3, 1, 8, 8, 3), dtype=np.uint8)
    sound = np.broadcast_to(tone(1000), (2, 3, 1, RATE))
    caption = np.array([[[f"{c} {s}"] for s in range(3)] for c in ("seen", "heard")])
    return xr.Dataset(
        {
            "image": (("condition", "stimulus", "draw", "y_pixel", "x_pixel", "rgb"), image),
            "caption": (("condition", "stimulus", "draw"), caption),
            "sound": (("condition", "stimulus", "draw", "sample"), sound),
        },
        coords={"condition": ["seen", "heard"], "stimulus": list("abc"), "draw": [0]},
        attrs=ATTRS,
    )


@pytest.fixture
def shown(made):
    own = made.isel(condition=0, draw=0).drop_vars(["condition", "draw"])
    return own.assign(caption=("stimulus", ["true 0", "true 1", "true 2"]))


def test_metrics_and_their_chance_are_explained(levels):
    meant = ("metric", ["CLIP's cosine", "1 if heard"])
    said = words(translation_levels(levels.assign_coords(definition=meant)))
    assert "clip cosine: CLIP's cosine; sound object: 1 if heard; chance: the mean over" in said


def test_levels_show_value_interval_chance_and_reference(levels):
    figure = translation_levels(levels)
    for axes, metric in zip(figure.axes, levels["metric"].values, strict=True):
        one = levels.sel(metric=metric)
        dots = next(c for c in axes.collections if isinstance(c, PathCollection))
        np.testing.assert_allclose(dots.get_offsets(), np.c_[one["effect"], [1, 0]])
        ends = [
            segment[:, 0].tolist() for c in axes.collections[:3] for segment in c.get_segments()
        ]
        for expected in (one["chance_level"].values, one["reference"].values):
            for value in expected:
                assert [value, value] in ends
    assert "simulated" in words(figure)
    assert "n = 20 stimuli" in words(figure)
    assert figure.axes[1].get_xlabel() == "score"


def test_examples_show_truth_and_every_condition(shown, made):
    figure = translation_examples(shown, made, n=2)
    assert len(figure.axes) == 2 * 2 * 3  # picture and sound, two scenes, truth and two conditions
    said = words(figure)
    for part in (
        "true",
        "seen",
        "heard",
        "true 1",
        "heard 1",
        "the first 2 are shown",
        "simulated",
    ):
        assert part in said
    assert "true 2" not in said
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), made["image"][0, 0, 0])


def test_spectrogram_finds_the_tone_and_silence():
    found = spectrogram_db(tone(1000), RATE)
    assert found.shape[0] == 257
    assert found[:, 20].argmax() == round(1000 / (RATE / 512))
    assert found.max() == pytest.approx(0, abs=1e-6)
    assert (spectrogram_db(np.zeros(RATE), RATE) == -50).all()


def test_missing_sound_is_named(shown, made):
    with pytest.raises(SchemaError, match="translation_examples: sound missing"):
        translation_examples(shown, made.drop_vars("sound"))
