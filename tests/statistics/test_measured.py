"""Repeats of measured responses: padding never counts, and whose ceiling it is."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from insilico.errors import RegionError, SchemaError
from insilico.protocol.join import Subjects
from insilico.schema import sample
from insilico.statistics import KINDS
from insilico.statistics.ceilings import ceiling, variances
from insilico.statistics.measured import measured_of
from insilico.statistics.repeats import summed
from insilico.statistics.voxelwise import VoxelwiseAccuracy

COUNTS = np.array([3, 3, 2, 1] * 10)


@pytest.fixture
def pair():
    """Return a prediction and a measurement of 1 to 3 real repeats, with labels and ncsnr."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((40, 8))
    bold = (signal + rng.standard_normal((3, 40, 8))).astype(np.float32)
    measured = sample("response", 40)
    predicted = measured.assign(bold=(("stimulus", "voxel"), signal.astype(np.float32)))
    roi = ["FFA-1", "FFA-1", "", "OFA", "OFA", "OFA", "", "mine"]
    measured = measured.assign(bold=(("repeat", "stimulus", "voxel"), bold)).assign_coords(
        {
            "n_repeats": ("stimulus", COUNTS),
            "floc-faces": ("voxel", roi),
            "ncsnr": ("voxel", np.linspace(0, 1.4, 8)),
        }
    )
    return predicted, measured


def garbled(measured):
    real = np.arange(3)[:, None] < COUNTS
    where = xr.DataArray(real, dims=("repeat", "stimulus"))
    return measured.assign(bold=measured["bold"].where(where, 99.0))


@pytest.mark.parametrize("kind", ["explained_variance", "voxelwise_accuracy"])
def test_what_was_padded_changes_nothing(pair, kind):
    predicted, measured = pair
    made = KINDS.build({"kind": kind, **({"n": 5} if kind == "explained_variance" else {})})
    xr.testing.assert_identical(made(predicted, garbled(measured)), made(predicted, measured))


def test_mean_and_ceiling_are_of_real_repeats(pair):
    predicted, measured = pair
    own = measured_of(garbled(measured), predicted["stimulus"].values[::-1], "test")
    bold = measured["bold"].values[:, ::-1]
    by_hand = [bold[:k, i].mean(0) for i, k in enumerate(COUNTS[::-1])]
    np.testing.assert_allclose(own.mean(), by_hand, rtol=1e-5)
    images = np.where(np.arange(3)[:, None] < COUNTS[::-1], np.arange(40), -1).ravel()
    expected = ceiling(*variances(summed(bold, images)), COUNTS)
    np.testing.assert_allclose(own.ceiling(), expected)
    assert own.about()["ceiling_from"].startswith("anova, these repeats; mean of 1/k = 0.54")


def test_ncsnr_gives_the_ceiling_of_so_many_trials(pair):
    predicted, measured = pair
    once = measured.mean("repeat", keep_attrs=True)
    square = measured["ncsnr"].values ** 2
    for response, trials in (
        (measured, COUNTS),
        (measured.isel(repeat=[0]), np.ones(40)),
        (once, COUNTS),
    ):
        found = VoxelwiseAccuracy(ceiling="ncsnr")(predicted, response)
        expected = square / (square + np.mean(1 / trials))
        np.testing.assert_allclose(found["noise_ceiling"], expected, rtol=1e-6)
        assert "ncsnr maps" in found.attrs["ceiling_from"]
    share = KINDS.build({"kind": "explained_variance", "n": 4, "ceiling": "ncsnr"})
    assert share(predicted, measured.isel(repeat=[0]))["noise_ceiling"].values[0] == 0
    with pytest.raises(SchemaError, match="coordinate 'ncsnr'.*doctor"):
        share(predicted, measured.drop_vars("ncsnr"))


def test_regions_of_the_response_s_own(pair):
    predicted, measured = pair
    share = KINDS.build({"kind": "explained_variance", "n": 4, "by": "floc-faces"})
    for found in (
        share(predicted, measured),
        KINDS.build({"kind": "noise_ceiling", "n": 4, "by": "floc-faces"})(measured),
    ):
        assert found["contrast"].values.tolist() == ["OFA", "FFA-1", "mine"]  # published first
        assert len(set(found["colour"].values)) == 3
        assert found.attrs["atlas"] == "floc-faces"
    own = measured["floc-faces"].values == "OFA"
    np.testing.assert_allclose(
        found["effect"][0], found["noise_ceiling"].values[own].mean(), rtol=1e-5
    )
    with pytest.raises(
        RegionError, match="'streams' needs a response with the coordinate 'streams'"
    ):
        KINDS.build({"kind": "noise_ceiling", "by": "streams"})(measured)
    nothing = measured.assign_coords({"floc-faces": ("voxel", [""] * 8)})
    with pytest.raises(RegionError, match="no region of floc-faces holds a place"):
        KINDS.build({"kind": "noise_ceiling", "by": "floc-faces"})(nothing)


def test_shares_are_pooled_without_clipping_and_p_is_corrected_over_regions(pair):
    predicted, measured = pair
    noise = np.random.default_rng(5).standard_normal((3, 40, 8)).astype(np.float32)
    mute = measured.assign(bold=measured["bold"].where(np.arange(8) < 2, noise))
    share = KINDS.build({"kind": "explained_variance", "n": 30, "by": "floc-faces"})
    ceilings = KINDS.build({"kind": "noise_ceiling", "n": 60, "by": "floc-faces"})
    found = share(predicted, mute)
    r, value = (found[name].values.astype(float) for name in ("r", "noise_ceiling"))
    assert (value < 0).any()
    for name in found["contrast"].values:
        own = mute["floc-faces"].values == name
        expected = (r * np.abs(r))[own].sum() / value[own].sum()
        assert found["effect"].sel(contrast=name) == pytest.approx(expected, rel=1e-4)
    for estimate in (found, ceilings(mute)):
        p, corrected = estimate["p"].values, estimate["p_corrected"].values
        assert (corrected >= p).all()
        assert (corrected > p).any()


def test_labels_of_one_subject_are_not_taken_for_all(pair):
    several = []
    for k in range(3):
        one = pair[1].mean("repeat", keep_attrs=True).assign_attrs(subject=f"s{k}")
        several.append(one.assign_coords({"floc-faces": ("voxel", ["OFA"] * k + [""] * (8 - k))}))
    joined = Subjects()(*several)
    assert "floc-faces" not in joined.coords
    assert {"hemi", "x", "y", "z", "ncsnr", "n_repeats"} <= set(joined.coords)  # shared here
    with pytest.raises(ValueError, match="exact"):
        Subjects()(several[0], several[1].isel(stimulus=slice(1, None)))
