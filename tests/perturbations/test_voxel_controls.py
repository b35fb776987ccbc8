"""Matched controls in voxels: on a grid as NSD's, and in the phantom's uneven ones."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from made_cortex import ABOUT

from insilico.errors import RegionError, SpaceError
from insilico.perturbations.ablate import Ablate, KeepOnly
from insilico.perturbations.stimulate import Stimulate
from insilico.phantom.recording import PhantomRecording
from insilico.spaces import fsaverage5
from insilico.spaces.controls import control
from insilico.spaces.ground import ground_of
from insilico.spaces.regions import mask

STEP = 1.8


def folded(seed=1):
    """Return responses of two sheets of voxels on a grid, two layers deep, with areas."""
    u, v, layer, side = np.indices((24, 18, 2, 2)).reshape(4, -1)
    fold = np.round(3 * np.sin(u / 4)).astype(int) + layer
    places = STEP * np.stack([np.where(side == 0, -5 - fold, 5 + fold), u, v], 1)
    roi = np.where((u < 8) & (v < 9), "V1", "")
    roi[(u > 15) & (np.abs(v - 9) > 3) & (side == 0)] = "V2"  # two pieces, on the left alone
    hemi, rng = np.where(side == 0, "L", "R"), np.random.default_rng(seed)
    coords = {axis: ("voxel", places[:, k].astype(np.float32)) for k, axis in enumerate("xyz")}
    coords |= {"hemi": ("voxel", hemi), "roi": ("voxel", roi), "stimulus": list("abc")}
    bold = rng.standard_normal((3, len(u))).astype(np.float32)
    return xr.Dataset({"bold": (("stimulus", "voxel"), bold)}, coords, {"space": "made", **ABOUT})


@pytest.fixture(scope="module")
def sheets():
    return reaching(folded())


@pytest.fixture(scope="module")
def phantom():
    return reaching(PhantomRecording(space="voxels").places())


def reaching(response):
    """Return a response that tells how far its neighbours are, by brute force."""
    nearest = []
    for index in (np.flatnonzero(response["hemi"].values == h) for h in "LR"):
        places = np.stack([response[axis].values[index] for axis in "xyz"], 1).astype(float)
        apart = ((places[:, None] - places) ** 2).sum(-1)
        np.fill_diagonal(apart, np.inf)
        nearest.append(np.sqrt(apart.min(1)))
    return response.assign_attrs(reach=1.75 * np.percentile(np.concatenate(nearest), 95))


def pieces(response, inside):
    """Return the sizes of the pieces of a mask by a search of its own."""
    places = np.stack([response[axis].values for axis in "xyz"], 1).astype(float)
    reach, sizes = response.attrs["reach"] + 1e-4, []
    for side in "LR":
        left = set(np.flatnonzero(inside & (response["hemi"].values == side)).tolist())
        while left:
            queue, size = [left.pop()], 0
            while queue:
                here, size = queue.pop(), size + 1
                rest = np.fromiter(left, int, len(left))
                far = np.linalg.norm(places[rest] - places[here], axis=-1)
                near = rest[far <= reach].tolist()
                left.difference_update(near)
                queue += near
            sizes.append(size)
    return sorted(sizes, reverse=True)


def require_matched(response, found, region):
    for side in "LR":
        here = response["hemi"].values == side
        assert (found & here).sum() == (region & here).sum()


@pytest.mark.parametrize("area", ["V1", "V2", "V1 | roi:V2"])
@pytest.mark.parametrize("index", [0, 1])
def test_patches_on_a_grid_match_piece_for_piece(sheets, area, index):
    region = mask(f"roi:{area}", of=sheets)
    found = control("patch", region, index, 7, ground=ground_of(sheets))
    require_matched(sheets, found.mask, region)
    assert not (found.mask & region).any()
    assert pieces(sheets, found.mask) == pieces(sheets, region)
    assert found.area == 1


@pytest.mark.parametrize("area", ["V1", "V2", "roi:V1 | roi:V2 | roi:V3", "floc-faces:any"])
def test_patches_in_the_phantom_match_piece_for_piece(phantom, area):
    region = mask(area, atlas="roi", of=phantom)
    found = control("patch", region, 0, 7, ground=ground_of(phantom)).mask
    require_matched(phantom, found, region)
    assert not (found & region).any()
    assert pieces(phantom, found) == pieces(phantom, region)


def test_random_voxels_are_scattered_and_as_many(sheets):
    region = mask("roi:V1", of=sheets)
    found = control("vertices", region, 0, 7, ground=ground_of(sheets)).mask
    require_matched(sheets, found, region)
    assert not (found & region).any()
    assert len(pieces(sheets, found)) > 5 * len(pieces(sheets, region))


@pytest.mark.parametrize("kind", ["vertices", "patch"])
def test_controls_are_shared_by_spellings_and_differ_by_seed_number_and_place(sheets, kind):
    ground, region = ground_of(sheets), mask("roi:V1", of=sheets)
    first = control(kind, region, 0, 7, ground=ground)
    same = mask("V1 - roi:V2", atlas="roi", of=sheets)
    assert control(kind, same, 0, 7, ground=ground_of(sheets.copy(deep=True))).mask is first.mask
    assert not np.array_equal(first.mask, control(kind, region, 0, 8, ground=ground).mask)
    second = control(kind, region, 1, 7, ground=ground)
    assert second.shared == 0
    assert not (first.mask & second.mask).any()
    moved = sheets.isel(voxel=slice(None, None, -1))  # other voxels under the same mask
    turned = control("patch", region, 0, 7, ground=ground_of(moved)).mask
    assert not np.array_equal(turned, control("patch", region, 0, 7, ground=ground).mask)


def test_random_voxels_take_of_the_region_only_where_room_lacks(sheets):
    ground, small = ground_of(sheets), mask("roi:V1", of=sheets)
    assert not (control("vertices", small, 0, 7, 0.9, ground=ground).mask & small).any()
    large = ~small
    with pytest.raises(RegionError, match="beside it there are 144 left and 144 right"):
        control("vertices", large, 0, 7, ground=ground)
    found = control("vertices", large, 0, 7, 0.9, ground=ground).mask
    require_matched(sheets, found, large)
    share = (found & large).sum() / large.sum()
    assert share == pytest.approx(large.mean(), abs=0.03)  # as any voxels would
    least = 1 - small.sum() / large.sum()
    with pytest.raises(RegionError):
        control("vertices", large, 0, 7, least - 0.02, ground=ground)
    tight = control("vertices", large, 0, 7, least + 0.02, ground=ground).mask
    assert least <= (tight & large).sum() / large.sum() <= least + 0.02


def test_a_patch_that_cannot_fit_says_how_large_the_largest_is(sheets):
    region = mask("cortex - roi:V1", of=sheets)
    says = "no control 'patch' of 1440 voxels .*the largest contiguous piece beside it has 144 left"
    with pytest.raises(RegionError, match=says):
        control("patch", region, 0, 7, ground=ground_of(sheets))


def test_a_region_that_is_empty_or_lies_elsewhere_is_refused(sheets):
    region = mask("roi:V1", of=sheets)
    with pytest.raises(RegionError, match="the region is empty"):
        control("patch", region & ~region, 0, 7, ground=ground_of(sheets))
    with pytest.raises(SpaceError, match="1728 places, and 20484 vertices .*ground_of"):
        control("patch", region, 0, 7)
    with pytest.raises(RegionError, match="holds no"):
        Ablate(region="roi:V1 & roi:V2", fill="zero", control="patch")(sheets)


@pytest.mark.parametrize("kind", ["vertices", "patch"])
def test_every_step_acts_on_the_control(sheets, kind):
    region = mask("roi:V1", of=sheets)
    more = {"region": "roi:V1", "control": kind, "seed": 7}
    found = control(kind, region, 0, 7, ground=ground_of(sheets)).mask
    lesioned = Ablate(fill="zero", **more)(sheets)
    assert np.array_equal((lesioned["bold"].values != sheets["bold"].values).any(0), found)
    kept = KeepOnly(fill="zero", **more)(sheets)
    assert np.array_equal((kept["bold"].values != 0).any(0), found)
    raised = Stimulate(dose=2, **more)(sheets)
    np.testing.assert_allclose(
        raised["bold"].values - sheets["bold"].values, [2.0 * found] * 3, atol=1e-6
    )
    told = lesioned.attrs
    assert told["control"] == f"{kind} 0"
    assert told["perturbed_places"] == region.sum()
    assert (told["control_area"], told["control_overlap"]) == (1, 0)


def test_medial_wall_is_no_place_for_a_control(phantom):
    wall = np.flatnonzero(fsaverage5.medial_wall())[:40]
    vertex = phantom["vertex"].values.copy()
    region = phantom["roi"].values == "V1"
    lost = np.random.default_rng(0).permutation(np.flatnonzero(~region))[:40]
    vertex[lost] = wall
    ground = ground_of(phantom.assign_coords(vertex=("voxel", vertex)))
    for kind in ("vertices", "patch"):
        assert not control(kind, region, 0, 7, ground=ground).mask[lost].any()


def test_without_a_place_or_a_side_there_is_no_control(sheets):
    step = Ablate(region="roi:V1", fill="zero", control="patch")
    for name, value in (("x", np.nan), ("hemi", "")):
        lost = sheets.copy(deep=True)
        lost[name].values[:] = value
        with pytest.raises(SpaceError, match=r"1728 of 1728 lack them.*give the response its mask"):
            step(lost)
        assert "control" in Ablate(region="roi:V1", fill="zero")(lost).attrs  # a lesion needs none
