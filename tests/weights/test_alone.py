"""Networks outside the decoder's plan keep to a memory too, one at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from insilico.decoders.git import _loaded
from insilico.decoders.mindeye2.model import read_config
from insilico.decoders.mindeye2.needs import needs_of
from insilico.decoders.nearest.step import Nearest
from insilico.encoders.mary_nano import MaryNano
from insilico.errors import ParameterError
from insilico.schema import sample
from insilico.scores import KINDS
from insilico.scores.features import features
from insilico.scores.readers import needed, reader
from insilico.spaces.tokens import ImageTokens
from insilico.step import computing
from insilico.stimuli import KINDS as STIMULI
from insilico.weights import alone, shelf
from insilico.weights.counting import LiveBytes
from insilico.weights.folders import folder

CONVNET = folder("phantom", "judge_convnet") / "model.safetensors"
TWO_WAY = KINDS.build({"kind": "two_way", "features": "phantom_early"})


@pytest.fixture(scope="module")
def shown():
    return STIMULI.build({"kind": "phantom", "split": "test", "n": 6})()


def reconstructed(shown):
    image = shown["image"].expand_dims(draw=1, axis=1)
    return shown[["stimulus"]].assign(image=image).assign_attrs(decoder="none", seed=0)


def heard(work, memory):
    """Return what a step gives, and how many items went together."""
    done = []
    with computing(memory=memory, progress=lambda what, now, of: done.append(now)):
        made = work()
    return made, max(np.diff([0, *done]).max(), 0)


def test_nothing_is_counted_where_no_memory_is_set():
    assert alone.granted(lambda: pytest.fail("counted")) is None
    assert alone.taken("judge", lambda: pytest.fail("counted")) is None


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("judge", TWO_WAY),
        ("judge", KINDS.build("clip_cosine")),
        ("score", KINDS.build("phantom_text_cosine")),
        ("clap", KINDS.build("phantom_clap")),
        ("gnet", KINDS.build("brain_correlation")),
        ("encoder", MaryNano()),
        ("image tokens", ImageTokens()),
        ("image tokens", KINDS.build("retrieval_image_from_brain")),
    ],
)
def test_too_little_memory_is_one_error_before_any_work(name, step):
    with (
        computing(memory="100kB"),
        pytest.raises(ParameterError, match=f"too little: stage '{name}' .* least that works is"),
    ):
        step.ready()
    with computing(memory="2GB"):
        step.ready()


def test_scores_are_the_same_in_the_batches_that_fit(shown):
    expected = TWO_WAY(reconstructed(shown), shown)
    least = needed(
        features("phantom_early"), folder("phantom", "judge_convnet") / "model.safetensors", None
    )
    size = least.weights + least.computed(2)
    shelf.held("other", 1, dict)
    found, together = heard(lambda: TWO_WAY(reconstructed(shown), shown), size)
    assert together == 2
    np.testing.assert_allclose(found["value"], expected["value"])
    assert shelf.names() == ["judge"]


def test_an_encoder_keeps_to_a_memory(shown):
    parts: list[int] = []
    made = []
    for memory in ("2GB", "17MB"):
        with computing(memory=memory, progress=lambda what, now, of: parts.append(of)):
            made.append(MaryNano()(shown))
    assert parts[0] == 1 < parts[-1] <= 6  # all six together, and fewer
    found, expected = made
    np.testing.assert_allclose(found["bold"], expected["bold"], atol=1e-4)


def test_what_a_judge_needs_is_what_it_takes(shown):
    counted = needed(features("phantom_early"), CONVNET, None)
    read = reader(features("phantom_early"), CONVNET, None)
    with LiveBytes() as live:
        read(shown["image"].values)
    assert live.peak == pytest.approx(counted.fixed + 6 * counted.item, rel=0.05)


@pytest.mark.parametrize("beams", [1, 4])
def test_every_beam_of_a_caption_is_counted(shown, beams):
    path = folder("phantom", "captioner")
    (counted,) = needs_of({"captioner": path}, "fp32", beams=beams)
    model, _, processor = _loaded(path, "here", "cpu")
    pixels = processor(list(shown["image"].values[:2]), return_tensors="pt")["pixel_values"]
    with LiveBytes(model.parameters()) as live, torch.inference_mode():
        model.generate(pixel_values=pixels, max_new_tokens=20, num_beams=beams, do_sample=False)
    assert 0.2 * counted.computed(2) < live.peak <= counted.computed(2)


def test_retrieval_keeps_to_a_memory_without_the_networks_that_paint(shown, tmp_path):
    for name in ("mindeye2", "clip"):
        (tmp_path / name).symlink_to(folder("phantom", name))
    voxels = read_config(folder("phantom", "mindeye2")).voxels[0]
    bold = np.random.default_rng(0).standard_normal((6, voxels)).astype(np.float32)
    place = {name: ("voxel", np.zeros(voxels, np.float32)) for name in "xyz"}
    response = xr.Dataset(
        {"bold": (("stimulus", "voxel"), bold)},
        {"stimulus": shown["stimulus"].values, "hemi": ("voxel", np.full(voxels, "L")), **place},
        {**sample("response").attrs, "space": "phantom-subj01"},
    )
    gallery = {"kind": "phantom", "split": "test", "n": 9}
    step = Nearest(weights=str(tmp_path), gallery=gallery, index=str(tmp_path / "i"), draws=2)
    plain = step(response)
    with computing(memory="40MB"):
        step.ready()
        made = step(response)
    assert (made["picture"] == plain["picture"]).all()
    np.testing.assert_allclose(made["similarity"], plain["similarity"], atol=1e-5)
    with computing(memory="100kB"), pytest.raises(ParameterError, match="is too little: stage"):
        step.ready()
