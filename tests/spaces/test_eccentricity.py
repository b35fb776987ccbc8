"""Bands of eccentricity on fsaverage5: the phantom's from its chart, NSD's from prf-eccrois."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from insilico.errors import RegionError
from insilico.spaces import atlases, fsaverage5
from insilico.spaces.nsd import areas, rois

ROOT = Path(__file__).parents[2]


def test_the_phantom_s_bands_are_its_chart_s():
    made = runpy.run_path(str(ROOT / "atlases" / "make_phantom_eccentricity.py"))
    atlas = atlases.load("phantom_eccentricity")
    assert atlas.regions == made["NAMES"][1:]
    np.testing.assert_array_equal(atlas.labels, made["labels"]())


def test_bands_of_nsd_are_its_own(monkeypatch, tmp_path):
    def labels(tree, family):
        assert family == "prf-eccrois"
        found = np.full(fsaverage5.N_VERTICES, "", dtype="<U16")
        for k, name in enumerate(rois.REGIONS[family]):
            found[100 * k : 100 * (k + 1)] = name
        return found

    monkeypatch.setattr(rois, "vertex_labels", labels)
    file = areas.write(tmp_path, 1, tmp_path / "bands.npz", "eccentricity")
    atlas = atlases.load("eccentricity", file)
    for k, name in enumerate(("ecc0pt5", "ecc1", "ecc2", "ecc4", "ecc4plus")):
        at = np.flatnonzero(atlas.mask(name))
        np.testing.assert_array_equal(at, np.arange(100 * k, 100 * (k + 1)), err_msg=name)
    with pytest.raises(RegionError, match="atlas of NSD's families 'bands'"):
        areas.write(tmp_path, 1, tmp_path / "bands.npz", "bands")
