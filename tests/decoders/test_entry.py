"""The entry ridge, trained again for what an adapter gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import save_file
from sklearn.linear_model import Ridge
from torch import nn

from insilico.decoders.mindeye2.entry import read_entry, save_entry, solved
from insilico.decoders.mindeye2.model import MindEye2Model
from insilico.decoders.mindeye2.step import MindEye2
from insilico.errors import InsilicoError, ParameterError, SchemaError, WeightsError
from insilico.weights.folders import folder

FAST = MindEye2(prior_steps=4, steps=2, captions="none")


@pytest.fixture
def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(20, 6)


def betas(n: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return measured betas, and what an adapter makes of them: shrunken, noisy, some lost."""
    noise = torch.Generator().manual_seed(seed)
    measured = torch.randn(n, 20, generator=noise) + 0.3
    adapted = 0.4 * measured + 0.2 * torch.randn(n, 20, generator=noise)
    adapted[:, 15:] = 0.1 * torch.randn(n, 5, generator=noise)
    return adapted, measured


@torch.no_grad()
def test_it_is_a_ridge_towards_the_published_entry(linear):
    adapted, measured = betas(60)
    weight, bias, alpha = solved(linear, adapted, measured)
    missing = (linear(measured) - linear(adapted)).numpy()
    model = Ridge(alpha=alpha).fit(adapted.numpy(), missing)
    np.testing.assert_allclose(weight - linear.weight, model.coef_, atol=1e-5)
    np.testing.assert_allclose(bias - linear.bias, model.intercept_, atol=1e-5)


@torch.no_grad()
def test_measured_betas_leave_the_entry_as_it_is(linear):
    measured = betas(60)[1]
    weight, bias, _ = solved(linear, measured, measured)
    torch.testing.assert_close(weight, linear.weight.data)
    torch.testing.assert_close(bias, linear.bias.data)


@torch.no_grad()
def test_on_new_stimuli_it_is_nearer_to_the_measured_ones(linear):
    weight, bias, _ = solved(linear, *betas(400))
    adapted, measured = betas(300, seed=2)
    true = linear(measured)
    before = ((linear(adapted) - true) ** 2).mean()
    after = ((adapted @ weight.T + bias - true) ** 2).mean()
    assert after < 0.8 * before  # a quarter of the voxels is lost for good


@pytest.fixture(scope="module")
def pair() -> tuple[xr.Dataset, xr.Dataset]:
    voxels = MindEye2Model.from_pretrained(folder("phantom", "mindeye2")).config.voxels[0]
    rng = np.random.default_rng(0)
    axes = rng.standard_normal((2, voxels))
    measured = (rng.standard_normal((24, 2)) @ axes).astype(np.float32)
    adapted = (0.5 * measured + 0.3 * rng.standard_normal(measured.shape)).astype(np.float32)
    place = {name: ("voxel", np.zeros(voxels, np.float32)) for name in "xyz"}
    attrs = {"space": "phantom-subj01", "units": "z", "subject": "1", "hemodynamic_offset_s": 0.0}

    def response(bold: np.ndarray) -> xr.Dataset:
        return xr.Dataset(
            {"bold": (("stimulus", "voxel"), bold)},
            {
                "stimulus": [f"s-{k:02d}" for k in range(24)],
                "hemi": ("voxel", ["L"] * voxels),
                **place,
            },
            {**attrs, "source": "test"},
        )

    return response(adapted), response(measured)


@pytest.fixture(scope="module")
def trained(pair, tmp_path_factory) -> tuple[MindEye2, tuple[xr.Dataset, xr.Dataset]]:
    known, new = ([one.isel(stimulus=some) for one in pair] for some in (slice(20), slice(20, 24)))
    file = FAST.train_entry(*known, tmp_path_factory.mktemp("entry") / "entry.safetensors")
    return FAST.model_copy(update={"entry": str(file)}), tuple(new)


def test_the_decoder_takes_it_and_says_so(trained):
    step, (adapted, measured) = trained
    true, plain, better = (
        FAST.outputs(measured).backbone.numpy(),
        FAST.outputs(adapted).backbone.numpy(),
        step.outputs(adapted).backbone.numpy(),
    )
    assert np.abs(better - plain).max() > 1e-3
    assert ((better - true) ** 2).mean() < ((plain - true) ** 2).mean()
    assert "entry" in step.digests()
    assert "entry" not in FAST.digests()
    made = step(adapted.isel(stimulus=[0]))
    assert made.attrs["weights"] != FAST(adapted.isel(stimulus=[0])).attrs["weights"]


def test_stimuli_of_the_training_are_refused(pair, trained):
    with pytest.raises(ParameterError, match="trained on 20 of these stimuli"):
        trained[0](pair[0])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            lambda a, m, f: (a.isel(stimulus=slice(5)), m.isel(stimulus=slice(5)), f),
            SchemaError,
            "10 pairs",
        ),
        (
            lambda a, m, f: (a, m.isel(stimulus=slice(None, None, -1)), f),
            SchemaError,
            "other stimuli",
        ),
        (lambda a, m, f: (a.assign(bold=a["bold"] * 0), m, f), SchemaError, "same for all"),
        (lambda a, m, f: (a, m, f.with_suffix(".pt")), ParameterError, "safetensors"),
    ],
)
def test_bad_pairs_are_refused(pair, tmp_path, change, error: type[InsilicoError], words):
    with pytest.raises(error, match=words):
        FAST.train_entry(*change(*pair, tmp_path / "e.safetensors"))


def test_entries_of_other_weights_and_damaged_ones_are_refused(trained, pair, tmp_path):
    adapted = trained[1][0]
    weight, bias, about = read_entry(trained[0].entry)
    other = save_entry(tmp_path / "a.safetensors", weight, bias, about | {"weights": "others"})
    cut = tmp_path / "b.safetensors"
    cut.write_bytes(other.read_bytes()[:500])
    save_file({"x": bias}, tmp_path / "c.safetensors")
    for name, words in {
        "a": "other weights of MindEye2",
        "b": "not what train_entry wrote",
        "c": "not what train_entry wrote",
        "d": "no file .*chain.train_entry",
    }.items():
        step = FAST.model_copy(update={"entry": str(tmp_path / f"{name}.safetensors")})
        with pytest.raises(WeightsError, match=words):
            step(adapted)
