"""Sizes of effects and equivalence, against statsmodels and noncentral t."""

from __future__ import annotations

import numpy as np
import pytest
from made_scores import scores
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from insilico.errors import ParameterError, SchemaError
from insilico.statistics import KINDS
from insilico.statistics.attainable import of_flips
from insilico.statistics.effects import d_z, d_z_interval, equivalence
from insilico.statistics.flips import signs
from insilico.statistics.multiplicity import holm
from insilico.statistics.paired import Paired


def test_equivalence_equals_statsmodels():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((15, 3)) * 0.1
    p, low, high = equivalence(x, np.array([0.05, 0.1, np.nan]))
    for k, bound in enumerate((0.05, 0.1)):
        assert p[k] == pytest.approx(ttost_paired(x[:, k], np.zeros(15), -bound, bound)[0])
        ends = stats.t.interval(0.9, 14, x[:, k].mean(), stats.sem(x[:, k]))
        np.testing.assert_allclose([low[k], high[k]], ends)
        assert (p[k] < 0.05) == (-bound < low[k] and high[k] < bound)
    assert np.isnan(p[2])


def test_equivalence_of_constants():
    p, low, _ = equivalence(np.array([[0.0, 0.1]] * 5), np.array([0.05, 0.05]))
    assert p.tolist() == [0.0, 1.0]
    assert low.tolist() == [0.0, 0.1]


def test_interval_of_d_z_equals_noncentral_t():
    d = np.array([0.6, -1.4, 0.0, 9.0])
    low, high = d_z_interval(d, 20)
    t = d * np.sqrt(20)
    np.testing.assert_allclose(stats.nct.sf(t, 19, low * np.sqrt(20)), 0.025, rtol=1e-3)
    np.testing.assert_allclose(stats.nct.cdf(t, 19, high * np.sqrt(20)), 0.025, rtol=1e-3)
    assert np.isnan(d_z_interval(np.array([np.inf]), 20)).all()
    assert d_z(np.full((4, 1), 0.1)).tolist() == [np.inf]
    base = np.random.default_rng(5).standard_normal((20, 1))
    shifted = (base - 0.3) - base  # constant up to rounding, as scores in a run are
    assert np.ptp(shifted) > 0
    assert d_z(shifted).tolist() == [-np.inf]
    assert equivalence(shifted, np.array([0.2]))[0] == 1
    assert equivalence(shifted, np.array([0.3]) - 1e-3)[1:] == pytest.approx((-0.3, -0.3))


def made(effect, spread, n=20, draws=3, seed=1):
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((n, draws, 1))
    lesion = base + effect + spread * rng.standard_normal((n, 1, 1))
    return scores({("intact", ""): base, ("silenced", "A"): lesion})


@pytest.mark.parametrize(
    ("effect", "spread", "word"),
    [
        (0.0, 0.02, "equivalent"),
        (-0.5, 0.1, "different"),
        (0.0, 1.0, "undecided"),
        (-0.03, 0.02, "different, within the bound"),
    ],
)
def test_verdicts(effect, spread, word):
    step = Paired(of="silenced", against="intact", equivalent_within=0.05, n=999)
    found = step(made(effect, spread))
    assert found["verdict"].item() == word
    assert "±0.05" in found.attrs["equivalence"]
    assert (found["ci90_low"] < found["effect"]).all()
    assert (found["d_z_low"] < found["d_z"]).all()


@pytest.mark.parametrize("kind", ["bca", "studentised", "two_way"])
def test_intervals_by_name(kind):
    found = Paired(of="silenced", against="intact", interval=kind, n=99)(made(-0.5, 0.2))
    assert found["ci_low"].item() < -0.3
    assert found["ci_high"].item() < 0
    assert found.attrs["interval"].startswith("95 %")


def test_bounds_of_metrics():
    given = made(0.0, 0.01)
    step = Paired(of="silenced", against="intact", equivalent_within={"m": 0.1}, n=99)
    assert step(given)["p_equivalent"].item() < 0.001
    with pytest.raises(ParameterError, match="unknown metric 'n'"):
        Paired(of="silenced", against="intact", equivalent_within={"n": 0.1})(given)


@pytest.mark.parametrize("bound", [None, {}, 0.0, -0.1, float("inf")])
def test_equivalence_without_a_bound(bound):
    with pytest.raises(ParameterError, match="bound|greater than 0|finite"):
        KINDS.build({"kind": "paired", "of": "a", "against": "b", "equivalent_within": bound})


def test_two_way_needs_draws():
    with pytest.raises(SchemaError, match="two_way resamples draws, and there is one"):
        Paired(of="silenced", against="intact", interval="two_way")(made(0, 1, draws=1))


def test_ties_and_constants():
    tied = Paired(of="silenced", against="intact", equivalent_within=0.1)(made(0.0, 0.0))
    assert tied["p"].item() == 1
    assert tied["d_z"].item() == 0
    assert tied["verdict"].item() == "equivalent"
    base = np.zeros((5, 1, 1))
    constant = Paired(of="silenced", against="intact", interval="studentised")(
        scores({("intact", ""): base, ("silenced", ""): base - 0.25})
    )
    assert constant["p"].item() == 2 / 32
    assert constant["ci_low"].item() == constant["ci_high"].item() == -0.25
    assert constant["d_z"].item() == -np.inf
    assert constant.attrs["smallest_p"] == 2 / 32  # at five stimuli nothing can be significant


def test_flips_are_all_there_once():
    flips = np.concatenate(list(signs(5, 32, np.random.default_rng(0))))
    assert flips[0].tolist() == [1] * 5
    both = {tuple(f) for f in flips} | {tuple(-f) for f in flips}
    assert len(both) == 32
    assert len(flips) == 16
    assert of_flips(5, 32) == 1 / 16
    assert of_flips(5, 31) == 1 / 32


def test_holm_equals_statsmodels():
    p = np.random.default_rng(3).uniform(0, 0.2, (6, 2))
    p[2, 1] = np.nan
    found = holm(p)
    np.testing.assert_allclose(found[:, 0], multipletests(p[:, 0], method="holm")[1])
    rest = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(found[rest, 1], multipletests(p[rest, 1], method="holm")[1])
    assert np.isnan(found[2, 1])
