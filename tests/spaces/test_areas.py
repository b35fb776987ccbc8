"""The atlas of areas: the phantom's from its anatomy, NSD's from its families."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from insilico.errors import RecordingError, RegionError
from insilico.schema import sample
from insilico.spaces import atlases, fsaverage5, regions
from insilico.spaces.nsd import areas, rois

ROOT = Path(__file__).parents[2]


def test_the_phantom_s_areas_are_its_anatomy_s():
    made = runpy.run_path(str(ROOT / "atlases" / "make_phantom_areas.py"))
    atlas = atlases.load("phantom_areas")
    assert atlas.regions == made["NAMES"][1:]
    np.testing.assert_array_equal(atlas.labels, made["labels"]())
    assert (atlas.labels[fsaverage5.medial_wall()] == 0).all()
    assert tuple(atlases.describe("areas")["regions"]) == atlas.regions  # one stands for the other


BLOCKS = {
    "prf-visualrois": {"V1v": (0, 400), "V1d": (400, 800), "V2v": (800, 1200), "V3d": (1200, 1600),
                       "hV4": (1600, 2000)},
    "floc-faces": {"FFA-1": (1900, 2200), "mTL-faces": (2200, 2300)},
    "floc-bodies": {"EBA": (2300, 2600)},
    "floc-words": {"VWFA-1": (2600, 2900)},
    "floc-places": {"PPA": (2900, 3200)},
    "Kastner2015": {"V1d": (3200, 3300), "LO2": (3300, 3600)},
    "streams": {"early": (3600, 3700), "ventral": (3500, 4000)},
}  # fmt: skip
"""First and last vertex of each label."""


def _labels(tree, family):
    found = np.full(fsaverage5.N_VERTICES, "", dtype="<U16")
    for name, (first, last) in BLOCKS[family].items():
        found[first:last] = name
    return found


def test_areas_of_nsd_come_from_its_families(monkeypatch, tmp_path):
    monkeypatch.setattr(rois, "vertex_labels", _labels)
    file = areas.write(tmp_path, 1, tmp_path / "areas.npz")
    atlas = atlases.load("areas", file)
    expected = {
        "V1": (0, 800),  # not what Kastner's atlas calls so
        "V4": (1600, 2000),
        "face": (2000, 2200),  # earlier families come first; mTL-faces is no area of ours
        "object": (3300, 3600),
        "ventral": (3600, 4000),
    }
    for name, (first, last) in expected.items():
        np.testing.assert_array_equal(np.flatnonzero(atlas.mask(name)), np.arange(first, last))
    assert [p.name for p in tmp_path.iterdir()] == ["areas.npz"]


def test_areas_need_every_family(monkeypatch, tmp_path):
    monkeypatch.setattr(rois, "vertex_labels", lambda tree, family: None)
    with pytest.raises(RecordingError, match=r"no labels of prf-visualrois: .*lh.prf-visualrois"):
        areas.write(tmp_path, 1, tmp_path / "areas.npz")
    with pytest.raises(RegionError, match=r"ends in \.npz"):
        areas.write(tmp_path, 1, tmp_path / "areas.mat")
    assert not list(tmp_path.iterdir())


def test_a_response_s_own_areas_come_before_the_atlas():
    """Voxels that know no vertex are named by the labels of their families."""
    drawn, stream = np.array(["V1v", "", "hV4", ""]), np.array(["", "", "", "ventral"])
    labels = areas.merged({"prf-visualrois": drawn, "streams": stream})
    assert labels.tolist() == ["V1", "", "V4", "ventral"]
    response = sample("response", 2).isel(voxel=slice(0, 4)).assign_coords(areas=("voxel", labels))
    assert "vertex" not in response.coords
    assert regions.mask("V1 | V4", atlas="areas", of=response).tolist() == [
        True,
        False,
        True,
        False,
    ]
    beyond = regions.mask("cortex - (V1 | V4)", atlas="areas", of=response)
    assert beyond.tolist() == [False, True, False, True]
