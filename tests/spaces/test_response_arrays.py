"""Unlabelled arrays become responses only when their order is said; rows keep their clock."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from made_responses import SAID, on_cortex, table

import insilico as isi
from insilico.errors import InsilicoError, ParameterError, SchemaError, SpaceError, StoreError
from insilico.schema import check
from insilico.spaces import fsaverage5
from insilico.spaces.responses.rows import as_rows, at_acquisition, mean_rows

WALL = fsaverage5.medial_wall()
HALF = 10242


def walled(n=3):
    """An array whose medial wall is zero, left first, as TRIBE v2's users mask it."""
    bold = table(n)
    bold[:, WALL] = 0
    return bold


def swapped(bold):
    return np.roll(bold, HALF, axis=1)


# --- order ----------------------------------------------------------------------------------------


def test_either_order_gives_the_same_response():
    bold = walled()
    labels = {"stimuli": ["a", "b", "c"], **SAID}
    left = isi.from_array(bold, order="lh,rh", **labels)
    right = isi.from_array(swapped(bold), order="rh,lh", **labels)
    halves = isi.from_array((bold[:, :HALF], bold[:, HALF:]), **labels)
    for response in (left, right, halves):
        assert (response["bold"].values.view(np.uint32) == bold.view(np.uint32)).all()
        assert response["stimulus"].values.tolist() == ["a", "b", "c"]
        fsaverage5.check_order(response)
        check(response, "response", space="fsaverage5")


def test_no_order_is_refused():
    with pytest.raises(
        ParameterError, match=r"unknown order of the hemispheres 'None'; one of: lh"
    ):
        isi.from_array(table(), stimuli=["a", "b", "c"], **SAID)
    with pytest.raises(
        ParameterError, match=r"'lhrh'; one of: lh,rh, rh,lh \(did you mean 'lh,rh'"
    ):
        isi.from_array(table(), order="lhrh", stimuli=["a", "b", "c"], **SAID)


@pytest.mark.parametrize("order", ["lh,rh", "rh,lh"])
def test_the_wrong_order_is_seen_where_the_wall_is_zero(order):
    bold = walled() if order == "rh,lh" else swapped(walled())
    with pytest.raises(SpaceError, match=f"wrong hemisphere order: said to be '{order}', but"):
        isi.from_array(bold, order=order, stimuli=["a", "b", "c"], **SAID)
    with pytest.raises(SpaceError, match="wrong hemisphere order"):
        isi.from_array(np.split(bold, 2, axis=1), order=order, stimuli=["a", "b", "c"], **SAID)


def test_fsaverage_keeps_the_nested_vertices_of_either_side():
    bold = table(2, 2 * 163842)
    found = isi.from_array(bold, order="lh,rh", stimuli=["a", "b"], **SAID)["bold"].values
    expected = np.hstack([bold[:, :HALF], bold[:, 163842 : 163842 + HALF]])
    assert (found[:, ~WALL] == expected[:, ~WALL]).all()
    assert (found[:, WALL] == 0).all()


def test_nested_vertices_are_the_same_places():
    from nilearn.datasets import load_fsaverage

    coarse = fsaverage5.mesh("sphere")[0][:HALF]  # the rule, on meshes that nilearn ships
    pial = load_fsaverage("fsaverage5")["pial"].parts["left"].coordinates
    np.testing.assert_array_equal(fsaverage5.mesh("pial")[0][:HALF], pial)
    fsaverage4 = coarse[:2562]
    edges = np.linalg.norm(fsaverage4[:, None] - fsaverage4[None, :200], axis=2)
    nearest = np.sort(edges, axis=0)[1]
    assert nearest.min() > 0.8 * nearest.max() > 5  # a coarser icosahedron, not a random subset


# --- mistakes -------------------------------------------------------------------------------------


def with_value(value):
    bold = table()
    bold[1, 5] = value
    return bold


@pytest.mark.parametrize(
    ("bold", "error", "message"),
    [
        (table(3, 20483), SpaceError, "20484 columns .*; this one has 20483"),
        (table(3, 64984), SpaceError, "this one has 64984"),
        ((table(3, HALF), table(3, 32492)), SpaceError, "this one has 32492; other meshes"),
        ((table(3, HALF), table(2, HALF)), SchemaError, "hemispheres of 3 and 2 items"),
        (table(3).ravel(), SchemaError, r"shape \(item, place\).*; is float32 .61452"),
        (table(3)[None, None], SchemaError, r"is float32 \(1, 1, 3, 20484\)"),
        (np.stack([table(2)] * 2), SchemaError, r"2 repeats of 2 items, .* 3 values of stimulus"),
        (table(3)[:0], SchemaError, r"is float32 \(0, 20484\)"),
        (table(3) + 0j, SchemaError, "must be real numbers .* is complex64"),
        (table(3).astype(str), SchemaError, "must be real numbers .* is <U"),
        (table(3) > 0, SchemaError, "must be real numbers .* is bool"),
        (table(3).astype(object), SchemaError, "must be real numbers .* is object"),
        (with_value(np.nan), SchemaError, "NaN or infinite values .* in items 1, at 1 places"),
        (with_value(np.inf), SchemaError, "NaN or infinite values .* in items 1"),
        (with_value(1).astype(float) * 1e200, SchemaError, "in items 0, 1, 2"),
        (np.zeros((3, 20484)), SchemaError, "constant over all places in items 0, 1, 2"),
        (np.repeat(table(1), 3, axis=0), SchemaError, "all 3 items have the same response"),
    ],
)
def test_an_array_that_is_no_response_is_refused(bold, error, message):
    with pytest.raises(error, match=message):
        isi.from_array(bold, order="lh,rh", stimuli=["a", "b", "c"], **SAID)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"stimuli": ["a", "b"]}, "bold has 3 items, but there are 2 values of stimulus"),
        ({"stimuli": ["a", "b", "a"]}, "stimulus ids repeat: a"),
        ({"stimuli": "abc"}, "stimuli= is a list of ids"),
        ({"timeline": "film"}, "rows need timeline= and time="),
        ({}, "the items have no labels"),
        ({"stimuli": ["a", "b", "c"], "space": "fsaverage"}, "fsaverage5's, not those of fsav"),
        ({"timeline": "film", "time": [0, 1]}, "bold has 3 items, but there are 2 values of"),
        ({"timeline": "film", "time": ["x", "y", "z"]}, "must be numbers of seconds"),
    ],
)
def test_wrong_labels_are_refused(labels, message):
    with pytest.raises(InsilicoError, match=message):
        isi.from_array(table(), order="lh,rh", **{**SAID, **labels})


# --- voxels of one's own --------------------------------------------------------------------------


def test_voxels_of_ones_own_need_a_name_and_no_coordinates():
    bold = np.random.default_rng(0).standard_normal((4, 3000))  # float64, any number of voxels
    ids = ["a", "b", "c", "d"]
    found = isi.from_array(bold, space="my-roi", stimuli=ids, **SAID)
    assert found["bold"].dims == ("stimulus", "voxel")
    np.testing.assert_array_equal(found["bold"], bold.astype(np.float32))
    assert found.attrs["space"] == "my-roi"
    assert set(found["hemi"].values) == {""}
    assert np.isnan(found["x"].values).all()
    coords = {"hemi": ["L"] * 3000, "x": np.arange(3000), "roi": ["V1"] * 3000}
    known = isi.from_array(bold, space="my-roi", stimuli=ids, coords=coords, **SAID)
    assert known["x"].values[-1] == 2999
    assert set(known["roi"].values) == {"V1"}
    check(known, "response", space="my-roi")


def test_repeats_come_first():
    rng = np.random.default_rng(0)
    three = rng.standard_normal((3, 2, 50))
    found = isi.from_array(three, space="mine", stimuli=["a", "b"], **SAID)
    assert found["bold"].dims == ("repeat", "stimulus", "voxel")
    np.testing.assert_array_equal(found["bold"], three.astype(np.float32))
    cortex = np.stack([table(3), -table(3)])
    found = isi.from_array(cortex, order="lh,rh", stimuli=["a", "b", "c"], **SAID)
    assert found["bold"].dims == ("repeat", "stimulus", "vertex")
    assert (found["bold"].values[..., ~WALL] == cortex[..., ~WALL]).all()
    fsaverage5.check_order(found)


def test_all_that_is_not_said_is_named_at_once():
    with pytest.raises(ParameterError) as error:
        isi.from_array(np.ones((2, 30)), subject="me")
    for word in ("order='lh,rh'", "space='...'", "stimuli=", "units=", "hemodynamic_offset_s="):
        assert word in str(error.value), word
    assert "subject='sub" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        ({"order": "lh,rh"}, SpaceError, r"has 30; voxels of your own need space="),
        ({"space": "mine", "order": "lh,rh"}, ParameterError, "are fsaverage5's; space is 'mine'"),
        ({"order": "lh,rh", "coords": {"x": [0]}}, ParameterError, "coords= .x. are of voxels"),
        ({"space": "mine", "coords": {"x": [0]}}, SchemaError, r"30 voxels; coords\['x'\] .* \(1,"),
        ({"space": "mine", "coords": {"x": ["0"] * 30}}, SchemaError, "are numbers, in mm"),
        ({"space": "mine", "coords": {"hemi": ["l"] * 30}}, SchemaError, "hemi must be 'L' or 'R'"),
        ({"space": "mine", "stimuli": ["a"]}, SchemaError, "3 items, but there are 1 values"),
    ],
)
def test_voxels_that_are_wrong_are_refused(more, error, message):
    bold = np.random.default_rng(0).standard_normal((3, 30))
    with pytest.raises(error, match=message):
        isi.from_array(bold, **{"stimuli": ["a", "b", "c"], **SAID, **more})


# --- array files ----------------------------------------------------------------------------------


def test_npz_of_two_hemispheres_and_of_one_array(tmp_path):
    bold = walled()
    np.savez(tmp_path / "two.npz", lh=bold[:, :HALF], rh=bold[:, HALF:], extra=np.arange(3))
    np.savez(tmp_path / "one.npz", preds=bold)
    np.savez(tmp_path / "many.npz", preds=bold, truth=bold)
    labels = {"stimuli": ["a", "b", "c"], **SAID}
    two = isi.read_response(tmp_path / "two.npz", **labels)
    one = isi.read_response(tmp_path / "one.npz", order="lh,rh", **labels)
    assert (two["bold"].values == bold).all()
    assert (one["bold"].values == bold).all()
    with pytest.raises(SchemaError, match=r"many\.npz: needs the arrays .*; has preds, truth"):
        isi.read_response(tmp_path / "many.npz", order="lh,rh", **labels)


@pytest.mark.parametrize("dtype", [">f4", "<f8", "<f2", "<i2"])
def test_other_number_types_are_read_as_float32(tmp_path, dtype):
    bold = np.round(np.clip(walled(), -50, 50)).astype(dtype)
    np.save(tmp_path / "r.npy", np.asfortranarray(bold))
    found = isi.read_response(tmp_path / "r.npy", order="lh,rh", stimuli=["a", "b", "c"], **SAID)
    assert found["bold"].dtype == np.float32
    assert (found["bold"].values == bold.astype(np.float32)).all()


class Bomb:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("name", ["r.npy", "r.npz"])
def test_pickles_are_refused_and_not_executed(tmp_path, capsys, name):
    held = np.array([Bomb()], dtype=object)
    if name.endswith("npz"):
        np.savez(tmp_path / name, bold=held)
    else:
        np.save(tmp_path / name, held)
    with pytest.raises(StoreError, match="holds pickled Python objects"):
        isi.read_response(tmp_path / name, order="lh,rh", stimuli=["a"], **SAID)
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x80\x04]."])
@pytest.mark.parametrize("name", ["r.npy", "r.npz"])
def test_broken_array_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StoreError, match=rf"{name}: "):
        isi.read_response(tmp_path / name, order="lh,rh", stimuli=["a"], **SAID)


# --- rows -----------------------------------------------------------------------------------------

NAMES, TIMES = ["b", "b", "a", "c", "c"], [12.2, 13.2, 0, 0, 2]


def rows():
    return isi.from_array(table(5), order="lh,rh", timeline=NAMES, time=TIMES, **SAID)


def test_rows_are_labelled_by_timeline_and_time():
    found = rows()
    assert found["bold"].dims == ("row", "vertex")
    assert found["timeline"].values.tolist() == NAMES
    assert found["time"].values.tolist() == TIMES
    check(found, "response", rows=True)


def test_the_mean_of_rows_is_the_mean_of_each_timeline():
    found = mean_rows(rows())
    bold = rows()["bold"].values.astype(float)
    expected = [bold[:2].mean(0), bold[2], bold[3:].mean(0)]
    assert found["stimulus"].values.tolist() == ["b", "a", "c"]
    assert found["n_rows"].values.tolist() == [2, 1, 2]
    np.testing.assert_array_equal(found["bold"], np.float32(expected))
    check(found, "response", space="fsaverage5")
    assert mean_rows(found) is found
    two = xr.concat([rows(), rows()], xr.Variable("repeat", [0, 1]))
    np.testing.assert_array_equal(mean_rows(two)["bold"][1], found["bold"])


@pytest.mark.parametrize(
    ("timeline", "time", "message"),
    [
        (["a", "b", "a"], [0, 0, 1], "two timelines are called a"),
        (["a", "a", "a"], [0, 1, 1], "two timelines are called a, or their rows are not in order"),
        (["a", "a", "a"], [0, 2, 1], "two timelines are called a, or their rows are not in order"),
        (["a", "a", ""], [0, 1, 0], "rows without a timeline: 2"),
        (["a", "a", "a"], [0, np.nan, 1], "rows without a time: 1"),
        (["a", "a"], [0, 1], "3 rows of bold, but 2 timelines and 2 times"),
    ],
)
def test_wrong_rows_are_refused(timeline, time, message):
    with pytest.raises(SchemaError, match=message):
        as_rows(on_cortex().drop_vars(["split", "shown"]), timeline, time)


def test_the_hemodynamic_offset_is_applied_once():
    found = rows().assign_attrs(hemodynamic_offset_s=5.0)
    shifted = at_acquisition(found)
    np.testing.assert_allclose(shifted["time"], found["time"] + 5)
    assert shifted.attrs["hemodynamic_offset_s"] == 5.0
    with pytest.raises(SchemaError, match="offset of 5 s was applied before"):
        at_acquisition(shifted)
    with pytest.raises(SchemaError, match="no rows"):
        at_acquisition(on_cortex())


def test_the_clock_survives_a_file(tmp_path):
    isi.write_response(
        at_acquisition(rows().assign_attrs(hemodynamic_offset_s=5.0)), tmp_path / "r.npy"
    )
    with pytest.raises(SchemaError, match="was applied before"):
        at_acquisition(isi.read_response(tmp_path / "r.npy"))
