"""Noise ceilings: every variant against the code it is named for, laws, and the phantom's truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from insilico.errors import ParameterError, SchemaError, SpaceError
from insilico.schema import sample
from insilico.statistics import KINDS, jackknife
from insilico.statistics.ceilings import at_trials, ceiling, ncsnr, reliability, variances
from insilico.statistics.draws import agreement
from insilico.statistics.explained import determination
from insilico.statistics.halves import half_correlation
from insilico.statistics.repeats import sessions, standardised, summed, trimmed, z_scored

GOLDEN = Path(__file__).parents[1] / "golden" / "stats" / "noise_ceiling.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as data:
        return dict(data)


def repeat_index(images):
    return np.array([(images[:t] == image).sum() for t, image in enumerate(images)])


def exactly(images, repeats):
    kept, counts = np.unique(images, return_counts=True)
    return np.where(np.isin(images, kept[counts == repeats]), images, -1)


# --- goldens ---


def test_glmsingle_notebook(golden):
    signal, noise = variances(
        summed([golden["even_betas"]], golden["even_ids"]), "glmsingle_notebook"
    )
    np.testing.assert_allclose(np.sqrt(noise), golden["even_glmsingle_py_noisesd"], atol=1e-9)
    np.testing.assert_allclose(ncsnr(signal, noise), golden["even_glmsingle_py_ncsnr"], atol=1e-9)
    np.testing.assert_allclose(
        100 * ceiling(signal, noise, 3), golden["even_glmsingle_py_nc3"], atol=1e-9
    )
    np.testing.assert_allclose(
        ceiling(signal, noise, 3), golden["berg_nc_3trial_fraction"], atol=1e-9
    )
    np.testing.assert_allclose(
        ceiling(signal, noise, 1), golden["rnc_nc_1trial_fraction"], atol=1e-9
    )


def test_glmsingle_keeps_images_with_exactly_three_repeats(golden):
    betas, images = golden["uneven_betas"], golden["uneven_ids"]
    signal, noise = variances(summed([betas], exactly(images, 3)), "glmsingle_notebook")
    np.testing.assert_allclose(
        100 * ceiling(signal, noise, 3), golden["uneven_glmsingle_py_nc3"], atol=1e-9
    )
    np.testing.assert_allclose(ncsnr(signal, noise), golden["uneven3_getncsnr_ncsnr"], atol=1e-9)
    with pytest.raises(SchemaError, match="as many trials each; these have 1, 2, 3, 4.*anova"):
        variances(summed([betas], images), "glmsingle_notebook")


def test_matlab_divides_by_one_less(golden):
    betas = golden["even_betas"]
    repeats = summed([betas], golden["even_ids"])
    signal, noise = variances(repeats, "glmsingle_matlab")
    total = betas.var(0, ddof=1)
    np.testing.assert_allclose(signal, np.maximum(total - noise, 0), atol=1e-12)


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_things(golden, trials):
    images = golden["even_ids"]
    betas = standardised(golden["even_betas"], repeat_index(images))
    signal, noise = variances(summed([betas], images), "things")
    np.testing.assert_allclose(
        100 * ceiling(signal, noise, trials), golden[f"even_kknc_n{trials}"], atol=1e-9
    )


def test_anova_equals_icc(golden):
    signal, noise = variances(summed([golden["even_betas"]], golden["even_ids"]))
    np.testing.assert_allclose(ceiling(signal, noise, 1), golden["even_pingouin_icc1"], atol=1e-10)
    np.testing.assert_allclose(ceiling(signal, noise, 3), golden["even_pingouin_icc1k"], atol=1e-10)
    order = np.argsort(golden["even_ids"], kind="stable")
    bold = golden["even_betas"][order].reshape(80, 3, 24).transpose(1, 0, 2)
    np.testing.assert_allclose(reliability(bold), golden["even_pingouin_icc1k"], atol=1e-10)


def test_anova_of_uneven_repeats_is_near_reml(golden):
    signal, noise = variances(summed([golden["uneven_betas"]], golden["uneven_ids"]))
    reml, rest = golden["uneven_reml_signalvar"], golden["uneven_reml_noisevar"]
    assert np.nanmax(np.abs(noise - rest)) < 0.12
    share = np.maximum(signal, 0) / (np.maximum(signal, 0) + noise)
    assert np.nanmax(np.abs(share - reml / (reml + rest))) < 0.02


def test_laion_divides_noise_by_the_repeats(golden):
    repeats = summed([golden["even_betas"]], golden["even_ids"])
    _, noise = variances(repeats, "nsd")
    signal, smaller = variances(repeats, "laion")
    np.testing.assert_allclose(smaller, noise * 2 / 3)
    np.testing.assert_allclose(signal, np.maximum(1 - smaller, 0))


def test_get_ncsnr_trims_trials_and_takes_the_total_of_all():
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(12), [1, 2, 3, 4] * 3)
    betas = rng.standard_normal((len(images), 5))
    kept = trimmed(images, np.random.default_rng(1))
    assert np.unique(kept[kept >= 0], return_counts=True)[1].tolist() == [2] * 9
    signal, noise = variances(summed([betas], kept), "get_ncsnr", summed([betas], images))
    pairs = [betas[kept == image] for image in range(12) if (kept == image).any()]
    np.testing.assert_allclose(noise, np.mean([pair.var(0, ddof=1) for pair in pairs], axis=0))
    np.testing.assert_allclose(signal, np.maximum(betas.var(0) - noise, 0))


# --- laws ---


def test_anova_is_unbiased_where_others_are_not():
    rng = np.random.default_rng(2)
    images, places = 12, 40_000
    counts = np.array([1, 2, 3, 4] * 3)
    index = np.repeat(np.arange(images), counts)
    betas = rng.standard_normal((images, places))[index]
    betas = betas + rng.standard_normal((len(index), places)) * np.sqrt(2)
    signal, noise = variances(summed([betas], index))
    assert signal.mean() == pytest.approx(1, abs=0.02)
    assert noise.mean() == pytest.approx(2, abs=0.02)
    assert signal.min() < 0  # not clipped
    trim = summed([betas], trimmed(index, rng))
    biased, _ = variances(trim, "get_ncsnr", summed([betas], index))
    assert biased.mean() < 0.95


@pytest.mark.parametrize("truth", [0.0, 0.3, 0.6])
def test_the_corrected_ceiling_is_unbiased_where_anovas_is_too_low(truth):
    rng = np.random.default_rng(7)
    images, places, noise = 12, 40_000, 3 * (1 - truth)  # S = truth, so that S + N / 3 = 1
    signal = rng.standard_normal((1, images, places)) * np.sqrt(truth)
    bold = signal + rng.standard_normal((3, images, places)) * np.sqrt(noise)
    repeats = summed(bold, np.tile(np.arange(images), 3))
    mean = {v: ceiling(*variances(repeats, v), 3).mean() for v in ("anova", "anova_corrected")}
    assert mean["anova_corrected"] == pytest.approx(truth, abs=0.01)
    assert mean["anova"] == pytest.approx(1 - (1 - truth) * 11 / 9, abs=0.01)
    with pytest.raises(SchemaError, match="needs 4 images, there are 3"):
        variances(summed(bold[:, :3, :5], np.tile(np.arange(3), 3)), "anova_corrected")


def test_mixed_repeats_take_the_mean_of_one_over_k():
    signal, noise = np.array([1.0]), np.array([2.0])
    mixed = ceiling(signal, noise, np.array([3, 3, 2, 1]))
    assert mixed[0] == pytest.approx(1 / (1 + 2 * (2 / 3 + 1 / 2 + 1) / 4))
    three = ceiling(signal, noise, 3)
    assert at_trials(three, 3, 1)[0] == pytest.approx(three[0] / (3 - 2 * three[0]))
    assert at_trials(three, 3, 1)[0] == pytest.approx(ceiling(signal, noise, 1)[0])


def test_split_halves_agree_with_the_ceiling():
    rng = np.random.default_rng(3)
    bold = rng.standard_normal((1, 400, 300)) + rng.standard_normal((4, 400, 300)) * 2
    half, _ = half_correlation(bold, 20, np.zeros(400, int) + 0, rng)
    corrected = at_trials(half, 2, 4)
    assert corrected.mean() == pytest.approx(0.5, abs=0.01)  # S / (S + N / 4), S = 1, N = 4
    assert reliability(bold).mean() == pytest.approx(0.5, abs=0.01)


def test_reading_in_blocks_changes_nothing():
    rng = np.random.default_rng(4)
    raw = (rng.standard_normal((60, 7)) * 3 + 5).astype(np.float32)
    images, session = rng.integers(20, size=60), np.repeat([1, 2, 3], 20)
    whole = standardised(raw.astype(np.float64), session)
    first = summed([whole], images)
    second = summed(sessions(raw.copy(), session), images)
    for name in ("within", "between"):
        np.testing.assert_allclose(
            getattr(second, name), getattr(first, name), rtol=2e-4, atol=1e-5
        )
    left_out = np.where(session == 2, -1, images)
    np.testing.assert_allclose(
        summed([whole[session != 2]], images[session != 2]).within,
        summed([whole], left_out).within,
    )


def test_constant_places_become_zero_and_have_no_ceiling():
    block = np.ones((6, 2))
    block[:, 1] = np.arange(6)
    z = z_scored(block.copy())
    assert (z[:, 0] == 0).all()
    assert z[:, 1].std() == pytest.approx(1)
    value = ceiling(*variances(summed([z], np.repeat(np.arange(3), 2))), 2)
    assert np.isnan(value[0])
    assert np.isfinite(value[1])


def test_jackknife_equals_the_formula_for_a_mean():
    x = np.random.default_rng(5).standard_normal(15)
    without = np.array([np.delete(x, k).mean() for k in range(15)])
    low, high = jackknife.interval(x.mean(), without)
    from scipy.stats import t

    reach = t.ppf(0.975, 14) * x.std(ddof=1) / np.sqrt(15)
    assert (low, high) == pytest.approx((x.mean() - reach, x.mean() + reach))


# --- statistics ---


def measured(repeats=3, stimuli=40, signal=1.0, seed=0):
    rng = np.random.default_rng(seed)
    response = sample("response", stimuli).drop_vars("bold")
    truth = rng.standard_normal((stimuli, 8)) * np.sqrt(signal)
    noise = rng.standard_normal((repeats, stimuli, 8)) * np.sqrt(1 - signal / 2)
    bold = (truth + noise).astype(np.float32)
    return response.assign(bold=(("repeat", "stimulus", "voxel"), bold)), truth


def test_noise_ceiling_finds_signal_and_its_absence():
    response, _ = measured()
    found = KINDS.build({"kind": "noise_ceiling", "n": 99})(response)
    assert found["effect"].item() == pytest.approx(1 / (1 + 0.5 / 3), abs=0.03)
    assert found["ci_low"].item() < 1 / (1 + 0.5 / 3) < found["ci_high"].item()
    assert found["p"].item() == 0.01
    assert found.attrs["variant"].startswith("anova")
    assert found["noise_ceiling"].dims == ("voxel",)
    other = KINDS.build({"kind": "noise_ceiling", "n": 2, "variant": "anova_corrected"})(response)
    expected = 1 - (1 - found["noise_ceiling"]) * 37 / 39  # 40 images
    np.testing.assert_allclose(other["noise_ceiling"], expected, rtol=1e-5)
    assert other.attrs["variant"].startswith("anova_corrected: ")
    empty = KINDS.build({"kind": "noise_ceiling", "n": 99})(measured(signal=0)[0])
    assert empty["p"].item() > 0.05
    assert empty["ci_low"].item() < 0 < empty["ci_high"].item()


def test_interval_covers_the_truth():
    inside = 0
    for seed in range(60):
        found = KINDS.build({"kind": "noise_ceiling", "n": 2})
        found = found.model_copy(update={"n": 40})(measured(stimuli=30, seed=seed)[0])
        inside += found["ci_low"].item() <= 1 / (1 + 0.5 / 3) <= found["ci_high"].item()
    assert 0.85 <= inside / 60 <= 1


def test_uneven_repeats_are_told_by_a_coordinate():
    response, _ = measured()
    counts = np.where(np.arange(40) < 10, 2, 3)
    uneven = response.assign_coords(n_repeats=("stimulus", counts))
    uneven["bold"][2, :10] = 1000.0  # what is not real is not read
    found = KINDS.build({"kind": "noise_ceiling", "n": 20})(uneven)
    assert found.attrs["n_trials"] == 110
    assert found["effect"].item() > 0.75
    only = KINDS.build({"kind": "noise_ceiling", "n": 20, "min_repeats": 3})(uneven)
    assert only["n"].item() == 30
    with pytest.raises(SchemaError, match="fewer than two stimuli have 4 repeats"):
        KINDS.build({"kind": "noise_ceiling", "min_repeats": 4})(uneven)
    with pytest.raises(SchemaError, match="different numbers of repeats"):
        KINDS.build({"kind": "split_half"})(uneven)


def test_nsd_variant_needs_session_z():
    response, _ = measured()
    with pytest.raises(SchemaError, match="z-scores within each session.*'percent'"):
        KINDS.build({"kind": "noise_ceiling", "variant": "nsd"})(
            response.assign_attrs(units="percent")
        )
    with pytest.raises(ParameterError, match="variant of the noise ceiling 'nds'.*nsd"):
        KINDS.build({"kind": "noise_ceiling", "variant": "nds"})


def test_nan_and_single_trials_are_refused():
    betas = np.ones((4, 2))
    betas[2, 1] = np.nan
    with pytest.raises(SchemaError, match="first is trial 2"):
        summed([betas], np.array([0, 0, 1, 1]))
    with pytest.raises(SchemaError, match="shown once"):
        variances(summed([np.ones((3, 1))], np.arange(3)))
    with pytest.raises(SchemaError, match="4 trials were read, and 5"):
        summed([np.ones((4, 1))], np.zeros(5, int))
    with pytest.raises(SchemaError, match="sort them by session"):
        list(sessions(np.ones((3, 1)), np.array([1, 2, 1])))
    with pytest.raises(SchemaError, match="two repeats"):
        KINDS.build("noise_ceiling")(sample("response"))


def test_explained_variance_of_the_truth_is_everything():
    response, truth = measured(stimuli=300)
    prediction = response.isel(repeat=0, drop=True)
    prediction = prediction.assign(bold=(("stimulus", "voxel"), truth.astype(np.float32)))
    found = KINDS.build({"kind": "explained_variance", "n": 60})(prediction, response)
    assert found["effect"].item() == pytest.approx(1, abs=0.03)
    assert found["p"].item() == pytest.approx(1 / 61)
    assert found["ci_low"].item() < 1 < found["ci_high"].item()
    assert 0 < found["above_one"].item() < 1  # kept, not clipped
    bold = response["bold"].mean("repeat").values
    np.testing.assert_allclose(found["r2"], determination(truth, bold), rtol=1e-4)
    shuffled = prediction.assign(bold=prediction["bold"].copy(data=truth[::-1].astype(np.float32)))
    none = KINDS.build({"kind": "explained_variance", "n": 60})(shuffled, response)
    assert none["effect"].item() == pytest.approx(0, abs=0.05)
    elsewhere = prediction.assign_attrs(space="fsaverage5")
    with pytest.raises(SpaceError, match="prediction lies in fsaverage5"):
        KINDS.build("explained_variance")(elsewhere, response)


def test_draws_of_a_generator():
    rng = np.random.default_rng(6)
    values = rng.standard_normal((2000, 1)) + rng.standard_normal((2000, 2))
    assert agreement(values) == pytest.approx(0.5, abs=0.05)
    score = xr.concat([sample("score", 300).isel(draw=0)] * 2, "draw").assign_coords(draw=[0, 1])
    shared = rng.standard_normal((300, 1, 1)) + 0.5 * rng.standard_normal((300, 2, 2))
    score = score.assign(value=(("stimulus", "draw", "metric"), shared))
    score = score.expand_dims(condition=["intact"])
    found = KINDS.build("draw_reliability")(score)
    assert found["effect"].sel(contrast="intact").values == pytest.approx([0.8, 0.8], abs=0.06)
    assert "no" in found.attrs["null"]
    with pytest.raises(SchemaError, match="draws: 2"):
        KINDS.build("draw_reliability")(score.isel(draw=[0]))
