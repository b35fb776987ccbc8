"""Voxels know their place, and can be written into another mask over the same volume."""

from __future__ import annotations

import numpy as np
import pytest
from made_responses import AFFINE, SAID, in_voxels, mask, table

from insilico.errors import SpaceError
from insilico.schema import check
from insilico.spaces.responses import volumes


def of_mask(inside, bold=None, affine=AFFINE, ids=("a", "b")):
    bold = table(len(ids), int(inside.sum()), seed=int(inside.sum())) if bold is None else bold
    return volumes.response(bold, ids, inside, affine, space="func", source="test", **SAID)


def test_voxels_follow_the_c_order_of_their_mask():
    volume = np.arange(5 * 6 * 4, dtype=np.float32).reshape(5, 6, 4)
    found = of_mask(mask(), np.stack([volume[mask()], -volume[mask()]]))
    assert (found["bold"].values[0] == found["voxel"].values).all()
    check(found, "response", space="func")
    ijk = np.argwhere(mask())
    np.testing.assert_allclose(found["x"], 1.8 * ijk[:, 0] - 4.1, rtol=1e-5)
    np.testing.assert_allclose(found["z"], 1.8 * ijk[:, 2] - 45.7, rtol=1e-5)
    assert ((found["hemi"] == "L") == (found["x"] < 0)).all()


def test_minus_one_is_outside_as_in_nsds_masks():
    marked = np.where(mask(), 1, -1).astype(np.int16)
    assert (volumes.checked_mask(marked) == mask()).all()


@pytest.mark.parametrize(
    ("inside", "affine", "message"),
    [
        (np.ones((5, 6)), AFFINE, r"is float64 \(5, 6\)"),
        (2 * mask().astype(int), AFFINE, "this one holds 0, 2"),
        (np.zeros((5, 6, 4)), AFFINE, "the mask holds no voxel"),
        (mask().astype(str), AFFINE, "this one is <U5"),
        (mask(), AFFINE[:3], r"4 × 4 finite numbers; got float64 \(3, 4\)"),
        (mask(), np.full((4, 4), np.nan), "4 × 4 finite"),
        (mask(), np.diag([0.0, 1, 1, 1]), "cannot be inverted"),
        (mask(), np.diag([1.0, 1, 1, 2]), "last row is not 0 0 0 1"),
    ],
)
def test_what_is_no_mask_or_affine_is_refused(inside, affine, message):
    bold = table(2, int(mask().sum()))
    with pytest.raises(SpaceError, match=message):
        volumes.response(bold, ["a", "b"], inside, affine, space="func", source="test", **SAID)


def test_the_wrong_number_of_voxels_and_other_volumes_are_refused():
    with pytest.raises(SpaceError, match=r"bold of shape \(2, 9\) does not fit 2 stimuli and the"):
        of_mask(mask(), table(2, 9))
    with pytest.raises(SpaceError, match="different places of a volume"):
        volumes.geometry(in_voxels().assign_attrs(volume_shape=[2, 2, 2]))
    with pytest.raises(SpaceError, match=r"4 × 4 finite numbers; got float64 \(3,\)"):
        volumes.geometry(in_voxels().assign_attrs(affine=[1.0, 2, 3]))
