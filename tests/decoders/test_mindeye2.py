"""MindEye2 as a whole: published sizes and names, and the laws of the step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from insilico.decoders.mindeye2.model import MindEye2Config, MindEye2Model
from insilico.decoders.mindeye2.step import MindEye2
from insilico.errors import SchemaError, SpaceError, WeightsError
from insilico.step import computing
from insilico.weights.folders import digest, folder

FAST = MindEye2(prior_steps=4, steps=2, captions="none")


@pytest.fixture(scope="module")
def response():
    voxels = MindEye2Model.from_pretrained(folder("phantom", "mindeye2")).config.voxels[0]
    bold = np.random.default_rng(0).standard_normal((3, 3, voxels)).astype(np.float32)
    place = {name: ("voxel", np.zeros(voxels, np.float32)) for name in "xyz"}
    return xr.Dataset(
        {"bold": (("repeat", "stimulus", "voxel"), bold)},
        coords={"stimulus": ["a", "b", "c"], "hemi": ("voxel", np.full(voxels, "L")), **place},
        attrs={
            "space": "phantom-subj01",
            "units": "session z",
            "subject": "phantom-subj01",
            "hemodynamic_offset_s": 0.0,
            "source": "phantom (simulated)",
            "note": "phantom7 in place of yeo7",
        },
    )


def test_a_reconstruction_says_where_it_comes_from(response):
    made = FAST(response)
    assert made["image"].dims == ("stimulus", "draw", "y_pixel", "x_pixel", "rgb")
    assert made["image"].dtype == np.uint8
    assert made["image"].shape == (3, 1, 64, 64, 3)
    assert {"decoder": "mindeye2", "seed": 0, "source": "phantom (simulated)"}.items() <= (
        made.attrs.items()
    )
    assert made.attrs["note"] == "phantom7 in place of yeo7"
    assert len(made.attrs["weights"]) == 32


def test_captions_are_words(response):
    made = FAST.model_copy(update={"captions": "auto", "draws": 2})(response.isel(stimulus=[0]))
    assert made["caption"].dims == ("stimulus", "draw")
    assert all(str(text).startswith("a ") for text in made["caption"].values.flat)


def test_repeats_are_averaged_in_the_outputs(response):
    each = [FAST.outputs(response.isel(repeat=k)).backbone for k in range(3)]
    torch.testing.assert_close(FAST.outputs(response).backbone, sum(each) / 3, atol=1e-4, rtol=0)


@pytest.mark.parametrize("chosen", [["b"], ["c", "a"]])
def test_an_item_depends_on_nothing_beside_it(response, chosen):
    step = FAST.model_copy(update={"draws": 2})
    every = xr.DataArray(step.tokens(response), dims=("stimulus", "draw", "token", "width"))
    every = every.assign_coords(stimulus=response["stimulus"].values).sel(stimulus=chosen)
    part = response.sel(stimulus=chosen)
    pictures = step(response)["image"].sel(stimulus=chosen).astype(int)
    with computing(batch=1):
        assert np.abs(step.tokens(part) - every.values).max() < 1e-4
        assert np.abs(step(part)["image"] - pictures).max() <= 1


def test_noise_is_common_to_conditions_and_differs_between_draws(response):
    same = response.assign(bold=response["bold"] * 0)
    tokens = FAST.model_copy(update={"draws": 2}).tokens(same)
    again = FAST.model_copy(update={"draws": 2}).tokens(same)
    np.testing.assert_array_equal(tokens, again)
    assert np.abs(tokens[:, 0] - tokens[:, 1]).max() > 0.1
    assert np.abs(tokens[0] - tokens[1]).max() > 0.1
    other = FAST.model_copy(update={"seed": 1, "draws": 2}).tokens(same)
    assert np.abs(tokens - other).max() > 0.1


def test_the_linear_entry_is_what_reads_the_voxels(response):
    step, one = MindEye2(), response.isel(stimulus=[0, 1])
    weight = step.entry_of(response)["weight"].values
    made = step.outputs(one).ridge.numpy()
    bold = one["bold"].values
    bold = bold.mean(0) if bold.ndim == 3 else bold
    np.testing.assert_allclose(made[1] - made[0], (bold[1] - bold[0]) @ weight.T, atol=1e-3)


def test_wrong_voxels_are_told(response):
    with pytest.raises(SpaceError, match=r"reads \d+ voxels; .* has 100 voxels"):
        FAST(response.isel(voxel=slice(100)))
    with pytest.raises(SpaceError, match="has 100 vertices: .* adapter"):
        FAST(response.isel(voxel=slice(100)).rename(voxel="vertex"))


def test_nan_and_conditions_are_told(response):
    broken = response.copy(deep=True)
    broken["bold"][0, 1, 7] = np.nan
    with pytest.raises(SchemaError, match="NaN .* b"):
        FAST(broken)
    with pytest.raises(SchemaError, match="one condition at a time"):
        FAST(response.expand_dims(condition=["intact"]))


def test_missing_weights_are_named_before_any_work(response, tmp_path):
    with pytest.raises(WeightsError, match="no weights of mindeye2 .* holds nothing"):
        FAST.model_copy(update={"weights": str(tmp_path)})(response)
    (tmp_path / "mindeye2").mkdir()
    with pytest.raises(WeightsError, match="no weights of unclip .* holds mindeye2"):
        FAST.model_copy(update={"weights": str(tmp_path)})(response)
    (tmp_path / "unclip").mkdir()
    with pytest.raises(WeightsError, match="cannot be read"):
        FAST.model_copy(update={"weights": str(tmp_path)})(response)


def test_weights_keep_their_digest_until_they_change(tmp_path):
    sizes = MindEye2Config(
        voxels=[5], hidden=4, n_blocks=1, tokens=2, width=8, blurry=None, depth=1, heads=1,
        head_width=8,
    )  # fmt: skip
    model = MindEye2Model(sizes)
    model.save_pretrained(tmp_path)
    first = digest(tmp_path)
    again = MindEye2Model.from_pretrained(tmp_path)
    betas = torch.ones(1, 5)
    torch.testing.assert_close(again.condition(betas), model.eval().condition(betas))
    with torch.no_grad():
        model.ridge.linears[0].weight.add_(1)
    model.save_pretrained(tmp_path)
    assert digest(tmp_path) != first
