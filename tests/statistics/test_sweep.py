"""Sweeps against the dense re-application of the adapter, lesion by lesion."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1] / "perturbations"))

from made_cortex import respond, voxels

from insilico.adapters.ridge import Ridge
from insilico.errors import ParameterError
from insilico.perturbations.ablate import Ablate
from insilico.spaces import fsaverage5
from insilico.spaces.atlases import load
from insilico.spaces.distances import discs
from insilico.spaces.linear import Linear, linear
from insilico.statistics.sweep import Sweep, changes, sizes, sorted_by_piece


@pytest.fixture(scope="module", params=["dual", "primal"])
def world(request):
    training, shown = respond(16, 5), respond(6, 6)
    fitted = Ridge(alpha=50.0, form=request.param).fit(training, voxels(16, 5))
    return training, shown, fitted


def dense(world, **lesion):
    """Return how much a lesion changes each stimulus's voxels, by applying the adapter again."""
    training, shown, fitted = world
    lesioned = Ablate(**lesion)(shown, training)
    change = Ridge(alpha=50.0)(shown, fitted)["bold"] - Ridge(alpha=50.0)(lesioned, fitted)["bold"]
    return change.values.astype(float)


def test_a_sweep_is_the_dense_application_of_every_lesion(world):
    training, shown, fitted = world
    found = Sweep(by="phantom7")(shown, fitted, training)
    assert list(found["contrast"].values) == list(load("phantom7").regions)
    for name, effect in zip(found["contrast"].values, found["effect"].values, strict=True):
        change = dense(world, region=name, atlas="phantom7")
        assert effect == pytest.approx(np.sqrt((change**2).mean(1)).mean(), rel=1e-4)
    zero = Sweep(by="phantom7", fill="zero")(shown, fitted, training)["effect"].values[0]
    change = dense(world, region="Vis", atlas="phantom7", fill="zero")
    assert zero == pytest.approx(np.sqrt((change**2).mean(1)).mean(), rel=1e-4)


def test_shares_are_of_the_intact_variance(world):
    training, shown, fitted = world
    found = Sweep(by="phantom7")(shown, fitted, training)
    change = dense(world, region="Default", atlas="phantom7")
    intact = Ridge(alpha=50.0)(shown, fitted)["bold"].values
    expected = (change**2).mean() / intact.var(0, dtype=float).mean()
    assert found["share"].sel(contrast="Default").item() == pytest.approx(expected, rel=1e-3)


def test_through_the_decoder_s_entry(world):
    training, shown, fitted = world
    weight = np.random.default_rng(0).standard_normal((5, 12)).astype(np.float32)
    entry = xr.Dataset({"weight": (("hidden", "voxel"), weight)})
    step = Sweep(by="phantom7", readout="decoder")
    assert step.takes == ("prediction", "adapter", "training", "entry")
    found = step(shown, fitted, training, entry)["effect"].values[0]
    change = dense(world, region="Vis", atlas="phantom7") @ weight.T
    assert found == pytest.approx(np.sqrt((change**2).mean(1)).mean(), rel=1e-4)


@pytest.mark.parametrize("world", ["dual"], indirect=True)
def test_searchlights_go_over_all_of_cortex(world):
    training, shown, fitted = world
    found = Sweep(radius=6.0)(shown.isel(stimulus=[0, 1]), fitted, training)
    effect = found["effect_map"].values
    assert np.array_equal(np.isnan(effect), fsaverage5.medial_wall())
    lost = shown["bold"].values[:2] - training["bold"].values.mean(0)
    for vertex in fsaverage5.cortex()[[17, 9000, 15000]]:
        disc = next(discs(6.0, np.array([vertex])))
        change = lost[:, disc] @ linear(fitted).weights(disc)
        assert effect[vertex] == pytest.approx(np.sqrt((change**2).mean(1)).mean(), rel=1e-3)


def test_maps_show_each_region_s_effect(world):
    training, shown, fitted = world
    found = Sweep(by="phantom7")(shown, fitted, training)
    painted = found["effect_map"].values[load("phantom7").mask("Vis")]
    np.testing.assert_allclose(painted, found["effect"].sel(contrast="Vis").item(), rtol=1e-6)


def random_linear(seed, form):
    rng = np.random.default_rng(seed)
    factor = rng.uniform(0.5, 2, 30).astype(np.float32)
    factor[:4] = 0
    if form == "primal":
        return Linear(factor, (rng.standard_normal((30, 9)).astype(np.float32),))
    source = rng.standard_normal((6, 30)).astype(np.float32)
    rights = tuple(rng.standard_normal((6, 9)).astype(np.float32) for _ in range(2))
    if form == "dual":
        return Linear(factor, rights[:1], source)
    return Linear(factor, rights, source, np.arange(30) % 2)


@pytest.mark.parametrize("form", ["primal", "dual", "bands"])
def test_every_form_of_an_adapter_gives_one_matrix(form):
    adapter = random_linear(1, form)
    whole = adapter.weights(np.arange(30))
    if form == "bands":
        each = [adapter.source[:, k] @ adapter.right[k % 2] * adapter.factor[k] for k in range(30)]
        np.testing.assert_allclose(whole, each, rtol=1e-4, atol=1e-5)
    assert (whole[:4] == 0).all()
    some = np.array([20, 3, 7])
    np.testing.assert_allclose(adapter.weights(some), whole[some], rtol=1e-4, atol=1e-6)
    scaled = whole / np.where(adapter.factor, adapter.factor, 1)[:, None]
    np.testing.assert_allclose(adapter.energy(), (scaled**2).sum(1), rtol=1e-4, atol=1e-6)
    readout = np.random.default_rng(2).standard_normal((4, 9)).astype(np.float32)
    through = adapter.through(readout).weights(np.arange(30))
    np.testing.assert_allclose(through, whole @ readout.T, rtol=1e-3, atol=1e-4)
    lost = np.random.default_rng(3).standard_normal((5, 30)).astype(np.float32)
    pieces = [np.array([5, 1, 9]), np.arange(10, 20)]
    expected = [np.sqrt(((lost[:, piece] @ whole[piece]) ** 2).sum(1)) for piece in pieces]
    np.testing.assert_allclose(sizes(lost, adapter, pieces, at_once=4), expected, rtol=1e-4)
    np.testing.assert_allclose(sizes(lost, adapter.compact(), pieces), expected, rtol=1e-3)
    ordered, weights, slices = sorted_by_piece(lost, adapter, pieces)
    for change, piece in zip(changes(ordered, weights, slices), pieces, strict=True):
        np.testing.assert_allclose(change, lost[:, piece] @ whole[piece], rtol=1e-4, atol=1e-5)


def test_mistakes_are_answered(world):
    training, shown, fitted = world
    with pytest.raises(ParameterError, match="atlas .by. or discs .radius, in mm.: name one"):
        Sweep()
    with pytest.raises(ParameterError, match="name one"):
        Sweep(by="phantom7", radius=5)
    kept = fitted.drop_vars(["dual", "weights"], errors="ignore")
    other = kept.assign_attrs(adapter="mlp")
    with pytest.raises(ParameterError, match="a linear adapter is needed, met 'mlp'"):
        Sweep(by="phantom7")(shown, other, training)
