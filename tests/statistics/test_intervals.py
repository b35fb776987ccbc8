"""Bootstrap intervals against scipy, brute force, and the truth they should cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from insilico.statistics.intervals import bca, studentised, two_way, weights


def test_bca_equals_scipy():
    rng = np.random.default_rng(0)
    values = np.stack([rng.exponential(size=20), rng.standard_normal(20) - 3], 1)
    low, high = bca(values, rng, resamples=60_000)
    for k in range(2):
        found = stats.bootstrap((values[:, k],), np.mean, n_resamples=60_000, method="BCa", rng=rng)
        expected = found.confidence_interval
        width = expected.high - expected.low
        assert low[k] == pytest.approx(expected.low, abs=0.02 * width)
        assert high[k] == pytest.approx(expected.high, abs=0.02 * width)


def test_bca_of_ties_equals_scipy():
    """Resamples that equal the mean count by half."""
    rng, values = np.random.default_rng(3), np.array([0.0, 1, 2, 3, 4, 2, 2])
    found = bca(values[:, None], rng, resamples=60_000)
    kind = {"n_resamples": 60_000, "method": "BCa", "rng": rng}
    expected = stats.bootstrap((values,), np.mean, **kind).confidence_interval
    assert np.ravel(found) == pytest.approx(expected, abs=0.08)


def test_studentised_equals_brute_force():
    values = np.random.default_rng(1).exponential(size=(9, 1))
    low, high = studentised(values, np.random.default_rng(2), resamples=500)
    counts = np.random.default_rng(2).multinomial(9, np.full(9, 1 / 9), size=500)
    drawn = [np.repeat(values[:, 0], count) for count in counts]
    t = [(d.mean() - values.mean()) / (d.std(ddof=1) / 3) for d in drawn]
    error = values.std(ddof=1) / 3
    ends = values.mean() - np.quantile(t, [0.975, 0.025]) * error
    np.testing.assert_allclose([low[0], high[0]], ends)


def test_two_way_equals_brute_force_and_sees_draws():
    rng = np.random.default_rng(3)
    values = rng.standard_normal((6, 4, 1))
    low, high = two_way(values, np.random.default_rng(4), resamples=300)
    again = np.random.default_rng(4)
    rows, columns = weights(6, 300, again), weights(4, 300, again)
    drawn = [(r[:, None] * c * values[..., 0]).sum() for r, c in zip(rows, columns, strict=True)]
    np.testing.assert_allclose([low[0], high[0]], np.quantile(drawn, [0.025, 0.975]))
    shifted = values + 3 * rng.standard_normal((1, 4, 1))  # draws that differ
    wide = np.subtract(*two_way(shifted, rng)[::-1])
    assert wide[0] > 2 * np.subtract(*bca(shifted.mean(1), rng)[::-1])[0]


@pytest.mark.parametrize("kind", [bca, studentised])
def test_constant_values_are_a_point_and_shifts_shift(kind):
    low, high = kind(np.full((8, 2), -0.25), np.random.default_rng(0))
    assert low.tolist() == high.tolist() == [-0.25, -0.25]
    values = np.random.default_rng(5).gamma(1, size=(12, 1))
    one, other = (kind(v, np.random.default_rng(6)) for v in (values, values + 5))
    np.testing.assert_allclose(np.add(one, 5), other)


def test_no_studentised_interval_of_nearly_tied_values():
    values = np.zeros((6, 1))
    values[0] = 1.0
    low, high = studentised(values, np.random.default_rng(7))
    assert np.isnan(low[0])
    assert np.isnan(high[0])


def covered(kind, draw, truth, sets, n, rng):
    """Return the share of intervals that hold the truth; one bootstrap for many data sets."""
    found = 0
    for _ in range(sets // 100):
        values = draw(rng, (n, 100))
        low, high = kind(values, rng, resamples=999)
        found += ((low <= truth) & (truth <= high)).sum()
    return found / (sets // 100 * 100)


SKEWED = {
    "exponential": (lambda rng, shape: rng.exponential(size=shape), 1.0),
    "gamma 2": (lambda rng, shape: -rng.gamma(2.0, size=shape), -2.0),
    "normal": (lambda rng, shape: rng.standard_normal(shape), 0.0),
}


@pytest.mark.parametrize("name", SKEWED)
def test_studentised_covers_at_twenty_stimuli(name):
    draw, truth = SKEWED[name]
    share = covered(studentised, draw, truth, 3000, 20, np.random.default_rng(8))
    assert 0.93 <= share <= 0.97


def test_bca_covers_less_for_skewed_differences_as_the_docs_state():
    draw, truth = SKEWED["exponential"]
    share = covered(bca, draw, truth, 3000, 20, np.random.default_rng(9))
    assert 0.89 <= share <= 0.935


@pytest.mark.slow
@pytest.mark.parametrize("name", SKEWED)
def test_coverage_in_full(name):
    draw, truth = SKEWED[name]
    rng = np.random.default_rng(10)
    assert 0.93 <= covered(studentised, draw, truth, 20_000, 20, rng) <= 0.97
    assert 0.89 <= covered(bca, draw, truth, 20_000, 20, rng) <= 0.95
