"""Agreement between subjects: closed forms against brute force, laws, and the phantom's truth."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from insilico.errors import SchemaError, SpaceError
from insilico.schema import sample
from insilico.statistics import KINDS
from insilico.statistics.permutations import unit_columns
from insilico.statistics.subjects import corrected, leave_one_out, of_pairs, pairs, with_oneself


@pytest.fixture(scope="module")
def bold():
    """Five subjects of unequal scale who share C = 1 and differ by D = 2."""
    rng = np.random.default_rng(0)
    shared, own = rng.standard_normal((1, 60, 400)), rng.standard_normal((5, 60, 400))
    scale = np.arange(1, 6)[:, None, None]
    return ((shared + np.sqrt(2) * own) * scale).astype(np.float32)


def z(x):
    return (x - x.mean(0)) / x.std(0)


def r(x, y):
    return (z(x) * z(y)).mean(0)


def test_closed_forms_equal_brute_force(bold):
    found = pairs(np.stack([unit_columns(one) for one in bold]))
    rest = [[t for t in range(5) if t != s] for s in range(5)]
    others = [np.mean([z(bold[t]) for t in row], axis=0) for row in rest]
    everyone = np.mean([z(one) for one in bold], axis=0)
    for s in range(5):
        np.testing.assert_allclose(leave_one_out(found)[s], r(bold[s], others[s]), atol=1e-4)
        np.testing.assert_allclose(with_oneself(found)[s], r(bold[s], everyone), atol=1e-4)
        each = np.tanh(np.mean([np.arctanh(r(bold[s], bold[t])) for t in rest[s]], axis=0))
        np.testing.assert_allclose(of_pairs(found)[s], each, atol=1e-4)


def test_laws_of_group_size(bold):
    found = pairs(np.stack([unit_columns(one) for one in bold]))
    assert of_pairs(found).mean() == pytest.approx(1 / 3, abs=0.02)
    expected = {n: 1 / np.sqrt(3 * (1 + 2 / (n - 1))) for n in (3, 5)}
    assert leave_one_out(found).mean() == pytest.approx(expected[5], abs=0.02)
    assert leave_one_out(found[:3, :3]).mean() == pytest.approx(expected[3], abs=0.02)
    for n in (3, 5):  # the correction takes the size of the group out
        value = np.nanmean(corrected(found[:n, :n]))
        assert value == pytest.approx(1 / np.sqrt(3), abs=0.03)
    assert (with_oneself(found) > leave_one_out(found)).mean() > 0.99


def subjects(bold):
    response = sample("response", bold.shape[1]).drop_vars("bold")
    response = response.assign(bold=(("subject", "stimulus", "voxel"), bold[..., :8]))
    return response.assign_coords(subject=[f"s{k}" for k in range(len(bold))])


def test_statistic(bold):
    found = KINDS.build({"kind": "cross_subject", "n": 40})(subjects(bold))
    assert found.attrs["unit_of_inference"] == "subject"
    assert found["n"].values.tolist() == [[5] * 4]
    row = found.sel(contrast="cortex")
    assert row["effect"].sel(metric="pairwise").item() == pytest.approx(1 / 3, abs=0.1)
    assert row["p"].sel(metric="leave_one_out").item() == pytest.approx(1 / 41)
    assert np.isnan(row["p"].sel(metric="upper_bound").item())
    assert (row["ci_low"] < row["effect"]).all()
    assert found["leave_one_out"].dims == ("voxel",)
    alone = np.random.default_rng(1).standard_normal(bold.shape).astype(np.float32)
    none = KINDS.build({"kind": "cross_subject", "n": 40})(subjects(alone)).sel(contrast="cortex")
    assert none["p"].sel(metric="pairwise").item() > 0.02


def test_prediction_of_what_is_shared_reaches_the_corrected_value():
    rng = np.random.default_rng(2)
    shared = rng.standard_normal((200, 8)).astype(np.float32)
    bold = (shared + np.sqrt(2) * rng.standard_normal((6, 200, 8))).astype(np.float32)
    group = subjects(bold)
    model = group.isel(subject=0, drop=True).assign(bold=(("stimulus", "voxel"), shared))
    found = KINDS.build({"kind": "cross_subject", "n": 10})(group, model).sel(contrast="cortex")
    own = found["effect"].sel(metric="prediction").item()
    assert own == pytest.approx(1 / np.sqrt(3), abs=0.03)
    assert found["effect"].sel(metric="corrected").item() == pytest.approx(own, abs=0.02)
    with pytest.raises(SchemaError, match="no prediction for sample-000000"):
        KINDS.build("cross_subject")(group, model.isel(stimulus=slice(1, None)))
    with pytest.raises(SpaceError, match="needed"):
        KINDS.build("cross_subject")(group, model.assign_attrs(space="elsewhere"))


def test_where_no_pair_correlates_above_zero_the_corrected_value_is_none(bold):
    opposed = np.concatenate([bold[:2], -bold[:2]])
    found = KINDS.build({"kind": "cross_subject", "n": 10})(subjects(opposed)).isel(contrast=0)
    assert np.isnan(found["effect"].sel(metric="corrected"))
    assert found["effect"].sel(metric="leave_one_out") < 0
    assert found["p"].sel(metric="leave_one_out") > 0.5


def test_two_subjects_are_no_group(bold):
    with pytest.raises(SchemaError, match=r"2 subject\(s\); at least 3"):
        KINDS.build("cross_subject")(subjects(bold[:2]))
    one = sample("response", 4)
    with pytest.raises(SchemaError, match=r"1 subject\(s\)"):
        KINDS.build("cross_subject")(one)


def test_average_subject_of_the_phantom_predicts_what_subjects_share():
    import insilico as isi

    chain = isi.load_chain("phantom")
    stimuli = chain.stimuli(split="test", n=30)
    each = [
        isi.load_chain("phantom", set={"recording.subject": k}).record(
            stimuli, space="fsaverage5", repeats="mean"
        )
        for k in (2, 3, 4)
    ]
    each = [one.assign_coords(subject=one.attrs["subject"]) for one in each]
    group = xr.concat(each, "subject", combine_attrs="drop_conflicts")
    found = KINDS.build({"kind": "cross_subject", "by": "phantom7", "n": 3})(
        group.assign_attrs(subject="three"), chain.encode(stimuli)
    )
    effect = found["effect"]
    apart = np.abs(effect.sel(metric="prediction") - effect.sel(metric="corrected"))
    assert apart.max() < 0.07
    order = effect.sel(metric="leave_one_out").to_series()
    assert order["DorsAttn"] > order["SomMot"]
