from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from insilico.errors import SchemaError
from insilico.figures.one_page import one_page
from insilico.spaces import fsaverage5

RNG = np.random.default_rng(0)
SHAPES = {"image": (1, 8, 8, 3), "sound": (1, 16_000), "film": (1, 5, 8, 8, 3)}
DIMS = {
    "image": ("stimulus", "y_pixel", "x_pixel", "rgb"),
    "sound": ("stimulus", "sample"),
    "film": ("stimulus", "frame", "y_pixel", "x_pixel", "rgb"),
}


def stimuli(modality, caption="a red car", **more):
    held = {"text": ("caption", ("stimulus", [caption]))}
    if modality != "text":
        values = RNG.integers(0, 255, SHAPES[modality]).astype(np.uint8)
        values = values.astype(np.float32) if modality == "sound" else values
        held[modality] = (modality, (DIMS[modality], values))
    name, values = held[modality]
    attrs = {
        "source": "test",
        "modality": modality,
        "sampling_rate_hz": 16_000,
        "frame_rate_hz": 2.0,
    }
    attrs |= more
    coords = {"stimulus": ["a"], "split": ("stimulus", ["given"])}
    return xr.Dataset({name: values}, coords, attrs)


@pytest.fixture(scope="module")
def response():
    bold = RNG.standard_normal((1, 20484)).astype(np.float32)
    about = {"units": "session z", "subject": "average", "hemodynamic_offset_s": 0.0}
    about |= {"source": "phantom (simulated)", "encoder": "mary_nano", "rows_averaged": 2}
    return fsaverage5.response(bold, ["a"], **about)


@pytest.fixture
def made():
    image = RNG.integers(0, 255, (1, 1, 8, 8, 3)).astype(np.uint8)
    sound = RNG.standard_normal((1, 1, 16_000)).astype(np.float32)
    return xr.Dataset(
        {
            "image": (("stimulus", "draw", "y_pixel", "x_pixel", "rgb"), image),
            "caption": (("stimulus", "draw"), [["a small blue boat"]]),
            "sound": (("stimulus", "draw", "sample"), sound),
        },
        {"stimulus": ["a"], "draw": [0]},
        {"decoder": "mindeye2", "seed": 3, "sampling_rate_hz": 16_000, "sound_order": "2nd order"},
    )


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(mpl.text.Text)).replace("\n", " ")


def pictures(figure):
    return [image.get_array() for axes in figure.axes for image in axes.images]


@pytest.mark.parametrize(
    ("modality", "head", "count"),
    [("image", "Seen", 3), ("text", "Read", 2), ("sound", "Heard", 3), ("film", "Seen", 6)],
)
def test_what_was_shown_stands_beside_what_was_decoded(response, made, modality, head, count):
    figure = one_page(shown := stimuli(modality), response, made)
    said = words(figure)
    for word in (head, "simulated", "Not a person's brain", "MARY-Nano", "a small blue boat"):
        assert word in said
    assert "2nd order" in said
    assert "seed 3" in said
    assert "not measured" in said
    drawn = pictures(figure)
    assert len(drawn) == count
    assert any(np.array_equal(one, made["image"].values[0, 0]) for one in drawn)
    if modality == "image":
        np.testing.assert_array_equal(drawn[0], shown["image"].values[0])


def test_what_the_encoder_was_never_taught_is_said_on_the_page(response, made):
    said = words(one_page(stimuli("film"), response, made, taught=False))
    assert "The encoder was never taught anything of this kind." in said
    assert "what was decoded is a guess" in said
    assert "not measured" not in said
    assert "never taught" not in words(one_page(stimuli("film"), response, made))


def test_only_what_was_asked_for_is_drawn(response, made):
    figure = one_page(stimuli("text"), response, made.drop_vars("sound"), ["text"])
    assert not pictures(figure)
    assert "a small blue boat" in words(figure)
    assert "spectrogram" not in words(figure)
    assert "2nd order" not in words(figure)
    with pytest.raises(SchemaError, match="sound missing"):
        one_page(stimuli("text"), response, made.drop_vars("sound"))


def test_a_film_with_sound_is_seen_and_heard(response, made):
    film = stimuli("film").assign(stimuli("sound").data_vars)
    figure = one_page(film, response, made)
    assert "Seen and heard" in words(figure)
    for time in ("0 s", "0.5 s", "1.5 s", "2 s"):  # of frames 0, 1, 3, 4 at 2 a second
        assert f" {time} " in words(figure)
    assert len(pictures(figure)) == 7


def test_the_map_is_the_response_left_on_the_left(response, made):
    left = np.where(response["hemi"].values == "L", 2.5, -2.5)[None].astype(np.float32)
    figure = one_page(stimuli("text"), response.assign(bold=response["bold"] * 0 + left), made)
    assert "−2.5" in words(figure)
    views = [axes for axes in figure.axes if axes.collections and axes.get_aspect() == 1.0]
    assert len(views) == 4
    for axes in views:
        colours = axes.collections[0].get_facecolor()
        red = np.mean(colours[:, 0] - colours[:, 2]) > 0
        assert red == (axes.get_position().x0 < 0.5)


def test_far_and_near_are_marked(response, made):
    far = one_page(stimuli("text"), response, made, distance=28.1, world=2.6)
    near = one_page(stimuli("text"), response, made, distance=-0.5, world=2.6)
    assert "28.1 SD" in words(far)
    assert "does not describe it" in words(far)
    assert "-0.5 SD" in words(near)
    assert "does not describe it" not in words(near)
    assert "beyond this bar" in words(far)
    assert "beyond this bar" not in words(near)
    marks = [axes.lines[0] for figure in (far, near) for axes in figure.axes if axes.lines]
    assert [mark.get_marker() for mark in marks] == [">", "v"]
    assert marks[0].get_xdata()[0] > 2.6
    assert marks[1].get_xdata()[0] == -0.5


@pytest.mark.parametrize(
    ("caption", "drawn"),
    [
        ("it costs $5 or $x_{", "it costs $5 or $x_{"),
        ("你好 and жираф", "□□ and жираф"),
        ("dog " * 9_999 + "dog", "… (10,000 words)"),
        ("x" * 100_000, "x …"),
    ],
)
def test_any_words_can_be_drawn(response, made, caption, drawn, tmp_path):
    figure = one_page(stimuli("text", caption), response, made, unknown=[caption])
    figure.savefig(tmp_path / "a.png", dpi=20)
    assert drawn in words(figure).replace("”", "")
