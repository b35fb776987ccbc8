from __future__ import annotations

import numpy as np
import pytest

from insilico.errors import ParameterError, RegionError, SpaceError
from insilico.perturbations.ablate import Ablate
from insilico.spaces import fsaverage5
from insilico.spaces.atlases import load
from insilico.spaces.patches import components, matched_patch
from insilico.spaces.regions import mask


def respond(n, seed):
    bold = np.random.default_rng(seed).standard_normal((n, fsaverage5.N_VERTICES))
    about = {"units": "session z", "subject": "average", "source": "test"}
    ids = [f"{seed}-{k}" for k in range(n)]
    return fsaverage5.response(bold, ids, hemodynamic_offset_s=0.0, **about)


@pytest.fixture(scope="module")
def response():
    return respond(3, 1)


@pytest.fixture(scope="module")
def training():
    return respond(5, 2)


def test_mean_fill_takes_the_information_and_leaves_the_rest(response, training):
    lesioned = Ablate(atlas="phantom7", region="Visual")(response, training)
    inside = mask("phantom7:Vis")
    expected = training["bold"].values[:, inside].astype(float).mean(0)
    np.testing.assert_allclose(lesioned["bold"].values[:, inside], [expected] * 3, atol=1e-6)
    untouched = lesioned["bold"].values[:, ~inside]
    assert np.array_equal(untouched, response["bold"].values[:, ~inside])
    assert lesioned.attrs["ablated_places"] == inside.sum()
    assert "nothing propagates" in lesioned.attrs["lesion"]


def test_zero_fill_needs_no_training(response):
    lesioned = Ablate(region="phantom7:Vis & lh", fill="zero")(response)
    assert (lesioned["bold"].values[:, mask("phantom7:Vis & lh")] == 0).all()


def test_input_is_left_alone(response):
    before = response["bold"].values.copy()
    Ablate(region="phantom7:Vis", fill="zero")(response)
    assert np.array_equal(before, response["bold"].values)


@pytest.mark.parametrize("region", load("phantom7").regions)
def test_patches_match_piece_for_piece(region):
    target = mask(region, atlas="phantom7")
    patch = matched_patch(region, "phantom7", 1, 7)
    assert patch.sum() == target.sum()
    assert not (patch & (target | fsaverage5.medial_wall())).any()
    areas = fsaverage5.areas()
    assert abs(areas[patch].sum() / areas[target].sum() - 1) <= 0.05
    left = fsaverage5.hemisphere() == "L"
    assert (patch & left).sum() == (target & left).sum()
    assert len(components(patch)) <= len(components(target))  # pieces may touch, never break


def test_patches_are_named_by_their_numbers():
    first = matched_patch("Limbic", "phantom7", 0, 7)
    assert np.array_equal(first, matched_patch("Limbic", "phantom7", 0, 7))
    assert not np.array_equal(first, matched_patch("Limbic", "phantom7", 1, 7))
    assert not np.array_equal(first, matched_patch("Limbic", "phantom7", 0, 8))


def test_control_ablates_the_patch(response):
    step = Ablate(atlas="phantom7", region="Limbic", fill="zero", control="patch", seed=7)
    lesioned = step(response)
    changed = (lesioned["bold"].values != response["bold"].values).any(0)
    assert np.array_equal(changed, matched_patch("Limbic", "phantom7", 0, 7))


def test_too_large_a_region_has_no_control():
    with pytest.raises(RegionError, match="no control patch of .* fits beside '~Limbic'"):
        matched_patch("~Limbic", "phantom7", 0, 7)


def test_mistakes_are_answered(response, training):
    with pytest.raises(ParameterError, match="fill 'mean' needs the responses to training"):
        Ablate(region="phantom7:Vis")(response)
    flipped = response.isel(vertex=slice(None, None, -1))
    with pytest.raises(SpaceError, match="wrong hemisphere order"):
        Ablate(region="phantom7:Vis", fill="zero")(flipped)
    with pytest.raises(SpaceError, match="20484 vertices; this response has 100"):
        Ablate(region="phantom7:Vis", fill="zero")(response.isel(vertex=slice(100)))


def test_identity_names_the_labels():
    assert set(Ablate(atlas="phantom7", region="Vis").digests()) == {"phantom7"}
