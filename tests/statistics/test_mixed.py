"""Mixed models against mean squares, statsmodels, brute force and the paired t."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from made_scores import scores
from scipy import stats
from statsmodels.stats.multitest import multipletests

from insilico.errors import ParameterError, SchemaError
from insilico.statistics.mixed import Mixed
from insilico.statistics.reml import Likelihood, design


def crossed(subjects, items, seed=0):
    """Return a subjects × items table, variances .36, .49 and 1."""
    rng = np.random.default_rng(seed)
    y = 0.6 * rng.standard_normal((subjects, 1)) + 0.7 * rng.standard_normal(items)
    y = y + rng.standard_normal((subjects, items))
    subject, item = (a.ravel() for a in np.indices(y.shape))
    return y.ravel(), {"subject": subject, "item": item}


def mean_squares(y, subjects, items):
    """Return the variances of subjects, items and the rest by the method of moments."""
    table = y.reshape(subjects, items)
    a, b = (table.mean(k, keepdims=True) for k in (1, 0))
    rest = ((table - a - b + table.mean()) ** 2).sum() / ((subjects - 1) * (items - 1))
    own = items * a.var(ddof=1), subjects * b.var(ddof=1)
    return {
        "subject": (own[0] - rest) / items,
        "item": (own[1] - rest) / subjects,
        "residual": rest,
    }


@pytest.mark.parametrize(("subjects", "items"), [(8, 50), (20, 100), (8, 300)])
def test_variances_equal_mean_squares(subjects, items):
    y, groups = crossed(subjects, items)
    found = Likelihood(design(np.ones((len(y), 1)), groups), y).fit()
    expected = mean_squares(y, subjects, items)
    assert min(expected.values()) > 0
    for name, value in expected.items():
        assert found.variance[name] == pytest.approx(value, rel=1e-4)


def deviance_by_hand(y, x, groups, variance):
    """Return -2 log restricted likelihood from the whole covariance."""
    v = variance["residual"] * np.eye(len(y))
    for name, level in groups.items():
        v += variance[name] * (level[:, None] == level)
    held = x.T @ np.linalg.solve(v, x)
    r = y - x @ np.linalg.solve(held, x.T @ np.linalg.solve(v, y))
    logs = np.linalg.slogdet(v)[1] + np.linalg.slogdet(held)[1]
    return logs + r @ np.linalg.solve(v, r) + (len(y) - x.shape[1]) * np.log(2 * np.pi)


def five(seed, stimuli=15, draws=4, holes=0.0, own=(1.0, 0.5, 0.4, 0.3, 0.3, 0.4)):
    """Return y, x and all five groupings of a (stimulus, condition, draw) table."""
    rng = np.random.default_rng(seed)
    shapes = [(stimuli, 1, 1), (stimuli, 2, 1), (1, 1, draws), (1, 2, draws), (stimuli, 1, draws)]
    shapes.append((stimuli, 2, draws))
    y = sum(sd * rng.standard_normal(shape) for sd, shape in zip(own, shapes, strict=True))
    s, c, d = (a.ravel() for a in np.indices(y.shape))
    kept = rng.random(s.size) >= holes
    groups = {
        "stimulus": s,
        "stimulus:condition": s * 2 + c,
        "draw": d,
        "draw:condition": d * 2 + c,
        "stimulus:draw": s * draws + d,
    }
    x = np.column_stack([np.ones(s.size), c])
    return y.ravel()[kept], x[kept], {name: level[kept] for name, level in groups.items()}


@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_deviance_is_that_of_the_whole_covariance_and_the_least(holes):
    y, x, groups = five(1, holes=holes)
    found = Likelihood(design(x, groups), y).fit()
    least = deviance_by_hand(y, x, groups, found.variance)
    assert found.deviance == pytest.approx(least, abs=1e-6)
    rng = np.random.default_rng(2)
    for _ in range(40):
        other = {n: v * np.exp(rng.normal(0, 0.3)) + 1e-9 for n, v in found.variance.items()}
        assert deviance_by_hand(y, x, groups, other) >= least - 1e-6


@pytest.mark.parametrize("holes", [0.0, 0.15])
def test_estimates_equal_statsmodels_where_it_converges(holes):
    y, x, groups = five(3, holes=holes)
    groups = {name: groups[name] for name in ("stimulus", "draw", "stimulus:condition")}
    table = pd.DataFrame(
        {"y": y, "c": x[:, 1], **{n.replace(":", "_"): g for n, g in groups.items()}}
    )
    other = smf.mixedlm(
        "y ~ c",
        table,
        groups=np.ones(len(y)),
        re_formula="0",
        vc_formula={name: f"0 + C({name})" for name in table.columns[2:]},
    ).fit()
    found = Likelihood(design(x, groups), y).fit()
    assert other.converged
    assert found.beta[1] == pytest.approx(other.params["c"], rel=1e-4)
    assert np.sqrt(found.covariance[1, 1]) == pytest.approx(other.bse["c"], rel=2e-3)


def test_balanced_table_with_one_slope_gives_the_paired_t():
    y, x, groups = five(4, stimuli=12, own=(1, 0.6, 0.3, 0, 0, 0.5))
    kept = {name: groups[name] for name in ("stimulus", "draw", "stimulus:condition")}
    model = Likelihood(design(x, kept), y)
    found = model.fit()
    means = y.reshape(12, 2, 4).mean(2)
    paired = stats.ttest_rel(means[:, 1], means[:, 0])
    t = found.beta[1] / np.sqrt(found.covariance[1, 1])
    assert t == pytest.approx(paired.statistic, rel=1e-4)
    assert model.degrees_of(found, np.array([0.0, 1.0])) == pytest.approx(11, rel=1e-3)


def test_variance_that_is_there_is_found_where_the_search_could_stop_at_zero():
    """Searched as a standard deviation, this stimulus:draw variance stops at 0: a false optimum."""
    y, x, groups = five(0, stimuli=300, draws=8, own=(1, 0.5, 0.4, 0.2, 0.3, 0.7))
    found = Likelihood(design(x, groups), y).fit()
    assert found.variance["stimulus:draw"] == pytest.approx(0.09, abs=0.03)


def test_thousands_of_rows_in_seconds():
    y, groups = crossed(8, 3000)
    began = time.process_time()
    model = Likelihood(design(np.ones((len(y), 1)), groups), y)
    found = model.fit()
    assert model.degrees_of(found, np.ones(1)) == pytest.approx(7, abs=0.5)
    assert time.process_time() - began < 5
    expected = mean_squares(y, 8, 3000)
    assert found.variance["subject"] == pytest.approx(expected["subject"], rel=1e-3)


def made(effect=-0.3, n=20, draws=4, seed=5, slope=0.3):
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((n, 1, 1)) + 0.3 * rng.standard_normal((n, draws, 1))
    rows = {("intact", ""): base}
    for region in "AB":
        own = slope * rng.standard_normal((n, 1, 1)) + 0.3 * rng.standard_normal((n, draws, 1))
        rows[("silenced", region)] = base + own + (effect if region == "A" else 0)
    return scores(rows)


def test_step_finds_the_planted_lesion_and_no_other():
    found = Mixed(of="silenced", against="intact")(made()).sel(metric="m")
    a, b = (found.sel(contrast=name) for name in "AB")
    assert a["p_corrected"] < 0.01
    assert a["ci_high"] < 0
    assert b["p"] > 0.05
    assert found["var_stimulus"].sel(contrast="A").item() == pytest.approx(1, abs=0.7)
    assert "stimulus:draw" in found.attrs["test"]
    assert found.attrs["caution"].startswith("4 draws: ")
    assert "caution" not in Mixed(of="silenced", against="intact")(made(draws=8)).attrs


def test_p_is_corrected_over_regions_as_by_statsmodels():
    found = Mixed(of="silenced", against="intact")(made(effect=-0.1)).sel(metric="m")
    expected = multipletests(found["p"].values, method="holm")[1]
    np.testing.assert_allclose(found["p_corrected"], expected)
    assert (expected > found["p"]).any()


def test_step_equals_the_paired_t_with_one_slope():
    given = made()
    step = Mixed(of="silenced", against="intact", random=("stimulus", "stimulus:condition"))
    means = given["value"].mean("draw").isel(metric=0).values
    expected = stats.ttest_rel(means[1], means[0])
    found = step(given).sel(contrast="A", metric="m")
    assert found["p"].item() == pytest.approx(expected.pvalue, rel=1e-3)
    fixed = Mixed(of="silenced", against="intact", random=step.random, df="stimuli")(given)
    assert fixed["df"].values.tolist() == [[19.0], [19.0]]


def test_step_with_one_draw_is_the_paired_t():
    given = made(draws=1)
    means = given["value"].isel(draw=0, metric=0).values
    found = Mixed(of="silenced", against="intact")(given).sel(contrast="A", metric="m")
    assert found["p"].item() == pytest.approx(stats.ttest_rel(means[1], means[0]).pvalue, rel=1e-3)
    with pytest.raises(ParameterError, match="with one draw only 'stimulus'"):
        Mixed(of="silenced", against="intact", random=("stimulus", "draw"))(given)


def test_constant_effects_and_ties():
    base = np.random.default_rng(0).standard_normal((6, 3, 1))
    rows = {("intact", ""): base, ("silenced", "A"): base - 0.5, ("silenced", "B"): base}
    found = Mixed(of="silenced", against="intact")(scores(rows)).isel(metric=0)
    assert found["effect"].values == pytest.approx([-0.5, 0])
    assert np.isnan(found["p"].values[0])
    assert found["p"].values[1] == 1


def test_groupings_that_cannot_be_told_apart():
    y, groups = crossed(4, 5)
    groups["cell"] = np.arange(20)
    with pytest.raises(SchemaError, match="'cell' has 20 levels in 20 rows"):
        design(np.ones((20, 1)), groups)
    with pytest.raises(SchemaError, match="'one' has 1 levels"):
        design(np.ones((len(y), 1)), {"one": np.zeros(20)})
