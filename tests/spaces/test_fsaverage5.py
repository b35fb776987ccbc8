from __future__ import annotations

import numpy as np
import pytest

from insilico.errors import SpaceError
from insilico.spaces import fsaverage5, nsd


def test_mesh_is_two_closed_spheres():
    _, faces = fsaverage5.mesh("pial")
    edges = fsaverage5.neighbours().nnz // 2
    assert fsaverage5.N_VERTICES - edges + len(faces) == 4  # Euler: 2 for each hemisphere
    degrees = np.diff(fsaverage5.neighbours().indptr)
    assert set(degrees) == {5, 6}
    assert (degrees == 5).sum() == 24


def test_hemispheres_do_not_touch_and_lie_left_and_right():
    edges = fsaverage5.neighbours().tocoo()
    hemi = fsaverage5.hemisphere()
    assert (hemi[edges.row] == hemi[edges.col]).all()
    x = fsaverage5.mesh("pial")[0][:, 0]
    assert x[hemi == "L"].mean() < -20 < 20 < x[hemi == "R"].mean()


def test_areas_sum_to_the_surface():
    from importlib.resources import files

    from nilearn.surface import load_surf_mesh

    total = fsaverage5.areas().sum()
    assert (fsaverage5.areas() > 0).all()
    folder = files("nilearn") / "datasets" / "data" / "fsaverage5"
    white = load_surf_mesh(str(folder / "white_left.gii.gz"))
    a, b, c = (white.coordinates[white.faces[:, k]] for k in range(3))
    one = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert 2 * one < total < 2.6 * one  # the middle surface is larger than the white one


def test_medial_wall_is_one_medial_piece_a_hemisphere():
    from insilico.spaces.ground import surface

    wall = fsaverage5.medial_wall()
    pieces = surface().components(wall)
    assert len(pieces) == 2
    assert 700 < min(map(len, pieces)) <= max(map(len, pieces)) < 950
    assert np.abs(fsaverage5.mesh("white")[0][wall, 0]).max() < 45


def test_response_zeroes_the_wall_and_knows_its_places():
    bold = np.ones((2, fsaverage5.N_VERTICES), np.float32)
    response = fsaverage5.response(bold, ["a", "b"], units="session z")
    assert (response["bold"].values == ~fsaverage5.medial_wall()).all()
    fsaverage5.check_order(response)


def test_wrong_count_and_wrong_order_are_named():
    with pytest.raises(SpaceError, match=r"\(2, 20484\), got \(2, 327684\).*first 10,242"):
        fsaverage5.response(np.zeros((2, 327684)), ["a", "b"])
    bold = np.zeros((1, fsaverage5.N_VERTICES), np.float32)
    response = fsaverage5.response(bold, ["a"])
    flipped = response.isel(vertex=np.r_[10242:20484, 0:10242])
    with pytest.raises(SpaceError, match="wrong hemisphere order"):
        fsaverage5.check_order(flipped)
    moved = response.assign_coords(x=("vertex", -response["x"].values))
    with pytest.raises(SpaceError, match="x coordinates are not those"):
        fsaverage5.check_order(moved)


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        fsaverage5.areas()[0] = 1


def test_nsd_counts():
    assert nsd.name(1) == "nsd-subj01"
    assert sum(nsd.VOXELS.values()) == 116395
    with pytest.raises(SpaceError, match="15724 voxels; this response has 15000"):
        nsd.check_count(1, 15000)
    with pytest.raises(SpaceError, match="unknown NSD subject '9'"):
        nsd.name(9)
