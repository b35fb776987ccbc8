"""Matched controls: exact in count, within bounds in the rest, never in the region or the wall."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from made_cortex import respond, voxels
from scipy.spatial import cKDTree

from insilico.adapters.ridge import Ridge
from insilico.errors import ParameterError, RegionError, SpaceError
from insilico.perturbations.ablate import Ablate, KeepOnly
from insilico.perturbations.leverage import Leverage
from insilico.spaces import fsaverage5
from insilico.spaces.atlases import load
from insilico.spaces.controls import control
from insilico.spaces.ground import surface
from insilico.spaces.regions import mask
from insilico.spaces.spun import rotated

LEFT = fsaverage5.hemisphere() == "L"
components = surface().components
GOLDEN = {  # of the masks as they were before voxels had controls
    ("vertices", "phantom7:Limbic", 0, 7, 0.0): "3f172ce750d78a2a",
    ("vertices", "phantom7:Default", 2, 7, 0.0): "7b4d1e6d5c3c873d",
    ("patch", "phantom7:Limbic", 0, 7, 0.0): "f3bb8670e7351b5a",
    ("patch", "phantom7:Limbic", 1, 7, 0.0): "c38bdd2ac624a844",
    ("patch", "phantom7:DorsAttn", 0, 3, 0.3): "8291da4fdbcb321c",
    ("spin", "phantom7:Vis & lh", 0, 7, 0.0): "9965e2c1f7c7ad5f",
    ("spin", "phantom7:DorsAttn", 0, 7, 0.3): "90ac02624018c429",
    ("leverage", "phantom7:DorsAttn & lh", 0, 7, 0.0): "4fea4372b76b5c86",
}


def uneven():
    """Return a leverage ten times larger at the back than at the front."""
    back = fsaverage5.mesh()[0][:, 1] < -20
    drawn = np.random.default_rng(0).gamma(4.0, 1.0, fsaverage5.N_VERTICES)
    return drawn * np.where(back, 3.0, 1.0) * ~fsaverage5.medial_wall()


@pytest.mark.parametrize(("asked", "digest"), GOLDEN.items(), ids=lambda x: "".join(map(str, x)))
def test_controls_on_the_surface_stay_what_they_were(asked, digest):
    kind, region, index, seed, overlap = asked
    leverage = uneven() if kind == "leverage" else None
    found = control(kind, mask(region), index, seed, overlap, leverage)
    assert sha256(found.mask.tobytes()).hexdigest()[:16] == digest


def require_matched(found, region):
    assert found.sum() == region.sum()
    assert (found & LEFT).sum() == (region & LEFT).sum()
    assert not (found & fsaverage5.medial_wall()).any()


@pytest.mark.parametrize("region", load("phantom7").regions)
def test_patches_match_piece_for_piece(region):
    target = mask(region, atlas="phantom7")
    found = control("patch", target, 0, 7)
    require_matched(found.mask, target)
    assert not (found.mask & target).any()
    areas = fsaverage5.areas()
    assert abs(areas[found.mask].sum() / areas[target].sum() - 1) <= 0.05
    assert found.area == pytest.approx(areas[found.mask].sum() / areas[target].sum())
    assert len(components(found.mask)) <= len(components(target))  # pieces may touch, never break


def test_vertices_are_scattered():
    target = mask("phantom7:Limbic")
    found = control("vertices", target, 0, 7).mask
    require_matched(found, target)
    assert not (found & target).any()
    assert len(components(found)) > 20 * len(components(target))


def test_spins_are_of_exact_size_and_alike_for_all_regions():
    small, large = mask("phantom7:Vis & lh"), mask("phantom7:Vis")
    found = control("spin", large, 0, 7)
    require_matched(found.mask, large)
    assert not (found.mask & large).any()
    assert len(components(found.mask)) <= 3 * len(components(large))
    half = control("spin", small, 0, 7).mask
    require_matched(half, small)
    assert (half & found.mask).sum() > 0.8 * small.sum()  # the same rotation


def test_patches_match_in_leverage():
    target, leverage = mask("phantom7:DorsAttn & lh"), uneven()
    found = control("leverage", target, 0, 7, leverage=leverage)
    require_matched(found.mask, target)
    assert abs(leverage[found.mask].sum() / leverage[target].sum() - 1) <= 0.1
    assert found.leverage == pytest.approx(leverage[found.mask].sum() / leverage[target].sum())
    assert len(components(found.mask)) <= len(components(target))


@pytest.mark.parametrize("kind", ["vertices", "patch", "spin", "leverage"])
def test_controls_share_no_vertex_while_there_is_room(kind):
    target = mask("phantom7:Limbic & lh")
    first, second = (control(kind, target, k, 7, leverage=uneven()) for k in range(2))
    assert not (first.mask & second.mask).any()
    assert second.shared == 0


def test_what_controls_must_share_is_told(response):
    target = mask("phantom7:Default")
    *earlier, last = (control("vertices", target, k, 7) for k in range(3))
    assert earlier[1].shared == 0
    assert last.shared == (last.mask & (earlier[0].mask | earlier[1].mask)).sum() > 0
    more = {"control": "vertices", "control_index": 2, "seed": 7}
    told = Ablate(region="phantom7:Default", fill="zero", **more)(response).attrs
    assert told["control"] == "vertices 2"
    assert told["control_shared_with_earlier"] == pytest.approx(last.shared / target.sum(), 1e-3)
    assert told["control_overlap"] == 0


def test_overlap_allows_some_of_the_region():
    target = mask("phantom7:DorsAttn")
    none, some = (control("spin", mask("phantom7:Vis"), 0, 3, overlap=x) for x in (0, 0.5))
    assert not (none.mask & mask("phantom7:Vis")).any()
    found = control("spin", target, 0, 7, overlap=0.3).mask
    require_matched(found, target)
    assert 0 < (found & target).sum() <= 0.3 * target.sum()
    require_matched(some.mask, mask("phantom7:Vis"))


def test_what_a_control_holds_of_its_region_is_told_as_a_share_of_the_region(response):
    more = {"control": "spin", "seed": 7, "overlap": 0.3}
    told = Ablate(region="phantom7:DorsAttn", fill="zero", **more)(response).attrs
    target = mask("phantom7:DorsAttn")
    held = (control("spin", target, 0, 7, overlap=0.3).mask & target).sum()
    assert told["control_overlap"] == pytest.approx(held / target.sum(), abs=1e-4)
    assert told["control_overlap"] > 0


def test_patches_keep_their_distance_from_the_medial_wall():
    target, beside = mask("phantom7:Limbic & lh"), surface().widened(fsaverage5.medial_wall())
    assert not any((control("patch", target, k, 7).mask & beside).any() for k in range(6))


def test_spins_of_the_right_hemisphere_mirror_those_of_the_left():
    sphere, half = fsaverage5.mesh("sphere")[0] / 100, fsaverage5.N_HEMISPHERE
    left, right = sphere[:half], sphere[half:] * [-1, 1, 1]
    taken = rotated(7, 0, 0)
    across = cKDTree(right).query(left[::50])[1]  # the vertex opposite to each
    one, other = left[taken[:half][::50]], right[taken[half + across] - half]
    assert np.linalg.norm(one - other, axis=1).max() < 0.06


def test_controls_are_named_by_their_numbers_and_made_once():
    target = mask("phantom7:Limbic")
    first = control("patch", target, 0, 7)
    assert first.mask is control("patch", mask("Limbic", atlas="phantom7"), 0, 7).mask
    assert not np.array_equal(first.mask, control("patch", target, 0, 8).mask)


def test_the_control_is_where_the_step_acts(response):
    step = Ablate(atlas="phantom7", region="Limbic", fill="zero", control="vertices", seed=7)
    changed = (step(response)["bold"].values != response["bold"].values).any(0)
    found = control("vertices", mask("phantom7:Limbic"), 0, 7).mask
    assert np.array_equal(changed, found)
    keep = KeepOnly(atlas="phantom7", region="Limbic", fill="zero", control="vertices", seed=7)
    kept = (keep(response)["bold"].values != 0).any(0)
    assert np.array_equal(kept, found)


@pytest.mark.parametrize(
    ("kind", "region", "says"),
    [
        ("patch", "~phantom7:Limbic", "the largest contiguous piece beside it has [0-9]+ left and"),
        ("vertices", "~phantom7:Vis", "beside it there are [0-9]+ left and [0-9]+ right"),
        ("spin", "~phantom7:Limbic", "beside it there are 989 vertices of cortex"),
        ("spin", "phantom7:SomMot", "a rotation covers of it is [0-9.]+%: allow overlap"),
    ],
)
def test_a_control_that_cannot_fit_says_how_large_the_largest_is(kind, region, says, monkeypatch):
    monkeypatch.setattr("insilico.spaces.spun.TURNS", 20)
    target = mask(region)
    with pytest.raises(
        RegionError, match=f"no control '{kind}' of {target.sum()} vertices.*{says}"
    ):
        control(kind, target, 0, 7)


def test_leverage_that_no_patch_has_is_an_error():
    target = mask("phantom7:Limbic & lh")
    leverage = np.where(target, 100.0, 1.0) * ~fsaverage5.medial_wall()
    with pytest.raises(RegionError, match="patches of its size have 1% to 1% of its leverage"):
        control("leverage", target, 0, 7, leverage=leverage)


def test_leverage_must_be_given_and_needs_the_surface_as_spins_do(response):
    with pytest.raises(ParameterError, match="needs each vertex's leverage"):
        Ablate(region="phantom7:Vis", fill="zero", control="leverage")(response)
    for kind, why in (("spin", "turns the sphere"), ("leverage", "what the adapter takes")):
        with pytest.raises(SpaceError, match=f"'{kind}' .*{why}.*in voxels use control: patch"):
            Ablate(region="roi:V1", fill="zero", control=kind)(voxels(3, 1))


def test_leverage_is_squared_weight_times_variance():
    pairs = respond(15, 3)
    target = voxels(15, 3)
    fitted = Ridge(alpha=5.0).fit(pairs, target)
    found = Leverage()(fitted)["leverage"].values
    vertices = np.array([100, 5000, 15000])
    shown = respond(2, 9).isel(stimulus=[0, 0, 0, 0]).assign_coords(stimulus=list("abcd"))
    shown["bold"].values[[1, 2, 3], vertices] += 1  # one vertex each: its column of weights
    moved = Ridge(alpha=5.0)(shown, fitted)["bold"].values
    expected = ((moved[1:] - moved[0]) ** 2).sum(1) * pairs["bold"].values[:, vertices].var(0)
    np.testing.assert_allclose(found[vertices], expected, rtol=1e-2)
    assert (found[fsaverage5.medial_wall()] == 0).all()
