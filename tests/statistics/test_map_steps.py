"""The two statistics of maps, as steps: responses and estimates in, estimates out."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from made_maps import field, patched

from insilico.errors import ParameterError, SchemaError, SpaceError
from insilico.schema import check, sample
from insilico.spaces import fsaverage5
from insilico.statistics import KINDS
from insilico.statistics.map_correlation import MapCorrelation
from insilico.statistics.places import parcels, vertices
from insilico.statistics.vertex_map import VertexMap

ABOUT = {"units": "session z", "subject": "s", "source": "test", "hemodynamic_offset_s": 0.0}


def response(base, n=12, noise=1.0, seed=0, ids=None):
    rng = np.random.default_rng(seed)
    bold = base + noise * rng.standard_normal((n, len(base)))
    return fsaverage5.response(bold, ids or [f"s{k}" for k in range(n)], **ABOUT)


@pytest.fixture(scope="module")
def base():
    return field(vertices(), np.random.default_rng(0), 0.3) / 5


@pytest.fixture(scope="module")
def other():
    return field(vertices(), np.random.default_rng(1), 0.3) / 5


# --- map_correlation ------------------------------------------------------------------------------


def test_maps_of_two_responses_agree(base, other):
    first, second = response(base, seed=1), response(base + other, seed=2)
    step = KINDS.build({"kind": "map_correlation", "n": 39})
    made = check(step(first, second), "estimate")
    cortex = fsaverage5.cortex()
    r = np.corrcoef(first["bold"].values.mean(0)[cortex], second["bold"].values.mean(0)[cortex])
    assert made["effect"].item() == pytest.approx(r[0, 1], abs=1e-6)
    assert made["contrast"].item() == "prediction.mean ~ measured.mean"
    assert made["p"].item() == max(made["p_of_first"].item(), made["p_of_second"].item()) == 1 / 40
    assert made["ci_low"] < made["effect"] < made["ci_high"]
    assert made["ci_high"] - made["ci_low"] < 0.2
    assert made["null_low"] < 0 < made["null_high"]
    assert made["n"].item() == 1
    assert made["n_places"].item() == len(cortex)
    assert len(cortex) * 0.8 < made["n_null"].item() < len(cortex)
    assert made.attrs["smallest_p"] == 1 / 40
    assert step(first, second).identical(made)


def test_unrelated_maps_do_not(base, other):
    made = MapCorrelation(n=39)(response(base), response(other))
    assert made["p"].item() > 0.05


@pytest.mark.parametrize("null", ["spin", "hungarian", "vasa", "baum", "cornblath"])
def test_regions_of_an_atlas_stand_for_the_map(base, null):
    made = MapCorrelation(by="phantom7", null=null, n=19, method="spearman")(
        response(base), response(base, seed=5)
    )
    where = parcels("phantom7")
    assert made["parcel"].values.tolist() == list(where.names)
    mean = response(base)["bold"].values.mean(0)[where.labels == 1].mean()
    assert made["first_map"].values[0] == pytest.approx(mean, abs=1e-5)
    assert made["effect"].item() > 0.9
    assert made["n_places"].item() == 14
    assert made.attrs["atlas"] == "phantom7"


def test_maps_of_estimates_and_of_voxels(base):
    estimate = VertexMap(second=None, n=15)(response(base))
    made = MapCorrelation(first="differs.t", second="measured.mean", n=19)(estimate, response(base))
    assert made["effect"].item() > 0.9
    assert np.isnan(made["ci_low"].item())  # the stimuli are gone
    with pytest.raises(ParameterError, match="unknown map 'differs.tt'; one of:.*p_map"):
        MapCorrelation(first="differs.tt")(estimate, response(base))
    rng = np.random.default_rng(0)
    voxels = many_voxels(rng)
    made = MapCorrelation(null="variogram", n=19, second="measured.spread")(voxels, voxels)
    assert abs(made["effect"].item()) < 1
    with pytest.raises(ParameterError, match="use 'variogram'"):
        MapCorrelation()(voxels, voxels)
    with pytest.raises(SpaceError, match="same places"):
        MapCorrelation(null="variogram")(voxels, response(base))
    with pytest.raises(ParameterError, match="needs maps over vertices"):
        MapCorrelation(null="variogram", by="phantom7")(voxels, voxels)


def many_voxels(rng, count=80):
    made = sample("response", 5).isel(voxel=np.zeros(count, int))
    mm = rng.uniform(-40, 40, (3, count))
    coords = {axis: ("voxel", row) for axis, row in zip("xyz", mm, strict=True)}
    coords["hemi"] = ("voxel", np.repeat(["L", "R"], count // 2))
    made = made.assign_coords(coords)
    bold = rng.standard_normal((5, count)).astype(np.float32)
    return made.assign_coords(voxel=np.arange(count)).assign(bold=(("stimulus", "voxel"), bold))


def test_wrong_maps_of_a_response(base):
    one = response(base, n=1)
    with pytest.raises(ParameterError, match=r"one of: measured\.mean, measured\.spread"):
        MapCorrelation(second="measured.median")  # told before anything is estimated
    with pytest.raises(ParameterError, match="one of: mean, spread"):
        MapCorrelation(second="accuracy.median")(one, one)
    with pytest.raises(SchemaError, match=r"measured\.spread needs two stimuli"):
        MapCorrelation(second="measured.spread")(one, one)
    with pytest.raises(ParameterError, match="the same everywhere"):
        MapCorrelation(n=3)(response(base), response(np.zeros(len(base)), noise=0))


# --- vertex_map -----------------------------------------------------------------------------------


@pytest.mark.parametrize("correct", ["max", "tfce"])
def test_a_planted_difference_is_found_and_nothing_else(base, correct):
    patch = patched(30).labels == 5
    first = response(base + 3 * patch, n=12, seed=1)
    second = response(base, n=14, seed=2).isel(stimulus=slice(None, None, -1))
    step = KINDS.build({"kind": "vertex_map", "correct": correct, "by": "phantom7", "n": 40})
    made = check(step(first, second), "estimate")
    found = made["p_corrected_map"].values <= 0.05
    assert found[patch].mean() > (0.8 if correct == "tfce" else 0.02)
    assert (found & ~patch).sum() <= (0.3 if correct == "tfce" else 0.01) * patch.sum()
    assert ("tfce" in made) == (correct == "tfce")
    shared = second["bold"].sel(stimulus=first["stimulus"].values).values
    difference = first["bold"].values - shared
    cortex = fsaverage5.cortex()
    np.testing.assert_allclose(made["mean"].values[cortex], difference.mean(0)[cortex], atol=1e-5)
    assert made["mean"].values[patch].mean() > 2.8
    wall = fsaverage5.medial_wall()
    assert all(np.isnan(made[name].values[wall]).all() for name in ("t", "p_map", "q"))
    assert (made["q"].values[cortex] >= made["p_map"].values[cortex] - 1e-7).all()
    assert made.sizes["contrast"] == 7
    assert made.attrs["unit_of_inference"] == "stimulus"


def test_subjects_are_the_unit_where_asked_for(base):
    patch = patched(30).labels == 5
    stacked = [response(base * 0 + 2 * patch, seed=k) for k in range(6)]
    subjects = xr.concat(stacked, "subject").assign_coords(subject=[f"s{k}" for k in range(6)])
    made = VertexMap(first="subjects", second=None, over="subject", n=100)(subjects)
    assert made.attrs["test"] == "all sign flips of subject, two-sided"
    assert made.attrs["smallest_p"] == 1 / 32
    assert (made["n"] == 6).all()
    assert np.nanmin(made["p_corrected_map"].values[patch]) == pytest.approx(1 / 32)
    against = VertexMap(first="subjects", second="prediction", over="subject", n=100)
    same = against(subjects, response(2.0 * patch, noise=1e-3))
    assert abs(same["effect"].item()) < 0.01


def test_wrong_inputs_of_a_map(base):
    one = response(base)
    with pytest.raises(ParameterError, match="second is measured: give as many"):
        VertexMap()(one)
    with pytest.raises(SchemaError, match="over: subject needs.*first: subjects"):
        VertexMap(over="subject")(one, one)
    with pytest.raises(SchemaError, match="lacks the stimuli s12"):
        VertexMap()(response(base, n=13), one)
    with pytest.raises(SpaceError, match="fsaverage5 is needed"):
        VertexMap()(one, sample("response"))
    with pytest.raises(ParameterError, match="tfce needs the mesh"):
        VertexMap(correct="tfce", second=None)(sample("response"))
    with pytest.raises(ParameterError, match="two items or more"):
        VertexMap(second=None)(response(base, n=1))
    shifted = one.assign(bold=one["bold"] * 0 + np.float32(1))
    with pytest.raises(ParameterError, match="same for all 12 items"):
        VertexMap(second=None)(shifted)
