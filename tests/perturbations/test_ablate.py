"""Lesions: what each fill leaves, and the truths that every one must keep."""

from __future__ import annotations

import numpy as np
import pytest
from made_cortex import voxels

from insilico.errors import ParameterError, RegionError, SpaceError
from insilico.perturbations.ablate import Ablate, KeepOnly, Mask
from insilico.perturbations.fills import conditional, derangement, noise
from insilico.spaces import fsaverage5
from insilico.spaces.regions import mask

VIS = {"atlas": "phantom7", "region": "Vis"}


def bold(response):
    return response["bold"].values


def test_mean_fill_takes_the_information_and_leaves_the_rest(response, training):
    lesioned = Ablate(atlas="phantom7", region="Visual")(response, training)
    inside = mask("phantom7:Vis")
    expected = bold(training)[:, inside].astype(float).mean(0)
    np.testing.assert_allclose(bold(lesioned)[:, inside], [expected] * 4, atol=1e-6)
    assert np.array_equal(bold(lesioned)[:, ~inside], bold(response)[:, ~inside])
    assert lesioned.attrs["perturbed"] == "ablate (fill mean): phantom7:Visual"
    assert lesioned.attrs["perturbed_places"] == inside.sum()
    assert "nothing propagates" in lesioned.attrs["lesion"]


def test_zero_fill_needs_no_training(response):
    lesioned = Ablate(region="phantom7:Vis & lh", fill="zero")(response)
    assert (bold(lesioned)[:, mask("phantom7:Vis & lh")] == 0).all()


def test_input_is_left_alone(response):
    before = bold(response).copy()
    Ablate(region="phantom7:Vis", fill="zero")(response)
    assert np.array_equal(before, bold(response))


@pytest.mark.parametrize("fill", ["mean", "zero", "noise", "resample", "conditional"])
def test_a_lesion_of_the_medial_wall_has_exactly_no_effect(response, training, fill):
    lesioned = Ablate(region="medial wall", fill=fill)(response, training)
    assert np.array_equal(bold(lesioned), bold(response))
    assert lesioned.attrs["perturbed_places"] == fsaverage5.medial_wall().sum()


@pytest.mark.parametrize("fill", ["mean", "conditional"])
def test_a_lesion_of_everything_leaves_the_training_mean(response, training, fill):
    lesioned = Ablate(region="cortex", fill=fill)(response, training)
    np.testing.assert_allclose(bold(lesioned), [bold(training).mean(0)] * 4, atol=1e-6)


@pytest.mark.parametrize("fill", ["mean", "zero", "noise", "resample", "conditional"])
def test_keeping_everything_is_the_identity(response, training, fill):
    kept = KeepOnly(region="cortex", fill=fill)(response, training)
    assert np.array_equal(bold(kept), bold(response))


def test_keeping_a_region_is_ablating_the_rest(response, training):
    kept = KeepOnly(**VIS)(response, training)
    assert np.array_equal(bold(kept), bold(Ablate(region="~phantom7:Vis")(response, training)))


def test_resampled_regions_hold_the_response_to_another_stimulus(response):
    lesioned = Ablate(**VIS, fill="resample", seed=3)(response)
    inside = mask("phantom7:Vis")
    before, after = bold(response)[:, inside], bold(lesioned)[:, inside]
    taken = [int(np.flatnonzero((before == row).all(1))[0]) for row in after]
    assert sorted(taken) == [0, 1, 2, 3]
    assert all(k != other for k, other in enumerate(taken))
    other = Ablate(atlas="phantom7", region="Default", fill="resample", seed=3)(response)
    where = mask("phantom7:Default")
    assert np.array_equal(bold(other)[:, where], bold(response)[taken][:, where])


def test_a_derangement_leaves_nothing_in_its_place_and_is_fair():
    rng = np.random.default_rng(0)
    drawn = np.array([derangement(3, rng) for _ in range(600)])
    assert (drawn != np.arange(3)).all()
    assert 240 < (drawn[:, 0] == 1).sum() < 360  # both derangements of three alike likely


def test_noise_has_the_covariance_of_the_region():
    rng = np.random.default_rng(1)
    rows = (rng.standard_normal((40, 3)) @ rng.standard_normal((3, 8)) + 5).astype(np.float32)
    spread = noise(rows, np.eye(40, dtype=np.float32)) - rows.mean(0)  # one draw after another
    np.testing.assert_allclose(spread.T @ spread, np.cov(rows.T), rtol=1e-3, atol=1e-3)
    made = noise(rows, rng.standard_normal((60_000, 40)).astype(np.float32))
    np.testing.assert_allclose(made.mean(0), rows.mean(0), atol=0.05)
    np.testing.assert_allclose(np.cov(made.T), np.cov(rows.T), atol=0.25)
    assert np.linalg.matrix_rank(made - rows.mean(0), tol=0.5) == 3  # none beside the data's axes


def test_noise_of_a_stimulus_is_its_own_whatever_else_is_shown(response, training):
    step = Ablate(**VIS, fill="noise", seed=5)
    whole, part = step(response, training), step(response.isel(stimulus=[2, 1]), training)
    np.testing.assert_allclose(bold(whole)[[2, 1]], bold(part), atol=1e-5)
    inside = mask("phantom7:Vis")
    assert not np.allclose(bold(whole)[0][inside], bold(whole)[1][inside])


def test_a_region_that_the_rest_determines_comes_back():
    rng = np.random.default_rng(2)
    latent, mixing = rng.standard_normal((60, 4)), rng.standard_normal((4, 30))
    rows = (latent @ mixing + 3).astype(np.float32)
    shown = (rng.standard_normal((5, 4)) @ mixing + 3).astype(np.float32)
    rest, region = slice(0, 20), slice(20, 30)
    made = conditional(rows[:, rest], rows[:, region], shown[:, rest], None)
    np.testing.assert_allclose(made, shown[:, region], atol=2e-3)


def test_the_conditional_mean_is_ridge_with_its_penalty_by_leave_one_out():
    from sklearn.linear_model import Ridge, RidgeCV

    rng = np.random.default_rng(3)
    rest = rng.standard_normal((25, 12)).astype(np.float32)
    region = (rest[:, :3] + rng.standard_normal((25, 3))).astype(np.float32)
    shown = rng.standard_normal((4, 12)).astype(np.float32)
    centred = rest - rest.mean(0)
    unit = (centred**2).sum() / 24
    expected = Ridge(alpha=0.1 * unit).fit(rest, region).predict(shown)
    np.testing.assert_allclose(conditional(rest, region, shown, 0.1), expected, atol=1e-4)
    chosen = RidgeCV(alphas=np.logspace(-6, 2, 9) * unit).fit(rest, region).predict(shown)
    np.testing.assert_allclose(conditional(rest, region, shown, None), chosen, atol=1e-3)


def test_masks_are_nested_and_end_at_nothing_and_all(response, training):
    def lost(fraction, **more):
        masked = Mask(fraction=fraction, seed=4, **more)(response, training)
        return (bold(masked) != bold(response)).any(0)

    assert not lost(0.0).any()
    assert np.array_equal(lost(1.0), ~fsaverage5.medial_wall())
    some, more = lost(0.3), lost(0.6)
    assert (more | ~some).all()
    assert abs(some.sum() / (~fsaverage5.medial_wall()).sum() - 0.3) < 1e-3
    other, larger = lost(0.3, mask_index=1), lost(0.6, mask_index=1)
    assert (larger | ~other).all()
    assert 0.25 < (other & some).sum() / some.sum() < 0.35  # another draw: 30 % by chance
    inside = lost(0.5, **VIS)
    assert inside.sum() == round(0.5 * mask("phantom7:Vis").sum())
    assert not (inside & ~mask("phantom7:Vis")).any()


def test_measured_voxels_with_repeats_are_perturbed_too():
    shown, training = voxels(4, 1, repeats=3), voxels(9, 2)
    for fill in ("mean", "noise", "resample", "conditional"):
        lesioned = Ablate(region="roi:V1", fill=fill)(shown, training)
        changed = (bold(lesioned) != bold(shown)).any((0, 1))
        assert np.array_equal(changed, shown["roi"].values == "V1")
    rest = Mask(fraction=0.5)(shown, training)
    assert (bold(rest) != bold(shown)).any((0, 1)).sum() == 6


def test_mistakes_are_answered(response, training):
    with pytest.raises(ParameterError, match="fill 'mean' needs the responses to training"):
        Ablate(region="phantom7:Vis")(response)
    with pytest.raises(ParameterError, match="another stimulus .* 1 is shown: show 2 or more"):
        Ablate(**VIS, fill="resample")(response.isel(stimulus=[0]))
    with pytest.raises(ParameterError, match="unknown value 'median'; one of: mean, zero"):
        Ablate(**VIS, fill="median")
    with pytest.raises(ParameterError, match="fraction: met 1.5; allowed: less than or equal to 1"):
        Mask(fraction=1.5)
    with pytest.raises(RegionError, match="'phantom7:Vis & phantom7:Limbic' holds no vertex"):
        Ablate(region="phantom7:Vis & phantom7:Limbic", fill="zero")(response)
    with pytest.raises(RegionError, match="'roi:V1' needs a response with the coordinate 'roi'"):
        Ablate(region="roi:V1", fill="zero")(response)
    flipped = response.isel(vertex=slice(None, None, -1))
    with pytest.raises(SpaceError, match="wrong hemisphere order"):
        Ablate(region="phantom7:Vis", fill="zero")(flipped)
    with pytest.raises(SpaceError, match="20484 vertices; this response has 100"):
        Ablate(region="phantom7:Vis", fill="zero")(response.isel(vertex=slice(100)))
    with pytest.raises(SpaceError, match="a response in sample is needed"):
        Ablate(region="roi:V1")(voxels(3, 1), training)


def test_identity_names_the_labels():
    assert set(Ablate(atlas="phantom7", region="Vis").digests()) == {"phantom7"}
