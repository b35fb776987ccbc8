"""Agreement of the order of regions: scipy, known orders, and ties."""

from __future__ import annotations

import numpy as np
import pytest
from made_scores import scores
from scipy import stats

from insilico.errors import ParameterError, SchemaError
from insilico.statistics import KINDS
from insilico.statistics.stability import Stability, concordance, rank_correlations


def test_concordance_equals_friedman_and_spearman():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 7))
    chi = stats.friedmanchisquare(*values.T).statistic
    assert concordance(values) == pytest.approx(chi / (4 * 6))
    tied = rng.integers(0, 4, (5, 8)).astype(float)
    chi = stats.friedmanchisquare(*tied.T).statistic
    assert concordance(tied) == pytest.approx(chi / (5 * 7))
    for one in (values, tied):
        rho = [stats.spearmanr(one[0], other)[0] for other in one[1:]]
        assert rank_correlations(one) == pytest.approx(rho)
    assert np.isnan(concordance(np.array([[1.0, 1, 1], [1, 2, 3]])))
    assert concordance(np.array([[1.0, 2, 3], [10, 20, 31]])) == pytest.approx(1)


def made(orders, n=20, noise=0.1, seed=1):
    """Return a study per variant, with the mean loss of every region."""
    rng, rows = np.random.default_rng(seed), {}
    base = rng.standard_normal((n, 2, 1))
    for variant, losses in orders.items():
        rows[f"intact {variant}", ""] = base
        for k, loss in enumerate(losses):
            rows[f"silenced {variant}", "ABCDE"[k]] = (
                base - loss - noise * rng.standard_normal((n, 1, 1))
            )
    return scores(rows)


def step(variants):
    of, against = ([f"{name} {v}" for v in variants] for name in ("silenced", "intact"))
    return KINDS.build({"kind": "stability", "of": of, "against": against, "n": 499})


def test_one_order_and_its_opposite():
    orders = {"a": [5, 4, 3, 2, 1], "b": [9, 7, 5, 3, 1], "c": [1, 2, 3, 4, 5]}
    found = step("abc")(made(orders)).sel(metric="m")
    assert found["effect"].values[1:] == pytest.approx([1, -1])
    assert found["same_first"].values == pytest.approx([0, 1, 0])
    assert found["p"].values[1] < 0.05
    assert found["p"].values[2] == 1
    same = step("ab")(made(orders)).sel(metric="m")
    assert same["effect"].values == pytest.approx([1, 1])
    assert same["range_low"].values == pytest.approx([1, 1])
    assert np.isnan(same["ci_low"]).all()  # the range of resamples is no confidence interval


def test_agreement_beyond_shared_noise_is_found():
    losses = {name: [0.8, 0.6, 0.4, 0.2, 0.0] for name in "abcd"}
    assert (step("abcd")(made(losses, noise=0.4))["p"] <= 0.05).all()


def test_noise_widens_the_range():
    orders = {"a": [1, 1.1, 0.9, 1, 1.05], "b": [1, 1.1, 0.9, 1, 1.05]}
    found = step("ab")(made(orders, noise=2.0)).sel(metric="m", contrast="all variants")
    assert found["range_high"] - found["range_low"] > 0.3
    assert found["same_first"] < 0.9


@pytest.mark.parametrize(("shared", "first"), [(0.0, 1), (0.5, 1), (0.8, 1), (0.8, 4)])
def test_noise_that_variants_share_is_no_agreement(shared, first):
    """Of orders that are independent by the null, .5 gave 76 % below .05, and .8 98 %."""
    rng, p = np.random.default_rng(7), []
    once = Stability(of=("x", "y", "z", "u"), against=("intact",), n=99)
    for _ in range(500):
        common, own = rng.standard_normal((5, 16)), rng.standard_normal((4, 5, 16))
        noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        each = noise * np.array([first, 1, 1, 1, 1])[:, None]  # (variant, region, stimulus)
        p.append(once._agreement(each.transpose(2, 0, 1), 0)["p"])
    found = (np.array(p) <= 0.05).sum(0)
    assert (found <= stats.binom.isf(1e-4, 500, 0.06)).all()  # approximate: .06 at 16 stimuli
    assert found[0] >= 5


@pytest.mark.parametrize(
    ("n", "told"),
    [(2, "no p: the noise of 2"), (7, "no p: "), (8, "p is rough"), (9, "p is rough"), (10, "")],
)
def test_few_stimuli_give_no_p_and_say_so(n, told):
    """Without effects p was below .05 in 37 % of studies of two stimuli, and in 23 % of three."""
    found = step("ab")(made({"a": [5, 4, 3], "b": [5, 4, 3]}, n=n))
    assert np.isnan(found["p"]).all() == np.isnan(found["p_corrected"]).all() == (n < 8)
    assert np.isfinite(found["effect"]).all()
    assert ("smallest_p" in found.attrs) == (n >= 8)
    assert told in found.attrs.get("caution", "")
    assert ("caution" in found.attrs) == (n < 10)


def test_ties_and_mistakes():
    flat = step("ab")(made({"a": [1, 1, 1], "b": [1, 2, 3]}, noise=0.0)).isel(metric=0)
    assert np.isnan(flat["effect"]).all()
    for name in ("p", "same_first", "range_low", "range_high"):
        assert np.isnan(flat[name]).all()
    with pytest.raises(SchemaError, match="stands for 2 regions; an order needs three"):
        step("ab")(made({"a": [1, 2], "b": [1, 2]}))
    with pytest.raises(ParameterError, match="two variants or more"):
        KINDS.build({"kind": "stability", "of": ["a"], "against": ["b"]})
    assert Stability(of=("silenced a", "silenced b"), against=("intact a",), n=99)(
        made({"a": [1, 2, 3], "b": [1, 2, 3]})
    )["effect"].values[0] == pytest.approx(1)
