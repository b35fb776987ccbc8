from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.stats import ttest_1samp

from insilico.errors import ParameterError, SchemaError
from insilico.schema import check
from insilico.spaces import atlases, fsaverage5
from insilico.statistics.accuracy import (
    EncodingAccuracy,
    bootstrap_correlations,
    permutation_test,
    region_products,
)
from insilico.statistics.flips import sign_flip_test
from insilico.statistics.paired import Paired
from insilico.statistics.permutations import unit_columns

GOLDEN = Path(__file__).parents[1] / "golden" / "stats"


def test_region_products_permute_exactly():
    rng = np.random.default_rng(0)
    x, y = (unit_columns(rng.standard_normal((9, 30))) for _ in range(2))
    labels = rng.integers(0, 4, 30)
    products = region_products(x, y, labels, 3)
    order = rng.permutation(9)
    for k in range(3):
        own = labels == k + 1
        expected = np.mean([np.corrcoef(x[order, v], y[:, v])[0, 1] for v in np.flatnonzero(own)])
        assert products[k, order, np.arange(9)].sum() == pytest.approx(expected, abs=1e-6)


def test_bootstrap_equals_brute_force():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 12, 20)).astype(np.float32)
    labels = np.repeat([1, 2], 10)
    drawn = bootstrap_correlations(x, y, labels, 2, 5, np.random.default_rng(7))
    counts = np.random.default_rng(7).multinomial(12, np.full(12, 1 / 12), size=5)
    rows = np.repeat(np.arange(12), counts[3])
    r = [np.corrcoef(x[rows, v], y[rows, v])[0, 1] for v in range(20)]
    np.testing.assert_allclose(drawn[3], [np.mean(r[:10]), np.mean(r[10:])], atol=1e-5)


def test_permutation_p_is_uniform_under_the_null():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(200):
        x, y = (unit_columns(rng.standard_normal((20, 12))) for _ in range(2))
        products = region_products(x, y, np.repeat([1, 2, 3], 4), 3)
        found.append(permutation_test(products, 99, rng))
    alone, corrected = np.array(found).swapaxes(0, 1)
    assert 0.02 < (alone <= 0.05).mean() < 0.09
    assert (corrected.min(1) <= 0.05).mean() < 0.12
    assert (corrected >= alone - 1e-12).mean() > 0.7


def responses(n, seed, noise):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((n, 1)) * np.ones(fsaverage5.N_VERTICES)
    about = {"units": "session z", "subject": "s", "source": "test", "hemodynamic_offset_s": 0.0}
    ids = [f"s{k}" for k in range(n)]
    prediction = fsaverage5.response(truth + 0.1 * rng.standard_normal(truth.shape), ids, **about)
    repeats = [
        fsaverage5.response(truth + noise * rng.standard_normal(truth.shape), ids, **about)
        for _ in range(3)
    ]
    return prediction, xr.concat(repeats, "repeat")


def test_encoding_accuracy_reaches_its_ceiling():
    prediction, measured = responses(24, 6, 1.0)
    step = EncodingAccuracy(by="phantom7", n=49, seed=1)
    estimate = check(step(prediction, measured), "estimate")
    assert estimate["contrast"].values.tolist() == list(atlases.load("phantom7").regions)
    np.testing.assert_allclose(estimate["effect"], np.sqrt(3 / 4), atol=0.08)
    np.testing.assert_allclose(estimate["gap"], 0, atol=0.05)
    assert (estimate["p_corrected"] <= 0.02).all()
    assert (estimate["ci_low"] < estimate["effect"]).all()
    assert np.isnan(estimate["r"].values[fsaverage5.medial_wall()]).all()
    again = step(prediction, measured)
    assert again.identical(estimate)


def test_encoding_accuracy_answers_mistakes():
    prediction, measured = responses(5, 7, 1.0)
    with pytest.raises(SchemaError, match="needs repeats"):
        EncodingAccuracy(by="phantom7")(prediction, measured.isel(repeat=0))
    flat = prediction.assign(bold=prediction["bold"] * 0)
    with pytest.raises(SchemaError, match="prediction is constant across stimuli"):
        EncodingAccuracy(by="phantom7")(flat, measured)
    with pytest.raises(SchemaError, match="not measured: s4"):
        EncodingAccuracy(by="phantom7")(prediction, measured.isel(stimulus=slice(4)))


def test_sign_flips_are_enumerated():
    rng = np.random.default_rng(8)
    d = rng.standard_normal((6, 2)) + 0.5
    p, corrected = sign_flip_test(d, 10_000, rng)
    flips = np.array(list(product([1, -1], repeat=6)))[:, :, None]
    null = np.abs(ttest_1samp(flips * d, 0, axis=1).statistic)
    observed = null[0]
    np.testing.assert_allclose(p, (null >= observed - 1e-9).mean(0))
    np.testing.assert_allclose(corrected, (null.max(1)[:, None] >= observed - 1e-9).mean(0))
    assert p.min() >= 2 / 64


def test_sign_flip_p_is_uniform_under_the_null():
    rng = np.random.default_rng(9)
    p = [sign_flip_test(rng.standard_normal((12, 3)), 499, rng) for _ in range(200)]
    alone, corrected = np.array(p).swapaxes(0, 1)
    assert 0.025 < (alone <= 0.05).mean() < 0.08
    assert (corrected.min(1) <= 0.05).mean() < 0.11


def scores(direction="higher"):
    rng = np.random.default_rng(11)
    intact = rng.uniform(0.5, 0.9, 12)
    sign = 1 if direction == "higher" else -1
    rows = {
        ("intact", "", -1): intact,
        ("silenced", "Vis", -1): intact - sign * rng.uniform(0.2, 0.3, 12),
        ("silenced", "Limbic", -1): intact + sign * 0.0,
        ("matched", "Vis", 0): intact - sign * 0.05,
        ("matched", "Vis", 1): intact - sign * 0.07,
        ("matched", "Limbic", 0): intact,
        ("matched", "Limbic", 1): intact,
    }
    names, regions, controls = zip(*rows, strict=True)
    value = np.stack(list(rows.values()))[:, :, None, None]
    return xr.Dataset(
        {"value": (("condition", "stimulus", "draw", "metric"), value)},
        coords={
            "condition": ["/".join(map(str, key)) for key in rows],
            "name": ("condition", list(names)),
            "region": ("condition", list(regions)),
            "control": ("condition", list(controls)),
            "stimulus": [f"s{k}" for k in range(12)],
            "draw": [0],
            "metric": ["m"],
            "definition": ("metric", ["d"]),
            "direction": ("metric", [direction]),
            "chance": ("metric", [0.0]),
        },
    )


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_paired_finds_the_planted_lesion(direction):
    step = Paired(of="silenced", against="intact", control="matched", n=4096)
    estimate = check(step(scores(direction)), "estimate").sel(metric="m")
    vis, limbic = (estimate.sel(contrast=name) for name in ("Vis", "Limbic"))
    assert -0.3 < vis["effect"] < -0.2
    assert vis["control_effect"] == pytest.approx(-0.06)
    assert vis["p_corrected"] == pytest.approx(2 / 4096)
    assert vis["p_corrected_control"] < 0.01
    assert vis["ci_high"] < 0
    assert limbic["effect"] == 0
    assert limbic["p"] == 1
    assert limbic["ci_low"] == limbic["ci_high"] == 0
    assert estimate.attrs["smallest_p"] == 2**-11
    assert estimate.attrs["test"].startswith("all sign flips")


def test_paired_puts_a_reference_and_colours_beside_the_effects():
    coloured = scores().assign_coords(colour=("condition", list("abcdefg")))
    coloured["name"] = ("condition", ["intact", "silenced", "silenced", *["measured"] * 4])
    step = Paired(of="silenced", against="intact", reference="measured", n=99)
    estimate = step(coloured)
    aside = coloured["value"].isel(condition=slice(3, 7)).mean() - coloured["value"][0].mean()
    assert estimate["reference_effect"].item() == pytest.approx(aside.item())
    assert estimate.attrs["reference"] == "measured minus intact"
    assert list(estimate["colour"].values) == ["b", "c"]


def test_paired_answers_mistakes():
    with pytest.raises(
        ParameterError, match=r"unknown condition 'silence'.*did you mean 'silenced'"
    ):
        Paired(of="silence", against="intact")(scores())
    with pytest.raises(SchemaError, match="at least two stimuli"):
        Paired(of="silenced", against="intact")(scores().isel(stimulus=[0]))
    broken = scores()
    broken["value"][0, 0] = np.nan
    with pytest.raises(SchemaError, match="NaN in the scores m"):
        Paired(of="silenced", against="intact")(broken)
