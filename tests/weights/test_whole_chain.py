"""The published chain with every stage, from files in the authors' layout."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from authors_layout import write_hub
from tiny_networks import tiny_vision, with_unclip

sys.path.insert(0, str(Path(__file__).parents[1] / "decoders"))

import tiny_mindeye2 as tiny
from test_mindeye2_chain import quick, response

from insilico.decoders.unclip import UnclipConfig
from insilico.spaces.tokens import ImageTokens, image_tokens, washed_out
from insilico.weights.conversions import UNCLIP
from insilico.weights.folders import folder
from insilico.weights.shelf import let_go

RUN = "final_multisubject_subj03"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    ours, hub = (tmp_path_factory.mktemp(name) for name in ("ours", "hub"))
    tiny.write(ours)
    write_hub(ours, hub, RUN)
    (hub / "refiner").symlink_to(ours / "refiner")
    yield str(ours), str(hub)
    let_go()


@pytest.mark.parametrize("voxels", tiny.VOXELS)
def test_every_output_is_that_of_the_networks_that_were_saved(folders, voxels):
    how = {"refine": True, "mix": 0.25, "keep": ("clip_voxels", "prior")}
    ours, published = (
        quick(weights, model=run, **how)(response(voxels=voxels))
        for weights, run in zip(folders, (None, RUN), strict=True)
    )
    assert set(ours) == set(published)
    for name in ours:
        np.testing.assert_array_equal(published[name].values, ours[name].values, err_msg=name)
    assert ours["blurry"].values.std() > 1


def test_the_sampler_is_the_published_one():
    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in UNCLIP.items()}
    assert UnclipConfig(**settings) == UnclipConfig.published()


def test_nothing_is_converted_before_it_is_used(folders, tmp_path):
    ours, _ = map(Path, folders)
    (tmp_path / "hub").mkdir()
    write_hub(ours, tmp_path / "hub", RUN)
    step = quick(str(tmp_path / "hub"), model=RUN)
    assert set(step.digests()) == {"mindeye2", "unclip", "captioner", "converter", "blurry"}
    assert not (tmp_path / "hub" / "converted").exists()
    assert folder(str(tmp_path / "hub"), "converter").is_dir()


def test_image_tokens_come_from_the_unclip_file(tmp_path):
    with_unclip(tmp_path)
    step = ImageTokens(weights=str(tmp_path))
    assert len(step.digests()["clip"]) == 32
    assert not (tmp_path / "converted").exists()
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    made = image_tokens(images, str(tmp_path))
    assert made.shape == (2, 16, 16)
    seen = washed_out(torch.from_numpy(images).permute(0, 3, 1, 2) / 255, 16)
    tower = tiny_vision().vision_model
    with torch.no_grad():
        last = tower(pixel_values=seen).last_hidden_state
        expected = tower.post_layernorm(last)[:, 1:]
    np.testing.assert_allclose(made, expected.numpy(), atol=1e-5)
