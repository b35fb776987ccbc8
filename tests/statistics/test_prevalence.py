"""Prevalence: the posterior by another road, planted populations, and mistakes."""

from __future__ import annotations

import numpy as np
import pytest
from made_scores import scores
from scipy import stats

from insilico.errors import ParameterError, SchemaError
from insilico.statistics import KINDS
from insilico.statistics.prevalence import posterior


@pytest.mark.parametrize(("found", "subjects", "power"), [(7, 10, 1.0), (3, 8, 0.8), (14, 50, 1.0)])
def test_posterior_is_a_truncated_beta(found, subjects, power):
    most, low, high = posterior(found, subjects, 0.05, power)
    assert most == pytest.approx((found / subjects - 0.05) / (power - 0.05))
    beta = stats.beta(1 + found, 1 + subjects - found)
    rate = 0.05 + (power - 0.05) * np.array([low, high])
    inside = np.diff(beta.cdf(rate))[0] / np.diff(beta.cdf([0.05, power]))[0]
    assert inside == pytest.approx(0.95, abs=0.002)
    assert beta.pdf(rate[0]) == pytest.approx(beta.pdf(rate[1]), rel=0.02)


def test_posterior_at_the_ends():
    assert posterior(0, 10)[:2] == (0.0, 0.0)
    assert posterior(10, 10)[0] == posterior(10, 10)[2] == 1.0
    assert posterior(0, 10)[2] < 0.3


def made(shares, n=16, seed=0):
    """Return one pair of conditions per subject; `shares` says who has the effect."""
    rng, rows = np.random.default_rng(seed), {}
    for k, effect in enumerate(shares):
        base = rng.standard_normal((n, 2, 1))
        for region, size in (("A", effect), ("B", 0.0)):
            own = size + 0.5 * rng.standard_normal((n, 1, 1))
            rows[f"silenced {k}", region] = base - own
        rows[f"intact {k}", ""] = base
    return scores(rows)


def step(count, **more):
    of, against = ([f"{name} {k}" for k in range(count)] for name in ("silenced", "intact"))
    return KINDS.build({"kind": "prevalence", "of": of, "against": against, "n": 999, **more})


def test_planted_population():
    found = step(8)(made([1, 1, 1, 1, 1, 1, 0, 0])).sel(metric="m")
    a, b = (found.sel(contrast=name) for name in "AB")
    assert a["significant"].item() in (6, 7)
    assert a["ci_low"] < 0.75 < a["ci_high"]
    assert a["p_corrected"] < 0.001
    assert a["losing"] >= 6
    assert b["effect"] < 0.2
    assert b["p"] > 0.05
    assert found["n"].values.tolist() == [8, 8]
    assert found.attrs["unit_of_inference"] == "subject"
    assert found["p_sign"].sel(contrast="A").item() == pytest.approx(
        stats.binomtest(int(a["losing"]), 8).pvalue
    )


def test_one_of_six_subjects_at_the_least_p_that_can_be_had():
    """p <= alpha counts; one of six has p = 1 - (1 - alpha)^6, whatever the effect."""
    steps, still = np.arange(1.0, 7).reshape(6, 1, 1), np.zeros((6, 1, 1))
    rows = {}
    for k in range(6):
        rows[f"silenced {k}", "A"] = still - (steps if k == 2 else 0)  # p 2/64, and 1
        rows[f"intact {k}", ""] = still
    found = step(6, alpha=2**-5)(scores(rows)).sel(metric="m", contrast="A")
    assert found["significant"] == 1
    assert found["p"].item() == pytest.approx(1 - (1 - 2**-5) ** 6)


def test_mistakes():
    with pytest.raises(SchemaError, match=r"with 5 stimuli no subject can be significant.*0.0625"):
        step(4)(made([1, 1, 1, 1], n=5))
    with pytest.raises(ParameterError, match="one condition for each of two or more subjects"):
        KINDS.build({"kind": "prevalence", "of": ["a", "b"], "against": ["c"]})
    with pytest.raises(ParameterError, match="unknown condition 'silenced 2'"):
        step(3)(made([1, 1]))
