"""Responses survive the field's formats bit for bit; other programs read them the same way."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
import xarray as xr
from made_responses import AFFINE, SAID, in_voxels, mask, on_cortex, table
from nibabel.cifti2 import BrainModelAxis, ScalarAxis, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiMetaData
from nilearn.surface import load_surf_data

import insilico as isi
from insilico.errors import InsilicoError, ParameterError, SchemaError, SpaceError, StoreError
from insilico.spaces import fsaverage5
from insilico.spaces.responses.rows import as_rows

CORTEX_FILES = ("r.func.gii", "lh.r.gii", "r.dscalar.nii", "r.npy")
IDS = ["coco73k-00000", "coco73k-00001", "coco73k-00002"]


def in_rows():
    rows = as_rows(
        on_cortex(4).drop_vars(["split", "shown"]),
        ["b", "b", "b", "a"],
        [12.213, 13.213, 14.213, 0],
    )
    return rows.assign_coords(window=("row", [0, 0, 0, 0]))


def bits(response):
    return response["bold"].values.view(np.uint32)


@pytest.mark.parametrize("name", CORTEX_FILES)
@pytest.mark.parametrize("make", [on_cortex, in_rows])
def test_a_response_survives_bit_for_bit(tmp_path, name, make):
    response = make()
    written = isi.write_response(response, tmp_path / name)
    again = isi.read_response(tmp_path / name)
    xr.testing.assert_identical(again, response)
    assert (bits(again) == bits(response)).all()
    assert sorted(written) == sorted(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["r.nii.gz", "r.nii"])
def test_voxels_survive_bit_for_bit(tmp_path, name):
    response = in_voxels()
    isi.write_response(response, tmp_path / name)
    again = isi.read_response(tmp_path / name)
    xr.testing.assert_identical(again, response)
    assert (bits(again) == bits(response)).all()


def test_a_single_item_and_rows_of_voxels_survive(tmp_path):
    rows = as_rows(in_voxels(3), ["a", "a", "b"], [0.1, 1.1, 0])
    for name, response in (("r.nii.gz", in_voxels(1)), ("r.gii", on_cortex(1)), ("v.nii", rows)):
        isi.write_response(response, tmp_path / name)
        xr.testing.assert_identical(isi.read_response(tmp_path / name), response)


def test_a_surface_image_survives_bit_for_bit():
    response = on_cortex()
    image = isi.to_surface_image(response)
    assert (image.data.parts["left"] == response["bold"].values[:, :10242].T).all()
    assert (image.mesh.parts["right"].coordinates == fsaverage5.mesh()[0][10242:]).all()
    again = isi.from_surface_image(image, stimuli=IDS, source="test", **SAID)
    xr.testing.assert_identical(again, response.drop_vars(["split", "shown"]))
    assert (bits(again) == bits(response)).all()


# --- other programs -------------------------------------------------------------------------------


def test_nilearn_reads_our_gifti(tmp_path):
    response = on_cortex()
    isi.write_response(response, tmp_path / "r.func.gii")
    halves = [load_surf_data(tmp_path / f"r_hemi-{side}.func.gii") for side in "LR"]
    assert (response["bold"].values == np.concatenate(halves).T).all()


def test_nibabel_reads_our_cifti(tmp_path):
    response = on_cortex()
    isi.write_response(response, tmp_path / "r.dscalar.nii")
    image = nibabel.load(tmp_path / "r.dscalar.nii")
    names, axis = (image.header.get_axis(k) for k in (0, 1))
    assert list(names.name) == IDS
    full = np.zeros((3, 20484), np.float32)
    for structure, columns, part in axis.iter_structures():
        places = part.vertex + (10242 if structure.endswith("RIGHT") else 0)
        full[:, places] = np.asarray(image.dataobj)[:, columns]
    assert (full == response["bold"].values).all()


def test_nibabel_reads_our_volume(tmp_path):
    response = in_voxels()
    isi.write_response(response, tmp_path / "r.nii.gz")
    image, inside = (nibabel.load(tmp_path / name) for name in ("r.nii.gz", "r_mask.nii.gz"))
    found = np.asarray(image.dataobj)[np.asarray(inside.dataobj) == 1].T
    assert (found == response["bold"].values).all()
    assert (np.asarray(image.dataobj)[np.asarray(inside.dataobj) == 0] == 0).all()
    voxel = response.isel(voxel=7)
    place = np.unravel_index(int(voxel["voxel"]), (5, 6, 4))
    expected = nibabel.affines.apply_affine(AFFINE, place)
    np.testing.assert_allclose([voxel["x"], voxel["y"], voxel["z"]], expected, rtol=1e-6)
    assert voxel["hemi"] == ("L" if expected[0] < 0 else "R")


def _gifti(path, half, side=None):
    meta = GiftiMetaData({"AnatomicalStructurePrimary": side}) if side else None
    arrays = [GiftiDataArray(row, datatype="float32") for row in half]
    nibabel.save(GiftiImage(darrays=arrays, meta=meta), path)


@pytest.mark.parametrize("names", [("lh.a.gii", "rh.a.gii"), ("s.L.func.gii", "s.R.func.gii")])
def test_gifti_of_fsaverage_from_others_keeps_the_nested_vertices(tmp_path, names):
    halves = [table(2, 163842, seed=k) for k in (0, 1)]
    for name, half in zip(names, halves, strict=True):
        _gifti(tmp_path / name, half)
    for name in names:
        found = isi.read_response(tmp_path / name, stimuli=["a", "b"], **SAID)
        expected = np.hstack([half[:, :10242] for half in halves])
        expected[:, fsaverage5.medial_wall()] = 0
        assert (found["bold"].values == expected).all()


def test_a_time_series_from_others_knows_its_times(tmp_path):
    axis = sum(
        (
            BrainModelAxis.from_mask(np.ones(10242, bool), f"CIFTI_STRUCTURE_CORTEX_{side}")
            for side in ("RIGHT",)
        ),
        BrainModelAxis.from_mask(np.ones(10242, bool), "CIFTI_STRUCTURE_CORTEX_LEFT"),
    )
    bold = table(4)
    nibabel.save(
        nibabel.Cifti2Image(bold, (SeriesAxis(10, 2, 4), axis)), tmp_path / "r.dtseries.nii"
    )
    found = isi.read_response(tmp_path / "r.dtseries.nii", timeline="film", **SAID)
    assert found["time"].values.tolist() == [10, 12, 14, 16]
    cortex = fsaverage5.cortex()
    assert (found["bold"].values[:, cortex] == bold[:, cortex]).all()


# --- mistakes -------------------------------------------------------------------------------------


def test_gifti_hemispheres_swapped_are_refused(tmp_path):
    isi.write_response(on_cortex(), tmp_path / "r.func.gii")
    left, right = (tmp_path / f"r_hemi-{side}.func.gii" for side in "LR")
    left.rename(tmp_path / "x")
    right.rename(left)
    (tmp_path / "x").rename(right)
    with pytest.raises(SpaceError, match=r"taken for CortexLeft, but the file says CortexRight"):
        isi.read_response(tmp_path / "r.func.gii")


def test_a_surface_image_with_parts_swapped_is_refused():
    from nilearn.surface import PolyMesh, SurfaceImage

    image = isi.to_surface_image(on_cortex())
    mesh = PolyMesh(left=image.mesh.parts["right"], right=image.mesh.parts["left"])
    parts = {"left": image.data.parts["right"], "right": image.data.parts["left"]}
    with pytest.raises(SpaceError, match="'left' lies to the right"):
        isi.from_surface_image(SurfaceImage(mesh, parts), stimuli=IDS, **SAID)


def test_a_surface_image_of_one_hemisphere_is_refused():
    from nilearn.surface import PolyMesh, SurfaceImage

    image = isi.to_surface_image(on_cortex())
    half = SurfaceImage(PolyMesh(left=image.mesh.parts["left"]), {"left": image.data.parts["left"]})
    with pytest.raises(SpaceError, match="both hemispheres are needed; this SurfaceImage has left"):
        isi.from_surface_image(half, stimuli=IDS, **SAID)


@pytest.mark.parametrize("kind", fsaverage5.KINDS)
def test_every_mesh_goes_both_ways(kind):
    image = isi.to_surface_image(on_cortex(), kind)
    found = isi.from_surface_image(image, stimuli=IDS, **SAID)
    assert (found["bold"].values == on_cortex()["bold"].values).all()


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/r\.npy: cannot be written"):
        isi.write_response(on_cortex(), tmp_path / "file" / "r.npy")


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"r_hemi-L\.func\.gii: no such file"):
        isi.read_response(tmp_path / "r.func.gii", stimuli=IDS, **SAID)
    isi.write_response(on_cortex(), tmp_path / "r.dscalar.nii")
    whole = (tmp_path / "r.dscalar.nii").read_bytes()
    (tmp_path / "r.dscalar.nii").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=r"r\.dscalar\.nii: its values cannot be read"):
        isi.read_response(tmp_path / "r.dscalar.nii")
    (tmp_path / "r.dscalar.nii").write_bytes(b"no image")
    with pytest.raises(StoreError, match=r"r\.dscalar\.nii: cannot be read"):
        isi.read_response(tmp_path / "r.dscalar.nii")


def test_an_unknown_suffix_and_the_wrong_place_are_named(tmp_path):
    with pytest.raises(ParameterError, match=r"unknown kind of file; one of: \.func\.gii"):
        isi.read_response(tmp_path / "r.mat")
    with pytest.raises(
        ParameterError, match=r"of vertex can be written as \.func\.gii, \.gii, \.ds"
    ):
        isi.write_response(on_cortex(), tmp_path / "r.nii.gz")
    with pytest.raises(ParameterError, match=r"of voxel can be written as \.nii\.gz, \.nii"):
        isi.write_response(in_voxels(), tmp_path / "r.npy")


def test_a_file_beside_another_files_labels_is_refused(tmp_path):
    isi.write_response(on_cortex(), tmp_path / "r.npy")
    np.save(tmp_path / "r.npy", table(seed=5))
    with pytest.raises(StoreError, match=r"not those that r\.npy\.response\.json describes"):
        isi.read_response(tmp_path / "r.npy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "must hold the objects .labels. .of plain lists."),
        ('{"labels": [], "attrs": {}}', "must hold the objects .labels. .of plain lists."),
        ('{"labels": {"stimulus": [["a"], ["b", "c"]]}, "attrs": {}}', "must hold the objects"),
        (
            '{"labels": {"stimulus": 1}, "attrs": {}}',
            "must hold the objects .labels. .of plain lists.",
        ),
    ],
)
def test_a_broken_json_is_named(tmp_path, text, message):
    isi.write_response(on_cortex(), tmp_path / "r.npy")
    (tmp_path / "r.npy.response.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        isi.read_response(tmp_path / "r.npy")


def test_a_sidecar_of_others_is_left_alone(tmp_path):
    for name in ("sub-01_bold.json", "sub-01_bold.func.json"):
        (tmp_path / name).write_text('{"RepetitionTime": 1.6}')
    isi.write_response(on_cortex(), tmp_path / "sub-01_bold.func.gii")
    assert isi.read_response(tmp_path / "sub-01_bold.func.gii").identical(on_cortex())
    assert (tmp_path / "sub-01_bold.json").read_text() == '{"RepetitionTime": 1.6}'


def test_attributes_may_have_any_name(tmp_path):
    odd = {"bold": 1, "stimuli": "x", "mask": [1], "dataset": None, "affine_of": "y"}
    for name, response in (("r.npy", on_cortex()), ("r.nii", in_voxels())):
        isi.write_response(response.assign_attrs(odd), tmp_path / name)
        assert isi.read_response(tmp_path / name).attrs == {**response.attrs, **odd}


def test_an_affine_that_is_none_is_named(tmp_path):
    isi.write_response(in_voxels(), tmp_path / "r.nii")
    about = json.loads((tmp_path / "r.nii.response.json").read_text())
    for affine in ([[1], [2, 3]], ["a"] * 16, 1.8):
        about["attrs"]["affine"] = affine
        (tmp_path / "r.nii.response.json").write_text(json.dumps(about))
        with pytest.raises(SpaceError, match=r"r\.nii: an affine is 4 × 4 finite numbers"):
            isi.read_response(tmp_path / "r.nii")


def test_labels_of_the_wrong_length_are_refused(tmp_path):
    isi.write_response(on_cortex(), tmp_path / "r.npy")
    about = json.loads((tmp_path / "r.npy.response.json").read_text())
    about["labels"]["stimulus"].append("more")
    (tmp_path / "r.npy.response.json").write_text(json.dumps(about))
    with pytest.raises(SchemaError, match="bold has 3 items, but there are 4 values of stimulus"):
        isi.read_response(tmp_path / "r.npy")


def test_what_no_format_holds_must_be_said(tmp_path):
    np.save(tmp_path / "r.npy", table())
    with pytest.raises(ParameterError, match="the items have no labels: give stimuli="):
        isi.read_response(tmp_path / "r.npy", **SAID)
    with pytest.raises(ParameterError, match="does not say its units, subject, hemodynamic_off"):
        isi.read_response(tmp_path / "r.npy", stimuli=IDS)
    with pytest.raises(ParameterError, match=r"r\.npy: unknown order .*the order must be stated"):
        isi.read_response(tmp_path / "r.npy", stimuli=IDS, **SAID)
    with pytest.raises(ParameterError, match="must be seconds; is 'five'"):
        isi.read_response(
            tmp_path / "r.npy", stimuli=IDS, **{**SAID, "hemodynamic_offset_s": "five"}
        )


def test_cifti_of_another_mesh_or_with_holes_is_refused(tmp_path):
    left = BrainModelAxis.from_mask(np.ones(32492, bool), "CIFTI_STRUCTURE_CORTEX_LEFT")
    image = nibabel.Cifti2Image(np.ones((1, 32492), np.float32), (ScalarAxis(["a"]), left))
    nibabel.save(image, tmp_path / "a.dscalar.nii")
    with pytest.raises(SpaceError, match=r"CORTEX_LEFT \(32492 vertices\); resample it"):
        isi.read_response(tmp_path / "a.dscalar.nii", stimuli=["a"], **SAID)
    some = np.arange(10242) > 300
    axes = [
        BrainModelAxis.from_mask(some, f"CIFTI_STRUCTURE_CORTEX_{s}") for s in ("LEFT", "RIGHT")
    ]
    bold = table(1, 2 * int(some.sum()))
    nibabel.save(
        nibabel.Cifti2Image(bold, (ScalarAxis(["a"]), axes[0] + axes[1])),
        tmp_path / "a.dscalar.nii",
    )
    with pytest.raises(SpaceError, match=r"\d+ cortical vertices are left out"):
        isi.read_response(tmp_path / "a.dscalar.nii", stimuli=["a"], **SAID)


def test_gifti_that_is_a_mesh_is_refused(tmp_path):
    for side in "LR":
        _gifti(tmp_path / f"m_hemi-{side}.gii", [np.zeros((10242, 3), np.float32)])
    with pytest.raises(SpaceError, match="one array of vertices for each item is needed"):
        isi.read_response(tmp_path / "m.gii", stimuli=["a"], **SAID)


def test_a_volume_needs_its_space_and_its_own_mask(tmp_path):
    volume = np.random.default_rng(0).random((5, 6, 4, 2), np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, AFFINE), tmp_path / "v.nii.gz")
    nibabel.save(nibabel.Nifti1Image(mask().astype(np.int16), AFFINE), tmp_path / "m.nii.gz")
    nibabel.save(nibabel.Nifti1Image(mask().astype(np.int16), 2 * AFFINE), tmp_path / "far.nii.gz")
    nibabel.save(nibabel.Nifti1Image(3 * mask().astype(np.int16), AFFINE), tmp_path / "roi.nii.gz")
    path, more = tmp_path / "v.nii.gz", {"stimuli": ["a", "b"], **SAID}
    with pytest.raises(ParameterError, match="a volume needs space="):
        isi.read_response(path, **more)
    with pytest.raises(StoreError, match=r"v_mask\.nii\.gz: no such file"):
        isi.read_response(path, space="s", **more)
    with pytest.raises(SpaceError, match=r"is not that of the mask far\.nii\.gz"):
        isi.read_response(path, space="s", mask=tmp_path / "far.nii.gz", **more)
    with pytest.raises(SpaceError, match="a mask holds 1 .* holds 0, 3"):
        isi.read_response(path, space="s", mask=tmp_path / "roi.nii.gz", **more)
    nibabel.save(nibabel.Nifti1Image(volume[..., None], AFFINE), tmp_path / "five.nii.gz")
    with pytest.raises(SpaceError, match=r"is needed: \(5, 6, 4, 2, 1\)|is needed: \(5, 6, 4, 2\)"):
        isi.read_response(tmp_path / "five.nii.gz", space="s", mask=tmp_path / "m.nii.gz", **more)
    found = isi.read_response(path, space="s", mask=tmp_path / "m.nii.gz", **more)
    assert (found["bold"].values == volume[mask()].T).all()


def test_only_one_table_goes_into_a_file(tmp_path):
    both = xr.concat([on_cortex(), on_cortex(seed=1)], xr.Variable("repeat", [0, 1]))
    with pytest.raises(SchemaError, match="bold has .*select one repeat first"):
        isi.write_response(both, tmp_path / "r.npy")
    assert not list(tmp_path.iterdir())


def test_a_response_in_another_order_or_on_the_wall_is_not_written(tmp_path):
    swapped = on_cortex().isel(vertex=np.r_[10242:20484, 0:10242])
    with pytest.raises(SpaceError, match="wrong hemisphere order"):
        isi.write_response(swapped, tmp_path / "r.npy")
    walled = on_cortex()
    walled["bold"][:] = 1
    with pytest.raises(SchemaError, match="medial wall of this response does not hold zero"):
        isi.write_response(walled, tmp_path / "r.func.gii")
    with pytest.raises(SchemaError, match="do not know their volume"):
        isi.write_response(isi.sample("response"), tmp_path / "r.nii")


def test_two_formats_of_one_name_stand_side_by_side(tmp_path):
    other = on_cortex(seed=3)
    isi.write_response(on_cortex(), tmp_path / "r.func.gii")
    isi.write_response(other, tmp_path / "r.npy")
    assert isi.read_response(tmp_path / "r.func.gii").identical(on_cortex())
    assert isi.read_response(tmp_path / "r.npy").identical(other)


@pytest.mark.parametrize("name", ["r.npy", "r.func.gii", "r.dscalar.nii", "r.nii.gz"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(InsilicoError, match="no such file|not there|No such file|missing"):
        isi.read_response(tmp_path / name)
