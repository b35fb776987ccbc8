"""Voxels as a ground: who is whose neighbour, and what every voxel must say of itself."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from made_responses import in_voxels

from insilico.errors import SpaceError
from insilico.phantom.recording import PhantomRecording
from insilico.spaces import fsaverage5
from insilico.spaces.ground import ground_of, surface


def grid(shape=(6, 5, 4), sizes=(1.8, 1.8, 1.8), turned=False):
    """Return the voxels of a block in two halves, and their positions in it."""
    at = np.argwhere(np.ones(shape, bool))
    places = (at - np.array(shape) / 2 + 0.25) * sizes
    if turned:
        places = places @ np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    return placed(places, np.where(at[:, 0] < shape[0] // 2, "L", "R")), at


def placed(places, hemi):
    coords = {axis: ("voxel", places[:, k].astype(np.float32)) for k, axis in enumerate("xyz")}
    coords |= {"hemi": ("voxel", hemi), "voxel": np.arange(len(hemi))}
    return xr.Dataset(coords=coords, attrs={"space": "made"})


@pytest.mark.parametrize("sizes", [(1.8, 1.8, 1.8), (1.0, 1.0, 1.0), (2.0, 2.0, 2.4)])
@pytest.mark.parametrize("turned", [False, True])
def test_neighbours_on_a_grid_share_a_side_an_edge_or_a_corner(sizes, turned):
    voxels, at = grid(sizes=sizes, turned=turned)
    near, hemi = ground_of(voxels).neighbours.toarray(), voxels["hemi"].values
    apart = np.abs(at[:, None] - at)
    corners = (apart.sum(-1) == 3) if sizes[2] > sizes[0] else np.zeros(near.shape, bool)
    touch = (apart.max(-1) == 1) & (hemi[:, None] == hemi) & ~corners  # 3.7 mm: beyond 1.75 × 2
    assert np.array_equal(near > 0, touch)
    assert (hemi[:, None] != hemi)[apart.max(-1) == 1].any()  # halves touch, and are no neighbours
    true = np.linalg.norm(apart * sizes, axis=-1)
    np.testing.assert_allclose(near[near > 0], true[near > 0], atol=1e-4)


def test_the_phantoms_voxels_hang_together_as_its_cortex_does():
    voxels = PhantomRecording(space="voxels").places()
    ground, roi, vertex = ground_of(voxels), voxels["roi"].values, voxels["vertex"].values
    for areas, within in ((["V1"], 0), (["V2"], 0), (["V1", "V2", "V3"], 0)):
        here = np.isin(roi, areas)
        cortex = np.zeros(fsaverage5.N_VERTICES, bool)
        cortex[vertex[here]] = True
        pieces = [len(part) - within for part in ground.components(here)]
        assert pieces == [len(part) for part in surface().components(cortex)]
    assert len(ground.components(np.ones(len(roi), bool))) == 2


def test_order_and_unit_do_not_matter():
    voxels, _ = grid(turned=True)
    order = np.random.default_rng(1).permutation(voxels.sizes["voxel"])
    near = ground_of(voxels).neighbours.toarray()
    assert np.array_equal(
        ground_of(voxels.isel(voxel=order)).neighbours.toarray() > 0, near[order][:, order] > 0
    )
    larger = placed(1000 * np.stack([voxels[a].values for a in "xyz"], 1), voxels["hemi"].values)
    assert np.array_equal(ground_of(larger).neighbours.toarray() > 0, near > 0)


def test_grounds_are_made_once_and_differ_where_voxels_do():
    voxels, _ = grid()
    other = voxels.assign_coords(x=voxels["x"] * 1.5)
    assert ground_of(voxels) is ground_of(voxels.copy(deep=True))
    assert ground_of(voxels) is not ground_of(other)
    assert ground_of(None) is surface()


@pytest.mark.parametrize(
    ("of", "values", "says"),
    [
        ("x", np.nan, r"x, y, z in mm and hemi of every voxel; 2 of 120 lack them \(3, 4\)"),
        ("hemi", "", "2 of 120 lack them .* give the response its mask and affine"),
        ("y", None, r"2 of 120 lie at the place of another \(as 2, 4 does\)"),
    ],
)
def test_voxels_that_do_not_know_where_they_are_have_no_ground(of, values, says):
    voxels, _ = grid()
    if values is None:
        for axis in "xyz":
            voxels[axis].values[[3, 5]] = voxels[axis].values[[2, 4]]
    else:
        voxels[of].values[[3, 4]] = values
    with pytest.raises(SpaceError, match=says):
        ground_of(voxels)


def test_another_surface_has_no_ground():
    voxels, _ = grid()
    with pytest.raises(SpaceError, match="lies on the vertices of fsLR"):
        ground_of(voxels.rename(voxel="vertex").assign_attrs(space="fsLR"))


def test_few_voxels_are_a_ground_too():
    inside = ground_of(in_voxels())  # half of a volume of 120, at random
    assert len(inside.hemi) == in_voxels().sizes["voxel"]
    alone = placed(np.array([[-1.0, 0, 0], [1.0, 0, 0]]), np.array(["L", "R"]))
    assert ground_of(alone).neighbours.nnz == 0
    assert len(ground_of(alone).components(np.ones(2, bool))) == 2
