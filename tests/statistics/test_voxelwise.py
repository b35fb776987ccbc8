from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import r2_score

import insilico as isi
from insilico.errors import InsilicoError, SchemaError, SpaceError
from insilico.statistics.voxelwise import adapter_accuracy


@pytest.fixture
def pair() -> tuple[xr.Dataset, xr.Dataset]:
    """Return a prediction and three repeats: voxel 7 is constant, voxel 2 is not covered."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((40, 8))
    bold = (signal + 0.5 * rng.standard_normal((3, 40, 8))).astype(np.float32)
    bold[..., 7] = 1
    measured = isi.sample("response", 40)
    covered = ("voxel", np.arange(8) != 2)
    predicted = (0.8 * signal + 0.2 * rng.standard_normal((40, 8))).astype(np.float32)
    adapted = measured.assign(bold=(("stimulus", "voxel"), predicted))
    adapted = adapted.assign_coords(covered=covered).assign_attrs(adapter="ridge", adapter_pairs=9)
    return adapted, measured.assign(bold=(("repeat", "stimulus", "voxel"), bold))


def test_values_are_those_of_numpy_and_sklearn(pair):
    adapted, measured = pair
    found = adapter_accuracy(adapted, measured)
    mean, made = measured["bold"].values.mean(0), adapted["bold"].values
    for k in (0, 1, 3, 6):
        at = found.isel(voxel=k)["effect"]
        assert at.sel(contrast="r") == pytest.approx(np.corrcoef(made[:, k], mean[:, k])[0, 1])
        assert at.sel(contrast="R2") == pytest.approx(r2_score(mean[:, k], made[:, k]), abs=1e-6)
    assert np.isnan(found["effect"].values[:, [2, 7]]).all()
    assert found["covered"].values.tolist() == [True, True, False, True, True, True, True, False]
    isi.check(found, "estimate")


def test_ceiling_medians_and_coverage_are_told(pair):
    found = adapter_accuracy(*pair)
    expected = 1 / (1 + 0.25 / 3)  # of the mean over three repeats
    assert found["noise_ceiling"].mean() == pytest.approx(expected, abs=0.05)
    assert found.attrs["median_r"] == pytest.approx(np.nanmedian(found["effect"].values[0]))
    assert (found.attrs["covered_voxels"], found.attrs["n_voxels"]) == (6, 8)
    assert found.attrs["adapter_pairs"] == 9


def test_without_repeats_there_is_no_ceiling(pair):
    adapted, measured = pair
    once = adapter_accuracy(adapted, measured.mean("repeat", keep_attrs=True))
    assert np.isnan(once["noise_ceiling"]).all()
    np.testing.assert_allclose(once["effect"], adapter_accuracy(*pair)["effect"], rtol=1e-5)


def test_stimuli_are_matched_by_name(pair):
    adapted, measured = pair
    some = adapter_accuracy(adapted.isel(stimulus=slice(0, 20)), measured)
    order = np.random.default_rng(1).permutation(40)
    turned = adapter_accuracy(adapted.isel(stimulus=slice(0, 20)), measured.isel(stimulus=order))
    np.testing.assert_allclose(some["effect"], turned["effect"])
    assert (some["n"] == 20).all()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda a, m: (a, m.assign_attrs(space="elsewhere")), SpaceError, "elsewhere"),
        (lambda a, m: (a, m.isel(voxel=slice(0, 4))), SpaceError, "the same voxels"),
        (lambda a, m: (a, m.isel(stimulus=slice(1, 40))), SchemaError, "not measured: sample-0000"),
        (lambda a, m: (a.isel(stimulus=[0, 1]), m), SchemaError, "3 stimuli; there are 2"),
        (lambda a, m: (m, m), SchemaError, "one condition"),
    ],
)
def test_bad_input_is_refused(pair, change, error: type[InsilicoError], words):
    with pytest.raises(error, match=words):
        adapter_accuracy(*change(*pair))


def test_a_run_tells_medians_of_maps(pair):
    from insilico.report.summary import _estimate

    found = adapter_accuracy(*pair)
    lines = _estimate("fit", found)
    assert lines[1].split() == f"r median {found.attrs['median_r']:+.3f} over 6 of 8 voxels".split()
    assert "noise ceiling" in lines[3]


def test_a_run_says_where_there_is_no_interval():
    from insilico.report.summary import _estimate

    one = isi.sample("estimate", 2)
    none = one.assign(ci_low=one["ci_low"] * np.nan, ci_high=one["ci_high"] * np.nan)
    assert "[-0.874, +1.126]" in _estimate("a", one)[1]
    assert all("(no interval)" in line and "nan" not in line for line in _estimate("a", none)[1:])
