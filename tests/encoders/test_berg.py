"""BERG: vertices keep the nested mesh, voxels the place of their mask, pickles stay shut."""

from __future__ import annotations

import os
import pickle

import nibabel
import numpy as np
import pytest
import xarray as xr
from made_elsewhere import python_with

import insilico as isi
from insilico.encoders import KINDS
from insilico.encoders.berg_metadata import nested, read_metadata
from insilico.encoders.berg_responses import onto
from insilico.errors import (
    InsilicoError,
    MissingPackage,
    ParameterError,
    SchemaError,
    SpaceError,
    StimulusError,
    StoreError,
)
from insilico.schema import check
from insilico.spaces import fsaverage5, nsd

WALL = fsaverage5.medial_wall()
FWRF, VIT = "fmri-nsd-fwrf", "fmri-nsd_fsaverage-vit_b_32"
AFFINE = np.array([[-1.8, 0, 0, 4.0], [0, 1.8, 0, -9], [0, 0, 1.8, -4], [0, 0, 0, 1]])
IDS = ["coco73k-02950", "coco73k-02990"]


def vertices(n=2, size=163842):
    rng = np.random.default_rng(size)
    return tuple(rng.standard_normal((n, size)).astype(np.float32) for _ in "lr")


def of_fsaverage():
    rng = np.random.default_rng(2)
    fmri = {f"{side}_ncsnr": rng.random(163842) for side in ("lh", "rh")}
    fmri |= {"lh_fsaverage_rois": {"V1": np.array([7, 163000, 9000, 12000])},
             "rh_fsaverage_rois": {"V1": np.array([3, 5]), "OFA": np.array([163000])}}  # fmt: skip
    fmri["lh_fsaverage_rois"]["OFA"] = np.array([], dtype=int)
    models = {f"{side}_noise_ceiling": rng.random(163842) for side in ("lh", "rh")}
    return {"fmri": fmri, "encoding_models": models}


def region(seed):
    mask = np.random.default_rng(seed).random((6, 5, 4)) < 0.4
    rng, n = np.random.default_rng(seed + 50), int(mask.sum())
    metadata = {
        "fmri": {"ncsnr": rng.random(n), "roi_mask_volume": mask, "fmri_affine": AFFINE},
        "encoding_models": {
            "r2": rng.random(n),
            "noise_ceiling": rng.random(n),
            "test_img_num": IDS,
        },
    }
    return rng.standard_normal((2, n)).astype(np.float32), metadata


def taken(bold, metadata=None, model=FWRF, subject=1, stimuli=IDS, **more):
    return isi.from_berg(bold, metadata, model=model, subject=subject, stimuli=stimuli, **more)


# --- vertices -------------------------------------------------------------------------------------


def test_hemispheres_of_fsaverage_keep_their_nested_vertices():
    lh, rh = vertices()
    found = taken((lh, rh), of_fsaverage(), VIT)
    expected = np.hstack([lh[:, :10242], rh[:, :10242]])
    assert (found["bold"].values[:, ~WALL] == expected[:, ~WALL]).all()
    check(found, "response", space="fsaverage5")
    ncsnr = [of_fsaverage()["fmri"][f"{side}_ncsnr"][:10242] for side in ("lh", "rh")]
    np.testing.assert_array_equal(found["ncsnr"], np.concatenate(ncsnr).astype(np.float32))
    assert found["noise_ceiling"].dims == ("vertex",)
    assert found.attrs["subject"] == "nsd-subj01"
    assert found.attrs["units"] == "session z"
    assert found.attrs["hemodynamic_offset_s"] == 0.0  # betas of a GLM
    np.testing.assert_array_equal(taken([lh, rh], None, VIT)["bold"], found["bold"])


def test_a_region_is_placed_by_its_indices():
    lh, rh = vertices(size=4)[0], vertices(size=2)[0]
    found = taken((lh, rh), of_fsaverage(), VIT, roi="V1")
    filled = np.flatnonzero((found["bold"].values != 0).any(axis=0))
    expected = np.array([7, 9000, 10242 + 3, 10242 + 5])
    assert filled.tolist() == expected[~WALL[expected]].tolist()
    assert len(filled) > 1
    assert (found["bold"].values[:, 9000] == lh[:, 2]).all() or WALL[9000]
    assert found.attrs["roi"] == "V1"
    assert found.attrs["covered"] == "4 vertices"


def test_files_give_what_arrays_give(tmp_path):
    lh, rh = vertices()
    np.save(tmp_path / "lh.npy", lh)
    np.save(tmp_path / "rh.npy", rh)
    np.savez(tmp_path / "both.npz", lh=lh, rh=rh)
    expected = taken((lh, rh), None, VIT)
    xr.testing.assert_identical(
        taken([tmp_path / "lh.npy", tmp_path / "rh.npy"], None, VIT), expected
    )
    xr.testing.assert_identical(taken(tmp_path / "both.npz", None, VIT), expected)


# --- voxels ---------------------------------------------------------------------------------------


def test_voxels_are_placed_by_their_mask():
    bold, metadata = region(0)
    found = taken(bold, metadata, roi="V1")
    mask = metadata["fmri"]["roi_mask_volume"]
    assert (found["voxel"].values == np.flatnonzero(mask)).all()
    assert (found["bold"].values == bold).all()
    places = nibabel.affines.apply_affine(AFFINE, np.argwhere(mask))
    np.testing.assert_allclose(np.stack([found[a] for a in "xyz"], 1), places, rtol=1e-6)
    assert (found["hemi"].values == np.where(places[:, 0] < 0, "L", "R")).all()
    np.testing.assert_array_equal(found["ncsnr"], metadata["fmri"]["ncsnr"].astype(np.float32))
    assert {"noise_ceiling", "squared_r"} <= set(found.coords)
    assert found.attrs["space"] == "nsd-subj01-func1pt8mm"


def test_two_half_models_carry_a_note():
    assert "order is not checked" in taken(*region(0), roi="lateral").attrs["note"]
    assert "note" not in taken(*region(0), roi="V1").attrs


def of_mask(inside, seed=0, affine=AFFINE, ids=IDS):
    bold = np.random.default_rng(seed).standard_normal((2, int(inside.sum()))).astype(np.float32)
    fmri = {"roi_mask_volume": inside, "fmri_affine": affine}
    return taken(bold, {"fmri": fmri}, stimuli=ids)


def test_parts_are_written_into_a_mask_the_first_counts():
    one, two, whole = (np.zeros((6, 5, 4), bool) for _ in range(3))
    one[:2], two[1:3], whole[1:4] = True, True, True
    parts = [of_mask(one, 1), of_mask(two, 2)]
    found = onto(parts, whole, space="nsd-subj01")
    volume = np.zeros((2, 6, 5, 4), np.float32)
    volume[:, two] = parts[1]["bold"].values
    volume[:, one] = parts[0]["bold"].values
    assert (found["bold"].values == volume[:, whole]).all()
    assert (found["voxel"].values == np.flatnonzero(whole)).all()
    assert found.attrs["covered"] == "40 of 60 voxels"
    check(found, "response", space="nsd-subj01")


def test_parts_of_other_volumes_or_stimuli_are_refused():
    mask, moved = region(0)[1]["fmri"]["roi_mask_volume"], AFFINE.copy()
    moved[0, 3] += 1
    with pytest.raises(SpaceError, match="other volumes"):
        onto([of_mask(mask), of_mask(mask, affine=moved)], mask, space="s")
    with pytest.raises(SpaceError, match="other volumes"):
        onto([of_mask(mask)], np.ones((6, 5, 5)), space="s")
    with pytest.raises(SchemaError, match="must be to the same stimuli"):
        onto([of_mask(mask), of_mask(mask, ids=IDS[::-1])], mask, space="s")
    with pytest.raises(SpaceError, match="no voxel of the response lies in the mask"):
        onto([of_mask(mask)], ~mask, space="s")


# --- mistakes -------------------------------------------------------------------------------------


def without(metadata, *keys):
    for key in keys[:-1]:
        metadata = metadata[key]
    del metadata[keys[-1]]


def test_metadata_without_a_mask_or_roi_are_named():
    bold, metadata = region(0)
    with pytest.raises(ParameterError, match="voxels of BERG have no place without metadata"):
        taken(bold)
    without(metadata, "fmri", "roi_mask_volume")
    with pytest.raises(
        SchemaError, match="fmri/roi_mask_volume is missing; has ncsnr, fmri_affine"
    ):
        taken(bold, metadata)
    lh, rh = vertices(size=4)[0], vertices(size=2)[0]
    with pytest.raises(ParameterError, match="the vertices of roi 'V1' have no place without"):
        taken((lh, rh), None, VIT, roi="V1")
    with pytest.raises(SchemaError, match="rois/V2 is missing; has V1, OFA"):
        taken((lh, rh), of_fsaverage(), VIT, roi="V2")
    with pytest.raises(
        SpaceError, match="'V1' has 4 vertices on the lh .*; the response is .2, 2."
    ):
        taken((rh, lh), of_fsaverage(), VIT, roi="V1")
    with pytest.raises(SpaceError, match="roi 'OFA' has no vertex on fsaverage5"):
        taken((lh[:, :0], lh[:, :1]), of_fsaverage(), VIT, roi="OFA")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: taken(region(0)[0][:, :-1], region(0)[1]), SpaceError, "does not fit 2 stimuli"),
        (lambda: taken(*region(0), stimuli=IDS[:1]), SchemaError, "items, but there are 1"),
        (lambda: taken(*region(0), stimuli=[IDS[0]] * 2), SchemaError, "stimulus ids repeat"),
        (lambda: taken(region(0)[0] * np.inf, region(0)[1]), SchemaError, "NaN or infinite"),
        (lambda: taken(region(0)[0].astype(str), region(0)[1]), SchemaError, "is <U"),
        (lambda: taken(*region(0), subject=9), SpaceError, "unknown NSD subject '9'"),
        (lambda: taken(*region(0), model="eeg-things_eeg_2-vit_b_32"), ParameterError, "NSD"),
        (lambda: taken(*region(0), model="fmri-dascoli_2026-tribe_v2"), ParameterError, "drops"),
        (lambda: taken(*region(0), model="fwrf"), ParameterError, "called fmri-nsd-..."),
        (lambda: taken(vertices(size=32492), None, VIT), SpaceError, "this one has 32492"),
        (lambda: taken(vertices()[:1], None, VIT), SchemaError, "two hemispheres .* got 1"),
        (lambda: taken(vertices()[0], None, VIT), SchemaError, "predicts two arrays"),
        (lambda: taken(vertices(), None, FWRF), SchemaError, "predicts one array"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_swapped_hemispheres_are_refused_where_the_wall_is_masked():
    lh, rh = (half[:, :10242].copy() for half in vertices())
    left, right = np.split(WALL, 2)
    lh[:, left], rh[:, right] = 0, 0
    taken((lh, rh), None, VIT)
    with pytest.raises(SpaceError, match="wrong hemisphere order"):
        taken((rh, lh), None, VIT)


# --- pickles --------------------------------------------------------------------------------------


def pickled(path, metadata):
    np.save(path, np.array(metadata, dtype=object))
    return path


def test_pickled_metadata_need_trust(tmp_path):
    bold, metadata = region(0)
    path = pickled(tmp_path / "m.npy", metadata)
    with pytest.raises(ParameterError, match=r"m\.npy: BERG's metadata are pickled; .*trust=True"):
        taken(bold, path)
    xr.testing.assert_identical(taken(bold, path, trust=True), taken(bold, metadata))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_metadata_of_every_pickle_protocol_are_read(tmp_path, protocol):
    _, metadata = region(0)
    metadata["encoding_models"]["mean"] = np.float32(0.5)
    with (tmp_path / "m.npy").open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(np.array(metadata, dtype=object), file, protocol=protocol)
    found = read_metadata(tmp_path / "m.npy", trust=True)
    np.testing.assert_array_equal(found["fmri"]["ncsnr"], metadata["fmri"]["ncsnr"])
    np.testing.assert_array_equal(
        found["fmri"]["roi_mask_volume"], region(0)[1]["fmri"]["roi_mask_volume"]
    )
    assert found["encoding_models"]["mean"] == np.float32(0.5)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def test_trust_reads_arrays_and_executes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = pickled(tmp_path / "m.npy", {"fmri": Bomb()})
    with pytest.raises(StoreError, match=r"asks for posix\.mkdir, which is no numpy array"):
        read_metadata(path, trust=True)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"no numpy file at all"])
def test_broken_metadata_are_named(tmp_path, content):
    (tmp_path / "m.npy").write_bytes(content)
    with pytest.raises(StoreError, match=r"m\.npy: cannot be read as BERG's metadata"):
        read_metadata(tmp_path / "m.npy", trust=True)
    with pytest.raises(StoreError, match=r"n\.npy: no such file"):
        read_metadata(tmp_path / "n.npy", trust=True)


def test_metadata_that_are_no_dictionary_are_named(tmp_path):
    with pytest.raises(SchemaError, match="must be a dictionary; is ndarray"):
        read_metadata(pickled(tmp_path / "m.npy", [[1, "a"]]), trust=True)


def test_metadata_without_pickles_need_no_trust(tmp_path):
    bold, metadata = region(0)
    flat = {f"fmri/{name}": value for name, value in metadata["fmri"].items()}
    np.savez(tmp_path / "m.npz", **flat)
    assert nested({"a/b/c": 1, "a/d": 2}) == {"a": {"b": {"c": 1}, "d": 2}}
    found = taken(bold, tmp_path / "m.npz")
    np.testing.assert_array_equal(found["bold"], taken(bold, metadata)["bold"])
    np.testing.assert_array_equal(found["voxel"], taken(bold, metadata)["voxel"])


# --- the step -------------------------------------------------------------------------------------


def stimuli(*ids, side=(8, 8)):
    image = np.random.default_rng(0).integers(0, 255, (len(ids), *side, 3), np.uint8)
    split = ("stimulus", ["test"] * len(ids))
    variables = {"image": (("stimulus", "y_pixel", "x_pixel", "rgb"), image)}
    return xr.Dataset(variables, {"stimulus": list(ids), "split": split}, {"source": "test"})


@pytest.fixture
def regions(tmp_path, monkeypatch):
    """Two regions of voxels as files, a mask of which they cover a part, and its voxels."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    for name, seed in (("V1", 0), ("V2", 1)):
        bold, metadata = region(seed)
        np.save(f"{name}.npy", bold)
        pickled(f"m_{name}.npy", metadata)
    whole = np.random.default_rng(9).random((6, 5, 4)) < 0.7
    general = np.where(whole, 1, -1).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(general, AFFINE), "nsdgeneral.nii.gz")
    monkeypatch.setitem(nsd.VOXELS, 1, int(whole.sum()))
    return whole


SPEC = {
    "kind": "berg",
    "model": FWRF,
    "subject": 1,
    "roi": ("V1", "V2"),
    "file": ("V1.npy", "V2.npy"),
    "metadata": ("m_V1.npy", "m_V2.npy"),
    "trust": True,
    "stimuli": "ids.txt",
    "into": "nsdgeneral.nii.gz",
}


def test_regions_are_written_into_nsdgeneral(regions):
    found = KINDS.build(SPEC)(stimuli(*IDS[::-1]))
    volume = np.zeros((2, 6, 5, 4), np.float32)
    for seed in (1, 0):
        bold, metadata = region(seed)
        volume[:, metadata["fmri"]["roi_mask_volume"]] = bold
    assert (found["bold"].values == volume[::-1][:, regions]).all()
    assert found["stimulus"].values.tolist() == IDS[::-1]
    assert found.attrs["space"] == "nsd-subj01"
    assert found.attrs["roi"] == "V1; V2"
    covered = (volume != 0).any(0)[regions].sum()
    assert found.attrs["covered"] == f"{covered} of {regions.sum()} voxels"
    check(found, "response", space="nsd-subj01")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"into": None}, "several regions need into"),
        ({"metadata": "m_V1.npy"}, "metadata: there must be 2, one for each response"),
        ({"roi": "V1"}, "roi: there must be 2"),
        ({"file": None, "stimuli": None}, "either file .* or folder"),
        ({"stimuli": None}, "stimuli, the ids of the images, belong to file"),
        ({"python": "x"}, "either file .responses. or python"),
        ({"model": VIT}, "into is a mask of voxels, and this model has vertices"),
        ({"trust": False}, "m_V1.npy: BERG's metadata are pickled"),
        ({"stimuli": "none.txt"}, "none.txt: cannot be read"),
        ({"file": ("V1.npy", "V3.npy")}, "V3.npy: cannot be read"),
        ({"subject": 2}, "nsd-subj02 has 14278 voxels; this response has"),
        ({"subject": 9}, "unknown NSD subject '9'"),
        (
            {"model": "fmri-bmd-s3d", "into": None, "roi": None, "metadata": None},
            "'fmri-bmd-s3d': BERG's models of NSD are called",
        ),
    ],
)
def test_a_mistaken_spec_is_named(regions, change, message):
    spec = {k: v for k, v in {**SPEC, **change}.items() if v is not None}

    def used():
        step = KINDS.build(spec)
        step.digests()
        step(stimuli(*IDS))

    with pytest.raises(InsilicoError, match=message):
        used()


def test_a_mask_of_another_volume_is_refused(regions):
    nibabel.save(nibabel.Nifti1Image(regions.astype(np.int16), 2 * AFFINE), "nsdgeneral.nii.gz")
    with pytest.raises(SpaceError, match=r"nsdgeneral\.nii\.gz: its affine is not that of BERG's"):
        KINDS.build(SPEC)(stimuli(*IDS))


def test_several_regions_of_vertices_are_refused():
    with pytest.raises(ParameterError, match="several regions of vertices: name one"):
        KINDS.build(
            {"kind": "berg", "model": VIT, "subject": 1, "folder": ".", "roi": ("V1", "V2")}
        )


def test_images_that_the_files_lack_are_named(regions):
    with pytest.raises(SchemaError, match="no response to 1 of 2 stimuli: other"):
        KINDS.build(SPEC)(stimuli(IDS[0], "other"))


def test_the_digests_follow_the_files(regions):
    before = KINDS.build(SPEC).digests()
    np.save("V2.npy", 2 * region(1)[0])
    after = KINDS.build(SPEC).digests()
    assert {name for name in before if before[name] != after[name]} == {"V2.npy"}


def test_without_berg_an_error_says_what_to_install_and_what_to_hand_over(tmp_path):
    spec = {"kind": "berg", "model": FWRF, "subject": 1, "folder": str(tmp_path)}
    with pytest.raises(MissingPackage, match=r"needs berg: .*pip install .*file: \[lh.npy"):
        KINDS.build(spec).digests()
    python = python_with(tmp_path, "berg")
    with pytest.raises(ParameterError, match="nowhere is no folder of BERG's data"):
        KINDS.build({**spec, "python": python, "folder": "nowhere"}).digests()


def test_a_live_run_hands_over_voxels_and_their_places(tmp_path):
    python = python_with(tmp_path, "berg")
    spec = {"kind": "berg", "model": FWRF, "subject": 2, "roi": "V1", "folder": str(tmp_path)}
    step, shown = KINDS.build({**spec, "python": python}), stimuli(*IDS)
    assert "driver" in step.digests()
    found = step(shown)
    bold = shown["image"].values.mean((1, 2)) @ np.random.default_rng(0).random((3, 40))
    np.testing.assert_allclose(found["bold"], bold, rtol=1e-5)
    assert found.attrs["space"] == "nsd-subj02-func1pt8mm"
    assert (found["squared_r"] == 0.5).all()
    assert found["voxel"].values[:4].tolist() == [0, 1, 3, 4]


def test_a_live_run_hands_over_both_hemispheres(tmp_path):
    spec = {"kind": "berg", "model": VIT, "subject": 1, "folder": str(tmp_path)}
    shown = stimuli(*IDS)
    found = KINDS.build({**spec, "python": python_with(tmp_path, "berg")})(shown)
    lh = shown["image"].values.mean((1, 2)) @ np.random.default_rng(1).random((3, 163842))
    np.testing.assert_allclose(found["bold"][:, :100], lh[:, :100] * ~WALL[:100], rtol=1e-5)
    assert "live" in found.attrs["source"]


def test_a_live_run_takes_square_images_only(tmp_path):
    spec = {"kind": "berg", "model": VIT, "subject": 1, "folder": str(tmp_path)}
    step = KINDS.build({**spec, "python": python_with(tmp_path, "berg")})
    with pytest.raises(StimulusError, match=r"BERG needs square images; these are \(8, 9\)"):
        step(stimuli(*IDS, side=(8, 9)))
    shown = stimuli(*IDS).assign(caption=("stimulus", ["a", "b"])).assign_attrs(modality="text")
    with pytest.raises(StimulusError, match="BERG's models see images; these stimuli are text"):
        step(shown)
